// SPDX-License-Identifier: Apache-2.0

// Products with NEON's dot product (Armv8.2): both factors are signed bytes, four products are summed at once, and the four inputs come from a
// lane. The arithmetic is linear_vnni.c's; a tile's 16 rows are four quarters of four.
#include "tile.h"

#if defined(TT_NEON)
#include <arm_neon.h>

#if defined(__ARM_FEATURE_DOTPROD)
#define NEON
#else
#define NEON __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define INLINE NEON static inline __attribute__((always_inline))

struct quarter {
    int8x16_t code[8];
    float32x4_t scale[2], min[2];
};

struct super {
    float32x4_t d, dmin;
};

INLINE float32x4_t halves(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(v)));
}

INLINE uint32x4_t widen(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(v))));
}

INLINE float32x4_t unsigned_bytes(const uint8_t *p) { return vcvtq_f32_u32(widen(p)); }

INLINE float32x4_t signed_bytes(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(v)))));
}

// (v >> n) & mask, or << for negative n.
INLINE uint8x16_t bits8(uint8x16_t v, int n, int mask) { return vandq_u8(vshlq_u8(v, vdupq_n_s8((int8_t)-n)), vdupq_n_u8((uint8_t)mask)); }

// The codes of four rows: p is 16*h bytes into the first plane for quarter h.
INLINE void unpack_codes(const struct tt_format *f, const uint8_t *p, int8x16_t *code) {
    for (int s = 0; s < 8; s++) {
        uint8x16_t v;
        if (f->low == 8)
            v = vld1q_u8(p + 64 * s);
        else if (f->low == 4)
            v = bits8(vld1q_u8(p + 64 * (s % 4)), s < 4 ? 0 : 4, 15);
        else
            v = bits8(vld1q_u8(p + 64 * (s % 2)), s / 2 * 2, 3);
        if (f->high == 1)
            v = vorrq_u8(v, bits8(vld1q_u8(p + 64 * f->low), s - f->low, 1 << f->low));
        if (f->high == 2)
            v = vorrq_u8(v, bits8(vld1q_u8(p + 64 * (f->low + s % 2)), s / 2 * 2 - f->low, 3 << f->low));
        code[s] = vreinterpretq_s8_u8(v);
    }
}

INLINE void unpack_super(const struct tt_format *f, const uint8_t *p, int h, struct super *s) {
    s->d = halves(p + 8 * h);
    if (f->super == 64)
        s->dmin = vnegq_f32(halves(p + 32 + 8 * h));
}

// Quarter h (rows 4h to 4h+3) of the block at p.
INLINE void unpack(const struct tt_format *f, const struct super *s, const uint8_t *p, int h, struct quarter *w) {
    if (!f->super) {
        w->scale[0] = halves(p + 8 * h);
        if (!f->offset)
            w->min[0] = halves(p + 32 + 8 * h);
        unpack_codes(f, p + (f->offset ? 32 : 64) + 16 * h, w->code);
        return;
    }
    const uint8_t *a = p + 4 * h, *b = p + 16 + 4 * h;
    if (f->groups == 1) { // Q4_K, Q5_K
        w->scale[0] = vmulq_f32(s->d, unsigned_bytes(a));
        w->min[0] = vmulq_f32(s->dmin, unsigned_bytes(b));
    } else if (f->super == 64) { // Q2_K
        w->scale[0] = vmulq_f32(s->d, vcvtq_f32_u32(vandq_u32(widen(a), vdupq_n_u32(15))));
        w->scale[1] = vmulq_f32(s->d, vcvtq_f32_u32(vandq_u32(widen(b), vdupq_n_u32(15))));
        w->min[0] = vmulq_f32(s->dmin, vcvtq_f32_u32(vshrq_n_u32(widen(a), 4)));
        w->min[1] = vmulq_f32(s->dmin, vcvtq_f32_u32(vshrq_n_u32(widen(b), 4)));
    } else { // Q3_K, Q6_K
        w->scale[0] = vmulq_f32(s->d, signed_bytes(a));
        w->scale[1] = vmulq_f32(s->d, signed_bytes(b));
    }
    unpack_codes(f, p + 32 + 16 * h, w->code);
}

// Sums of products of the quads first to first+3 with 16 inputs.
INLINE int32x4_t dot16(int32x4_t acc, const int8x16_t *code, int8x16_t x) {
    acc = vdotq_laneq_s32(acc, code[0], x, 0);
    acc = vdotq_laneq_s32(acc, code[1], x, 1);
    acc = vdotq_laneq_s32(acc, code[2], x, 2);
    return vdotq_laneq_s32(acc, code[3], x, 3);
}

INLINE int32x4_t dot_group(const struct tt_format *f, const struct quarter *w, const int8_t *q, int g) {
    int32x4_t acc = dot16(vdupq_n_s32(0), w->code + 4 * g, vld1q_s8(q + 16 * g));
    return f->groups == 1 ? dot16(acc, w->code + 4, vld1q_s8(q + 16)) : acc;
}

