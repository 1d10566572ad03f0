// SPDX-License-Identifier: Apache-2.0

// Rounding of inputs with AVX2; the bits are those of quantise_block in plain.c.
#if defined(__x86_64__)
#include <immintrin.h>

#include "tile.h"

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define INLINE AVX2 static inline __attribute__((always_inline))

INLINE __m256i magnitude(__m256 v) { return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff)); }

INLINE uint32_t largest(__m256i v) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(m);
}

INLINE int32_t total(__m128i m) {
    m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

// Sums of each four bytes.
INLINE __m256i fours(__m256i bytes) { return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1)); }

// Packing works within 128-bit lanes, which leaves words of four bytes in the order 0 2 4 6 1 3 5 7.
INLINE __m256i bytes(const __m256i *q) {
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Rounds 32 inputs; see quantise_block of plain.c, whose bits these are.
INLINE void quantise_block(const struct tt_format *f, const float *x, struct tt_record *rec) {
    __m256 v[4];
    __m256i high[4], low[4], top = _mm256_setzero_si256();
    for (int k = 0; k < 4; k++) {
        v[k] = _mm256_loadu_ps(x + 8 * k);
        top = _mm256_max_epi32(top, magnitude(v[k]));
    }
    float max = tt_largest_input(largest(top)), scale = max < TT_TINY ? 0 : 127.0f / max;
    rec->dx = max < TT_TINY ? 0 : max / TT_MOST;
    for (int k = 0; k < 4; k++) {
        high[k] = _mm256_cvtps_epi32(_mm256_mul_ps(v[k], _mm256_set1_ps(scale)));
        __m256 rest = _mm256_sub_ps(v[k], _mm256_mul_ps(_mm256_set1_ps(TT_HIGH * rec->dx), _mm256_cvtepi32_ps(high[k])));
        low[k] = _mm256_cvtps_epi32(_mm256_mul_ps(rest, _mm256_set1_ps(TT_HIGH * scale)));
    }
    __m256i h = bytes(high), l = bytes(low), sum = _mm256_add_epi32(_mm256_mullo_epi32(fours(h), _mm256_set1_epi32(TT_HIGH)), fours(l));
    _mm256_storeu_si256((__m256i *)rec->high, h);
    _mm256_storeu_si256((__m256i *)rec->low, l);
    tt_record_sums(f, rec, total(_mm256_castsi256_si128(sum)), total(_mm256_extracti128_si256(sum, 1)));
}

AVX2 void tt_quantise_avx2(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks) {
    for (int b = 0; b < blocks; b++)
        quantise_block(f, x + b * TT_COLS, (struct tt_record *)(record + b * stride));
}
#endif
