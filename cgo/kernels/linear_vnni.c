// SPDX-License-Identifier: Apache-2.0

// Products with AVX-512 VNNI.
//
// A block's 512 codes fill eight vectors of unsigned bytes, one for each quad: a 32-bit lane is four columns of one row. Against each, four
// high bytes of inputs are broadcast and one instruction adds four products to each lane, so that after eight of them a vector holds the sums of 16 rows,
// exactly; the low bytes likewise. One conversion and one fused multiply-add bring them to the result:
//
//     y += scale * (dx * (TT_HIGH * high + low + off))        with minimums also    y += min * sum_of_inputs
//
// A tile's block is unpacked once for up to eight inputs. Tiles are read one behind the other: in huge pages the processor's own prefetcher fills the bus
// with this one stream. Each row's operations and their order are the same everywhere.
#if defined(__x86_64__)
#include <immintrin.h>

#include "tile.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))
#define INLINE VNNI static inline __attribute__((always_inline))

struct block {
    __m512i code[8];
    __m512 scale[2], min[2];
};

struct super {
    __m512 d, dmin;
};

INLINE __m512 halves(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

INLINE __m512 unsigned_bytes(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

INLINE __m512 signed_bytes(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

INLINE __m512i and8(__m512i v, int mask) { return _mm512_and_si512(v, _mm512_set1_epi8((char)mask)); }

// (v >> n) & mask, or << for negative n; neighbours' bits are masked off.
INLINE __m512i bits8(__m512i v, int n, int mask) {
    return and8(n >= 0 ? _mm512_srli_epi16(v, n > 0 ? n : 0) : _mm512_slli_epi16(v, n < 0 ? -n : 0), mask);
}

// Loads stay in the order of memory: where gcc moved the last line of a block to the front, the prefetcher lost the stream, a fifth of the time.
INLINE __m512i load(const uint8_t *p) {
    __m512i v;
    __asm__ volatile("vmovdqu64 %1, %0" : "=v"(v) : "m"(*(const uint8_t(*)[64])p));
    return v;
}

INLINE void unpack_codes(const struct tt_format *f, const uint8_t *p, __m512i *code) {
    __m512i low[8], high[2];
    for (int i = 0; i < f->low; i++)
        low[i] = load(p + 64 * i);
    for (int i = 0; i < f->high; i++)
        high[i] = load(p + 64 * (f->low + i));
    for (int s = 0; s < 8; s++) {
        if (f->low == 8)
            code[s] = _mm512_xor_si512(low[s], _mm512_set1_epi8((char)0x80));
        else if (f->low == 4)
            code[s] = bits8(low[s % 4], s < 4 ? 0 : 4, 15);
        else
            code[s] = bits8(low[s % 2], s / 2 * 2, 3);
        if (f->high == 1)
            code[s] = _mm512_or_si512(code[s], bits8(high[0], s - f->low, 1 << f->low));
        if (f->high == 2)
            code[s] = _mm512_or_si512(code[s], bits8(high[s % 2], s / 2 * 2 - f->low, 3 << f->low));
    }
}

INLINE void unpack_super(const struct tt_format *f, const uint8_t *p, struct super *s) {
    s->d = halves(p);
    if (f->super == 64)
        s->dmin = _mm512_sub_ps(_mm512_setzero_ps(), halves(p + 32));
}

INLINE __m512i nibbles(const uint8_t *p, int shift) {
    return _mm512_and_si512(_mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)), shift), _mm512_set1_epi32(15));
}

INLINE void unpack(const struct tt_format *f, const struct super *s, const uint8_t *p, struct block *w) {
    if (!f->super) {
        w->scale[0] = halves(p);
        if (!f->offset)
            w->min[0] = halves(p + 32);
        unpack_codes(f, p + (f->offset ? 32 : 64), w->code);
        return;
    }
    if (f->groups == 1) { // Q4_K, Q5_K
        w->scale[0] = _mm512_mul_ps(s->d, unsigned_bytes(p));
        w->min[0] = _mm512_mul_ps(s->dmin, unsigned_bytes(p + 16));
    } else if (f->super == 64) { // Q2_K
        for (int g = 0; g < 2; g++) {
            w->scale[g] = _mm512_mul_ps(s->d, _mm512_cvtepi32_ps(nibbles(p + 16 * g, 0)));
            w->min[g] = _mm512_mul_ps(s->dmin, _mm512_cvtepi32_ps(nibbles(p + 16 * g, 4)));
        }
    } else { // Q3_K, Q6_K
        for (int g = 0; g < 2; g++)
            w->scale[g] = _mm512_mul_ps(s->d, signed_bytes(p + 16 * g));
    }
    unpack_codes(f, p + 32, w->code);
}