// One record with one unpacked quarter. Codes of 8 bits are signed already.
INLINE float32x4_t add_record(const struct tt_format *f, const struct quarter *w, const struct tt_record *rec, float32x4_t y) {
    for (int g = 0; g < f->groups; g++) {
        int32x4_t acc = vmlaq_n_s32(dot_group(f, w, rec->low, g), dot_group(f, w, rec->high, g), TT_HIGH);
        if (f->offset && f->low < 8)
            acc = vaddq_s32(acc, vdupq_n_s32(rec->off[g]));
        y = vfmaq_f32(y, w->scale[g], vmulq_n_f32(vcvtq_f32_s32(acc), rec->dx));
        if (!f->offset)
            y = vfmaq_n_f32(y, w->min[g], rec->sum[g]);
    }
    return y;
}

INLINE void store(const struct tt_product *p, int t, int h, int i, float32x4_t y) {
    float *dst = p->y + (size_t)i * p->ldy + (size_t)t * TT_TILE + 4 * h, tmp[4];
    int rows = p->rows - t * TT_TILE - 4 * h;
    vst1q_f32(tmp, y);
    if (rows > 0)
        memcpy(dst, tmp, (rows < 4 ? rows : 4) * sizeof tmp[0]);
}

// mr input rows from row i on, all of one group, with tile t, nh quarters at a time.
INLINE void tile_rows(const struct tt_format *f, int mr, int nh, const struct tt_product *p, int t, int h0, int i) {
    const uint8_t *w = p->packed + t * p->tile, *x = p->scratch + tt_record_at(f, p->m, p->blocks, i, 0);
    size_t next = p->blocks > 1 ? tt_record_at(f, p->m, p->blocks, i, 1) - tt_record_at(f, p->m, p->blocks, i, 0) : 0;
    float32x4_t y[4];
    struct super s[4];
    struct quarter quarter;
#pragma GCC unroll 8
    for (int k = 0; k < mr * nh; k++)
        y[k] = vdupq_n_f32(0);
    for (int h = 0; h < nh; h++)
        s[h].d = s[h].dmin = vdupq_n_f32(0);
    for (int b = 0; b < p->blocks; b++, w += f->bytes, x += next) {
        if (f->super && b % 8 == 0) {
            for (int h = 0; h < nh; h++)
                unpack_super(f, w, h0 + h, &s[h]);
            w += f->super;
        }
#pragma GCC unroll 4
        for (int h = 0; h < nh; h++) {
            unpack(f, &s[h], w, h0 + h, &quarter);
#pragma GCC unroll 8
            for (int k = 0; k < mr; k++)
                y[h * mr + k] = add_record(f, &quarter, (const struct tt_record *)x + k, y[h * mr + k]);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < mr * nh; k++)
        store(p, t, h0 + k / mr, i + k % mr, y[k]);
}

INLINE void all_rows(const struct tt_format *f, const struct tt_product *p, int tile0, int tile1) {
    for (int t = tile0; t < tile1; t++) {
        int i = 0;
        for (; i + 4 <= p->m; i += 4)
            for (int h = 0; h < 4; h++)
                tile_rows(f, 4, 1, p, t, h, i);
        for (; i < p->m; i++)
            tile_rows(f, 1, 4, p, t, 0, i);
    }
}

// One kernel for each format, whose fields are constants in it.
#define KERNEL(name, at)                                                      \
    NEON static void name(const struct tt_product *p, int tile0, int tile1) { \
        all_rows(&TT_FORMATS[at], p, tile0, tile1);                           \
    }
KERNEL(q4_0, AT_Q4_0)
KERNEL(q4_1, AT_Q4_1)
KERNEL(q5_0, AT_Q5_0)
KERNEL(q5_1, AT_Q5_1)
KERNEL(q6_0, AT_Q6_0)
KERNEL(q8_0, AT_Q8_0)
KERNEL(q2_k, AT_Q2_K)
KERNEL(q3_k, AT_Q3_K)
KERNEL(q4_k, AT_Q4_K)
KERNEL(q5_k, AT_Q5_K)
KERNEL(q6_k, AT_Q6_K)

static void linear(const struct tt_product *p, int tile0, int tile1) {
    switch (p->f->type) {
    case TT_Q4_0: q4_0(p, tile0, tile1); return;
    case TT_Q4_1: q4_1(p, tile0, tile1); return;
    case TT_Q5_0: q5_0(p, tile0, tile1); return;
    case TT_Q5_1: q5_1(p, tile0, tile1); return;
    case TT_Q6_0: q6_0(p, tile0, tile1); return;
    case TT_Q8_0: q8_0(p, tile0, tile1); return;
    case TT_Q2_K: q2_k(p, tile0, tile1); return;
    case TT_Q3_K: q3_k(p, tile0, tile1); return;
    case TT_Q4_K: q4_k(p, tile0, tile1); return;
    case TT_Q5_K: q5_k(p, tile0, tile1); return;
    case TT_Q6_K: q6_k(p, tile0, tile1); return;
    default: tt_floats_neon(p, tile0, tile1);
    }
}

#if defined(__ARM_FEATURE_DOTPROD)
static int usable(void) { return 1; }
#elif defined(__linux__)
#include <sys/auxv.h>
static int usable(void) { return getauxval(AT_HWCAP) >> 20 & 1; } // HWCAP_ASIMDDP, asm/hwcap.h of Linux
#else
static int usable(void) { return 0; }
#endif

const struct tt_isa tt_neon = {"neon", usable, tt_quantise_plain, linear, tt_attend_neon, tt_halve_neon};
#endif
