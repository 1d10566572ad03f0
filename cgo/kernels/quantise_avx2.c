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

// Rounds 32 inputs, and leaves in v what rounding left over; see plain.c, whose bits these are.
INLINE void quantise_block(const struct tt_format *f, __m256 *v, struct tt_record *rec) {
    __m256i q[4], top = _mm256_setzero_si256();
    for (int k = 0; k < 4; k++)
        top = _mm256_max_epi32(top, magnitude(v[k]));
    float max = tt_f32_of_bits(largest(top)), inverse = max < TT_TINY ? 0 : 127.0f / max;
    rec->dx = max < TT_TINY ? 0 : max / 127.0f;
    for (int k = 0; k < 4; k++) {
        q[k] = _mm256_cvtps_epi32(_mm256_mul_ps(v[k], _mm256_set1_ps(inverse)));
        v[k] = _mm256_sub_ps(v[k], _mm256_mul_ps(_mm256_set1_ps(rec->dx), _mm256_cvtepi32_ps(q[k])));
    }
    // Packing works within 128-bit lanes, which leaves words of four bytes in the order 0 2 4 6 1 3 5 7.
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)rec->q, packed);
    __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), packed), _mm256_set1_epi16(1));
    tt_record_sums(f, rec, total(_mm256_castsi256_si128(fours)), total(_mm256_extracti128_si256(fours, 1)));
}

AVX2 void tt_quantise_avx2(const struct tt_format *f, const float *x, uint8_t *record, size_t stride, int blocks) {
    for (int b = 0; b < blocks; b++, x += TT_COLS, record += stride) {
        __m256 v[4];
        for (int k = 0; k < 4; k++)
            v[k] = _mm256_loadu_ps(x + 8 * k);
        quantise_block(f, v, (struct tt_record *)record);
        quantise_block(f, v, (struct tt_record *)record + 1);
    }
}
#endif
