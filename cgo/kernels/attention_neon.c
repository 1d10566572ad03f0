// SPDX-License-Identifier: Apache-2.0

// Attention with NEON: 16 floats are four registers, 4 sums are kept. Float weights' products use the same vectors.
#if defined(__aarch64__)
#include <arm_neon.h>
#include <stdint.h>

#define SIMD
#define V static inline __attribute__((always_inline))
#define MOST 4
#define ACROSS(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)
typedef struct {
    float32x4_t a, b, c, d;
} v16;

V float32x4_t half4(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
V v16 set1(float x) { return (v16){vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x)}; }
V v16 load32(const float *p) { return (v16){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
V v16 load16(const uint8_t *p) { return (v16){half4(p), half4(p + 8), half4(p + 16), half4(p + 24)}; }
V v16 load8(const uint8_t *p) {
    int8x16_t q = vreinterpretq_s8_u8(vld1q_u8(p));
    int16x8_t low = vmovl_s8(vget_low_s8(q)), high = vmovl_s8(vget_high_s8(q));
    return (v16){vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
        vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))};
}
V void store(float *p, v16 v) {
    vst1q_f32(p, v.a);
    vst1q_f32(p + 4, v.b);
    vst1q_f32(p + 8, v.c);
    vst1q_f32(p + 12, v.d);
}
#define EACH(f, ...) ((v16){f(a, __VA_ARGS__), f(b, __VA_ARGS__), f(c, __VA_ARGS__), f(d, __VA_ARGS__)})
V v16 mul_add(v16 x, v16 y, v16 z) {
    return (v16){vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}
#define TWO(lane, f, x, y) f(x.lane, y.lane)
V v16 mul(v16 x, v16 y) { return EACH(TWO, vmulq_f32, x, y); }
V v16 sub(v16 x, v16 y) { return EACH(TWO, vsubq_f32, x, y); }
V v16 add(v16 x, v16 y) { return EACH(TWO, vaddq_f32, x, y); }
V v16 divide(v16 x, v16 y) { return EACH(TWO, vdivq_f32, x, y); }
V v16 most(v16 x, v16 y) { return EACH(TWO, vmaxq_f32, x, y); }
#define ONE(lane, f, x) f(x.lane)
V v16 magnitude(v16 x) { return EACH(ONE, vabsq_f32, x); }
V v16 nearest(v16 x) { return EACH(ONE, vrndnq_f32, x); }
V float32x4_t sign4(float32x4_t x, float32x4_t y) { return vbslq_f32(vdupq_n_u32(0x80000000), y, x); }
V v16 with_sign(v16 x, v16 y) { return EACH(TWO, sign4, x, y); }
V float32x4_t power4(float32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23)); }
V v16 power(v16 n) { return EACH(ONE, power4, n); }
V float32x4_t zero4(float32x4_t p, float32x4_t x, float32x4_t least) {
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), vcltq_f32(x, least)));
}
V v16 zero_below(v16 p, v16 x, float least) {
    float32x4_t l = vdupq_n_f32(least);
    return (v16){zero4(p.a, x.a, l), zero4(p.b, x.b, l), zero4(p.c, x.c, l), zero4(p.d, x.d, l)};
}
V float largest(v16 v) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.a, v.b), vmaxq_f32(v.c, v.d))); }
V float total(v16 v) { return vaddvq_f32(vaddq_f32(vaddq_f32(v.a, v.b), vaddq_f32(v.c, v.d))); }

#include "attend.h"

void tt_attend_neon(struct tt_segment *s) {
    if (s->type == TT_F32)
        attend_f32(s);
    else if (s->type == TT_F16)
        attend_f16(s);
    else
        attend_i8(s);
}

void tt_halve_neon(uint16_t *dst, const float *src, int n) {
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(dst + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(src + i))));
    if (i < n)
        tt_halve_plain(dst + i, src + i, n - i);
}

V v16 weights(int type, const uint8_t *p) {
    if (type != TT_BF16)
        return load(type, p);
    uint16x8_t low = vreinterpretq_u16_u8(vld1q_u8(p)), high = vreinterpretq_u16_u8(vld1q_u8(p + 16));
    return (v16){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(low), 16)), vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(low), 16)),
        vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(high), 16)), vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(high), 16))};
}

// mr input rows from row i on, all of one group, with tile t.
V void tile_rows(int type, int mr, const struct tt_product *p, int t, int i) {
    const struct tt_format *f = p->f;
    const uint8_t *w = p->packed + t * p->tile;
    size_t size = type == TT_F32 ? 64 : 32;
    int rows = p->rows - t * TT_TILE < TT_TILE ? p->rows - t * TT_TILE : TT_TILE;
    v16 y[4];
    for (int k = 0; k < mr; k++)
        y[k] = set1(0);
    for (int b = 0; b < p->blocks; b++) {
        const uint8_t *x = p->scratch + tt_record_at(f, p->m, p->blocks, i, b);
        for (int c = 0; c < TT_COLS; c++, w += size)
            for (int k = 0; k < mr; k++)
                y[k] = mul_add(weights(type, w), set1(tt_load_f32(x + (size_t)f->record * k + 4 * c)), y[k]);
    }
    for (int k = 0; k < mr; k++) {
        float tmp[TT_TILE];
        store(tmp, y[k]);
        memcpy(p->y + (size_t)(i + k) * p->ldy + (size_t)t * TT_TILE, tmp, rows * sizeof *tmp);
    }
}

V void float_rows(int type, const struct tt_product *p, int tile0, int tile1) {
    for (int t = tile0; t < tile1; t++) {
        int i = 0;
        for (; i + 4 <= p->m; i += 4)
            tile_rows(type, 4, p, t, i);
        for (; i < p->m; i++)
            tile_rows(type, 1, p, t, i);
    }
}

void tt_floats_neon(const struct tt_product *p, int tile0, int tile1) {
    if (p->f->type == TT_F32)
        float_rows(TT_F32, p, tile0, tile1);
    else if (p->f->type == TT_F16)
        float_rows(TT_F16, p, tile0, tile1);
    else
        float_rows(TT_BF16, p, tile0, tile1);
}
#endif