// acc += four products in each lane: the codes of a quad and the four inputs at p. Assembly, because gcc 12 neither folds the broadcast into
// the instruction nor keeps sums in place: its copies cost an eighth of the time.
INLINE __m512i dot4(__m512i acc, __m512i code, const int8_t *p) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(code), "m"(*(const int8_t(*)[4])p));
    return acc;
}

// y += a * b
INLINE __m512 add_scaled(__m512 y, __m512 a, __m512 b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(y) : "v"(a), "v"(b));
    return y;
}

// y += a * the record's sum of inputs
INLINE __m512 add_sum(__m512 y, __m512 a, const struct tt_record *rec, int g) {
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(y) : "v"(a), "m"(rec->sum[g]));
    return y;
}

// TT_HIGH * high + low
INLINE __m512i whole(__m512i high, __m512i low) {
    return _mm512_add_epi32(low, _mm512_sub_epi32(_mm512_slli_epi32(high, 8), _mm512_add_epi32(high, high)));
}

// n records, at x + at[k], with one unpacked block. The rows take turns, so that twice as many chains of sums run side by side.
#define TURN 4
INLINE void add_records(const struct tt_format *f, const struct block *w, const uint8_t *x, const size_t *at, int n, __m512 *y) {
    const struct tt_record *rec[TURN];
    __m512i high[TURN], low[TURN];
    int quads = 8 / f->groups;
    for (int k = 0; k < n; k++)
        rec[k] = (const struct tt_record *)(x + at[k]);
    for (int g = 0; g < f->groups; g++) {
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) {
            high[k] = _mm512_setzero_si512();
            low[k] = f->offset ? _mm512_set1_epi32(rec[k]->off[g]) : _mm512_setzero_si512();
        }
#pragma GCC unroll 8
        for (int s = g * quads; s < g * quads + quads; s++)
#pragma GCC unroll 4
            for (int k = 0; k < n; k++) {
                high[k] = dot4(high[k], w->code[s], rec[k]->high + 4 * s);
                low[k] = dot4(low[k], w->code[s], rec[k]->low + 4 * s);
            }
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) {
            __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(whole(high[k], low[k])), _mm512_set1_ps(rec[k]->dx));
            y[k] = add_scaled(y[k], w->scale[g], sum);
            if (!f->offset)
                y[k] = add_sum(y[k], w->min[g], rec[k], g);
        }
    }
}

INLINE void store(const struct tt_product *p, int t, int i, __m512 y) {
    int rows = p->rows - t * TT_TILE;
    __mmask16 mask = rows >= TT_TILE ? 0xffff : (__mmask16)((1u << rows) - 1);
    _mm512_mask_storeu_ps(p->y + (size_t)i * p->ldy + (size_t)t * TT_TILE, mask, y);
}

// Asks for weights some blocks ahead. With few rows this only costs, a quarter of the time on a Zen 4; with many the processor's own prefetcher, which follows
// the loads, falls behind the work on each.
enum { AHEAD = 4096, MANY = 2 };
INLINE void fetch(const uint8_t *w, int bytes) {
    for (int k = 0; k < bytes; k += 64)
        _mm_prefetch((const char *)w + AHEAD + k, _MM_HINT_T0);
}

