// SPDX-License-Identifier: Apache-2.0

// Products of F32, F16 and BF16 weights with AVX2: exact weights, f32 inputs, one fused multiply-add a column for 8 rows.
// Rows of y are summed column after column, whatever m is.
#if defined(__x86_64__)
#include <immintrin.h>

#include "tile.h"

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define INLINE AVX2 static inline __attribute__((always_inline))

INLINE __m256 column(int type, const uint8_t *p) {
    if (type == TT_F32)
        return _mm256_loadu_ps((const float *)p);
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    if (type == TT_F16)
        return _mm256_cvtph_ps(v);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
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

// mr input rows from row i on, all of one group, with nt tiles `step` tiles apart; two halves of eight rows each.
INLINE void tiles_rows(int type, int mr, int nt, const struct tt_product *p, int t, int step, int i) {
    const struct tt_format *f = p->f;
    const uint8_t *w = p->packed + t * p->tile, *x = p->scratch + tt_record_at(f, p->m, p->blocks, i, 0);
    size_t next = p->blocks > 1 ? tt_record_at(f, p->m, p->blocks, i, 1) - tt_record_at(f, p->m, p->blocks, i, 0) : 0;
    size_t half = type == TT_F32 ? 32 : 16, far = step * p->tile;
    __m256 y[8];
#pragma GCC unroll 8
    for (int k = 0; k < 2 * mr * nt; k++)
        y[k] = _mm256_setzero_ps();
    for (int b = 0; b < p->blocks; b++, x += next)
        for (int c = 0; c < TT_COLS; c++, w += 2 * half) {
#pragma GCC unroll 8
            for (int k = 0; k < 2 * mr * nt; k++) {
                int row = k / 2 % mr, tile = k / 2 / mr;
                __m256 in = _mm256_set1_ps(tt_load_f32(x + (size_t)f->record * row + 4 * c));
                y[k] = _mm256_fmadd_ps(column(type, w + tile * far + k % 2 * half), in, y[k]);
            }
        }
#pragma GCC unroll 8
    for (int k = 0; k < 2 * mr * nt; k++)
        store(p, t + k / 2 / mr * step, k % 2, i + k / 2 % mr, y[k]);
}

INLINE void all_rows(int type, const struct tt_product *p, int tile0, int tile1) {
    int quarter = p->m == 1 ? (tile1 - tile0) / 4 : 0, i;
    for (int t = tile0; t < tile0 + quarter; t++)
        tiles_rows(type, 1, 4, p, t, quarter, 0);
    for (int t = tile0 + 4 * quarter; t < tile1; t++) {
        for (i = 0; i + 4 <= p->m; i += 4)
            tiles_rows(type, 4, 1, p, t, 0, i);
        for (; i < p->m; i++)
            tiles_rows(type, 1, 1, p, t, 0, i);
    }
}

AVX2 void tt_floats_avx2(const struct tt_product *p, int tile0, int tile1) {
    if (p->f->type == TT_F32)
        all_rows(TT_F32, p, tile0, tile1);
    else if (p->f->type == TT_F16)
        all_rows(TT_F16, p, tile0, tile1);
    else
        all_rows(TT_BF16, p, tile0, tile1);
}
#endif
