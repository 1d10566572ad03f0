// SPDX-License-Identifier: Apache-2.0

// Products of F32, F16 and BF16 weights with AVX-512: exact weights, f32 inputs, one fused multiply-add a column for 16 rows.
// Rows of y are summed column after column, whatever m is.
#if defined(__x86_64__)
#include <immintrin.h>

#include "tile.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define INLINE AVX512 static inline __attribute__((always_inline))

INLINE __m512 column(int type, const uint8_t *p) {
    if (type == TT_F32)
        return _mm512_loadu_ps(p);
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    if (type == TT_F16)
        return _mm512_cvtph_ps(v);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

// mr input rows from row i on, all of one group, with nt tiles `step` tiles apart.
INLINE void tiles_rows(int type, int mr, int nt, const struct tt_product *p, int t, int step, int i) {
    const struct tt_format *f = p->f;
    const uint8_t *w = p->packed + t * p->tile, *x = p->scratch + tt_record_at(f, p->m, p->blocks, i, 0);
    size_t next = p->blocks > 1 ? tt_record_at(f, p->m, p->blocks, i, 1) - tt_record_at(f, p->m, p->blocks, i, 0) : 0;
    size_t size = type == TT_F32 ? 64 : 32, far = step * p->tile;
    __m512 y[8];
#pragma GCC unroll 8
    for (int k = 0; k < mr * nt; k++)
        y[k] = _mm512_setzero_ps();
    for (int b = 0; b < p->blocks; b++, x += next)
        for (int c = 0; c < TT_COLS; c++, w += size) {
#pragma GCC unroll 8
            for (int k = 0; k < mr * nt; k++) {
                __m512 in = _mm512_set1_ps(tt_load_f32(x + (size_t)f->record * (k % mr) + 4 * c));
                y[k] = _mm512_fmadd_ps(column(type, w + k / mr * far), in, y[k]);
            }
        }
#pragma GCC unroll 8
    for (int k = 0; k < mr * nt; k++) {
        int tile = t + k / mr * step, rows = p->rows - tile * TT_TILE;
        __mmask16 mask = rows >= TT_TILE ? 0xffff : (__mmask16)((1u << rows) - 1);
        _mm512_mask_storeu_ps(p->y + (size_t)(i + k % mr) * p->ldy + (size_t)tile * TT_TILE, mask, y[k]);
    }
}

INLINE void all_rows(int type, const struct tt_product *p, int tile0, int tile1) {
    int quarter = p->m == 1 ? (tile1 - tile0) / 4 : 0, i;
    for (int t = tile0; t < tile0 + quarter; t++)
        tiles_rows(type, 1, 4, p, t, quarter, 0);
    for (int t = tile0 + 4 * quarter; t < tile1; t++) {
        for (i = 0; i + 8 <= p->m; i += 8)
            tiles_rows(type, 8, 1, p, t, 0, i);
        if ((p->m - i) & 4) {
            tiles_rows(type, 4, 1, p, t, 0, i);
            i += 4;
        }
        for (; i < p->m; i++)
            tiles_rows(type, 1, 1, p, t, 0, i);
    }
}

AVX512 void tt_floats_avx512(const struct tt_product *p, int tile0, int tile1) {
    if (p->f->type == TT_F32)
        all_rows(TT_F32, p, tile0, tile1);
    else if (p->f->type == TT_F16)
        all_rows(TT_F16, p, tile0, tile1);
    else
        all_rows(TT_BF16, p, tile0, tile1);
}
#endif