// mr input rows from row i on, all of one group, with tile t.
INLINE void tile_rows(const struct tt_format *f, int mr, const struct tt_product *p, int t, int i) {
    const uint8_t *w = p->packed + t * p->tile, *x = p->scratch + tt_record_at(f, p->m, p->blocks, i, 0);
    size_t next = p->blocks > 1 ? tt_record_at(f, p->m, p->blocks, i, 1) - tt_record_at(f, p->m, p->blocks, i, 0) : 0;
    size_t at[8];
    __m512 y[8];
    struct super s = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    struct block block;
#pragma GCC unroll 8
    for (int k = 0; k < mr; k++) {
        at[k] = sizeof(struct tt_record) * k;
        y[k] = _mm512_setzero_ps();
    }
    for (int b = 0; b < p->blocks; b++, w += f->bytes, x += next) {
        if (f->super && b % 8 == 0) {
            unpack_super(f, w, &s);
            w += f->super;
        }
        if (mr >= MANY && i == 0)
            fetch(w, f->bytes);
        unpack(f, &s, w, &block);
#pragma GCC unroll 2
        for (int j = 0; j < mr; j += TURN)
            add_records(f, &block, x, at + j, mr < TURN ? mr : TURN, y + j);
    }
#pragma GCC unroll 8
    for (int k = 0; k < mr; k++)
        store(p, t, i + k, y[k]);
}

INLINE void all_rows(const struct tt_format *f, const struct tt_product *p, int tile0, int tile1) {
    for (int t = tile0; t < tile1; t++) {
        int i = 0; // rows done
        for (; i + 8 <= p->m; i += 8)
            tile_rows(f, 8, p, t, i);
        if ((p->m - i) & 4) {
            tile_rows(f, 4, p, t, i);
            i += 4;
        }
        if ((p->m - i) & 2) {
            tile_rows(f, 2, p, t, i);
            i += 2;
        }
        if (i < p->m)
            tile_rows(f, 1, p, t, i);
    }
}

// One kernel for each format, whose fields are constants in it.
#define KERNEL(name, at)                                                      \
    VNNI static void name(const struct tt_product *p, int tile0, int tile1) { \
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
    default: tt_floats_avx512(p, tile0, tile1);
    }
}

// TT_HIGH times the sum of 16 high bytes, and that of the low ones.
INLINE int32_t sum_bytes(__m128i high, __m128i low) {
    __m128i ones = _mm_set1_epi8(1), h = _mm_dpbusd_epi32(_mm_setzero_si128(), ones, high), v = _mm_dpbusd_epi32(_mm_setzero_si128(), ones, low);
    v = _mm_add_epi32(v, _mm_mullo_epi32(h, _mm_set1_epi32(TT_HIGH)));
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1)));
}

// Rounds 32 inputs; see quantise_block of plain.c, whose bits these are.
INLINE void quantise_block(const struct tt_format *f, const float *x, struct tt_record *rec) {
    __m512 v[2] = {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)};
    __m512i sign = _mm512_set1_epi32(0x7fffffff);
    __m512i bits = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(v[0]), sign), _mm512_and_si512(_mm512_castps_si512(v[1]), sign));
    float max = tt_largest_input(_mm512_reduce_max_epu32(bits)), scale = max < TT_TINY ? 0 : 127.0f / max;
    int32_t sum[2];
    rec->dx = max < TT_TINY ? 0 : max / TT_MOST;
    for (int k = 0; k < 2; k++) {
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(v[k], _mm512_set1_ps(scale)));
        __m512 rest = _mm512_sub_ps(v[k], _mm512_mul_ps(_mm512_set1_ps(TT_HIGH * rec->dx), _mm512_cvtepi32_ps(q)));
        __m128i high = _mm512_cvtepi32_epi8(q), low = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(rest, _mm512_set1_ps(TT_HIGH * scale))));
        _mm_storeu_si128((__m128i *)(rec->high + 16 * k), high);
        _mm_storeu_si128((__m128i *)(rec->low + 16 * k), low);
        sum[k] = sum_bytes(high, low);
    }
    tt_record_sums(f, rec, sum[0], sum[1]);
}

VNNI static void quantise(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks) {
    for (int b = 0; b < blocks; b++)
        quantise_block(f, x + b * TT_COLS, (struct tt_record *)(record + b * stride));
}

static int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("avx2") && tt_has_f16c();
}

const struct tt_isa tt_avx512vnni = {"avx512vnni", usable, quantise, linear, tt_attend_avx512, tt_halve_f16c};
#endif
