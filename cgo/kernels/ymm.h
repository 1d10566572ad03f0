// SPDX-License-Identifier: Apache-2.0

// Products with 256-bit vectors, for a file that says how products are summed: it defines YMM, the functions' target attribute, before it
// includes this, and dot_codes and dot_bytes after.
//
// The arithmetic is linear_vnni.c's, with the same bits as result; a tile's 16 rows are two halves of eight.
#include <immintrin.h>

#include "tile.h"

#define INLINE YMM static inline __attribute__((always_inline))

// Sums of n quads' products as int32 in eight lanes: codes below 64, n so few that pairs of products, summed, stay below 2^15.
INLINE __m256i dot_codes(int n, const __m256i *code, const int8_t *q);
// acc plus one quad's products; the codes are signed bytes.
INLINE __m256i dot_bytes(__m256i acc, __m256i code, const int8_t *q);

struct half {
    __m256i code[8];
    __m256 scale[2], min[2];
};

struct super {
    __m256 d, dmin;
};

INLINE __m256 halves(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

INLINE __m256i widen(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }

INLINE __m256 unsigned_bytes(const uint8_t *p) { return _mm256_cvtepi32_ps(widen(p)); }

INLINE __m256 signed_bytes(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

// (v >> n) & mask, or << for negative n; neighbours' bits are masked off.
INLINE __m256i bits8(__m256i v, int n, int mask) {
    v = n >= 0 ? _mm256_srli_epi16(v, n > 0 ? n : 0) : _mm256_slli_epi16(v, n < 0 ? -n : 0);
    return _mm256_and_si256(v, _mm256_set1_epi8((char)mask));
}

// The codes of eight rows: p is the first plane, or 32 bytes into it for the second half.
INLINE void unpack_codes(const struct tt_format *f, const uint8_t *p, __m256i *code) {
    __m256i low[8], high[2];
    for (int i = 0; i < f->low; i++)
        low[i] = _mm256_loadu_si256((const __m256i *)(p + 64 * i));
    for (int i = 0; i < f->high; i++)
        high[i] = _mm256_loadu_si256((const __m256i *)(p + 64 * (f->low + i)));
    for (int s = 0; s < 8; s++) {
        if (f->low == 8)
            code[s] = low[s];
        else if (f->low == 4)
            code[s] = bits8(low[s % 4], s < 4 ? 0 : 4, 15);
        else
            code[s] = bits8(low[s % 2], s / 2 * 2, 3);
        if (f->high == 1)
            code[s] = _mm256_or_si256(code[s], bits8(high[0], s - f->low, 1 << f->low));
        if (f->high == 2)
            code[s] = _mm256_or_si256(code[s], bits8(high[s % 2], s / 2 * 2 - f->low, 3 << f->low));
    }
}

INLINE void unpack_super(const struct tt_format *f, const uint8_t *p, int h, struct super *s) {
    s->d = halves(p + 16 * h);
    if (f->super == 64)
        s->dmin = _mm256_sub_ps(_mm256_setzero_ps(), halves(p + 32 + 16 * h));
}

// Half h (rows 8h to 8h+7) of the block at p.
INLINE void unpack(const struct tt_format *f, const struct super *s, const uint8_t *p, int h, struct half *w) {
    if (!f->super) {
        w->scale[0] = halves(p + 16 * h);
        if (!f->offset)
            w->min[0] = halves(p + 32 + 16 * h);
        unpack_codes(f, p + (f->offset ? 32 : 64) + 32 * h, w->code);
        return;
    }
    const uint8_t *a = p + 8 * h, *b = p + 16 + 8 * h;
    if (f->groups == 1) { // Q4_K, Q5_K
        w->scale[0] = _mm256_mul_ps(s->d, unsigned_bytes(a));
        w->min[0] = _mm256_mul_ps(s->dmin, unsigned_bytes(b));
    } else if (f->super == 64) { // Q2_K
        __m256i low = _mm256_set1_epi32(15);
        w->scale[0] = _mm256_mul_ps(s->d, _mm256_cvtepi32_ps(_mm256_and_si256(widen(a), low)));
        w->scale[1] = _mm256_mul_ps(s->d, _mm256_cvtepi32_ps(_mm256_and_si256(widen(b), low)));
        w->min[0] = _mm256_mul_ps(s->dmin, _mm256_cvtepi32_ps(_mm256_srli_epi32(widen(a), 4)));
        w->min[1] = _mm256_mul_ps(s->dmin, _mm256_cvtepi32_ps(_mm256_srli_epi32(widen(b), 4)));
    } else { // Q3_K, Q6_K
        w->scale[0] = _mm256_mul_ps(s->d, signed_bytes(a));
        w->scale[1] = _mm256_mul_ps(s->d, signed_bytes(b));
    }
    unpack_codes(f, p + 32 + 32 * h, w->code);
}

INLINE __m256i four_inputs(const int8_t *q) {
    int32_t v;
    memcpy(&v, q, 4);
    return _mm256_set1_epi32(v);
}

// Sums of products of the quads q0 to q0+n with one byte of each input.
INLINE __m256i dot_quads(const struct tt_format *f, const struct half *w, const int8_t *q, int q0, int n) {
    // Quads whose pairs of products, at most 2 * 127 * (2^bits - 1) each, fit 16 bits.
    int bits = f->low + f->high, step = bits == 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 4;
    __m256i acc = _mm256_setzero_si256();
    for (int s = q0; s < q0 + n && bits == 8; s++)
        acc = dot_bytes(acc, w->code[s], q + 4 * s);
    for (int s = q0; s < q0 + n && bits < 8; s += step)
        acc = _mm256_add_epi32(acc, dot_codes(step, w->code + s, q + 4 * s));
    return acc;
}

// One record with one unpacked half block.
INLINE __m256 add_record(const struct tt_format *f, const struct half *w, const struct tt_record *rec, __m256 y) {
    int quads = 8 / f->groups;
    for (int g = 0; g < f->groups; g++) {
        __m256i high = dot_quads(f, w, rec->high, g * quads, quads), acc = dot_quads(f, w, rec->low, g * quads, quads);
        acc = _mm256_add_epi32(acc, _mm256_sub_epi32(_mm256_slli_epi32(high, 8), _mm256_add_epi32(high, high))); // TT_HIGH times
        if (f->offset && f->low < 8)
            acc = _mm256_add_epi32(acc, _mm256_set1_epi32(rec->off[g]));
        __m256 sum = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_set1_ps(rec->dx));
        y = _mm256_fmadd_ps(w->scale[g], sum, y);
        if (!f->offset)
            y = _mm256_fmadd_ps(w->min[g], _mm256_set1_ps(rec->sum[g]), y);
    }
    return y;
}

INLINE void store(const struct tt_product *p, int t, int h, int i, __m256 y) {
    float *dst = p->y + (size_t)i * p->ldy + (size_t)t * TT_TILE + 8 * h, tmp[8];
    int rows = p->rows - t * TT_TILE - 8 * h;
    if (rows >= 8) {
        _mm256_storeu_ps(dst, y);
        return;
    }
    _mm256_storeu_ps(tmp, y);
    for (int r = 0; r < rows; r++)
        dst[r] = tmp[r];
}

INLINE size_t next_block(const struct tt_product *p, const struct tt_format *f, int i) {
    return p->blocks > 1 ? tt_record_at(f, p->m, p->blocks, i, 1) - tt_record_at(f, p->m, p->blocks, i, 0) : 0;
}

// Asks for weights some blocks ahead: with many rows the processor's own prefetcher, which follows the loads, falls behind the work on each.
INLINE void fetch(const uint8_t *w, int bytes) {
    for (int k = 0; k < bytes; k += 64)
        _mm_prefetch((const char *)w + 8192 + k, _MM_HINT_T0);
}

// mr input rows from row i on, all of one group, with half h of tile t.
INLINE void half_rows(const struct tt_format *f, int mr, const struct tt_product *p, int t, int h, int i) {
    const uint8_t *w = p->packed + t * p->tile, *x = p->scratch + tt_record_at(f, p->m, p->blocks, i, 0);
    size_t next = next_block(p, f, i);
    __m256 y[4];
#pragma GCC unroll 4
    for (int k = 0; k < mr; k++)
        y[k] = _mm256_setzero_ps();
    struct super s = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    struct half half;
    for (int b = 0; b < p->blocks; b++, w += f->bytes, x += next) {
        if (f->super && b % 8 == 0) {
            unpack_super(f, w, h, &s);
            w += f->super;
        }
        if (i == 0 && h == 0)
            fetch(w, f->bytes);
        unpack(f, &s, w, h, &half);
#pragma GCC unroll 4
        for (int k = 0; k < mr; k++)
            y[k] = add_record(f, &half, (const struct tt_record *)x + k, y[k]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < mr; k++)
        store(p, t, h, i + k, y[k]);
}

// One input row with both halves of a tile, so that memory is read in its order.
INLINE void one_row(const struct tt_format *f, const struct tt_product *p, int t, int i) {
    const uint8_t *w = p->packed + t * p->tile, *x = p->scratch + tt_record_at(f, p->m, p->blocks, i, 0);
    size_t next = next_block(p, f, i);
    __m256 y[2];
    struct super s[2];
    struct half half;
    for (int h = 0; h < 2; h++)
        y[h] = s[h].d = s[h].dmin = _mm256_setzero_ps();
    for (int b = 0; b < p->blocks; b++, w += f->bytes, x += next) {
        if (f->super && b % 8 == 0) {
            unpack_super(f, w, 0, &s[0]);
            unpack_super(f, w, 1, &s[1]);
            w += f->super;
        }
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            unpack(f, &s[h], w, h, &half);
            y[h] = add_record(f, &half, (const struct tt_record *)x, y[h]);
        }
    }
    store(p, t, 0, i, y[0]);
    store(p, t, 1, i, y[1]);
}

INLINE void all_rows(const struct tt_format *f, const struct tt_product *p, int tile0, int tile1) {
    for (int t = tile0; t < tile1; t++) {
        int i = 0; // rows done
        for (; i + 2 <= p->m; i += 2) {
            half_rows(f, 2, p, t, 0, i);
            half_rows(f, 2, p, t, 1, i);
        }
        if (i < p->m)
            one_row(f, p, t, i);
    }
}

// One kernel for each format, whose fields are constants in it.
#define KERNEL(name, at)                                                     \
    YMM static void name(const struct tt_product *p, int tile0, int tile1) { \
        all_rows(&TT_FORMATS[at], p, tile0, tile1);                          \
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
    default: tt_floats_avx2(p, tile0, tile1);
    }
}
