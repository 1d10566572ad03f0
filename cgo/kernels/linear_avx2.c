// SPDX-License-Identifier: Apache-2.0

// Products with AVX2: pairs of products in 16 bits, as many quads as cannot overflow, then in 32 bits.
#if defined(__x86_64__)
#define YMM __attribute__((target("avx2,fma,f16c")))
#include "ymm.h"

INLINE __m256i dot_codes(int n, const __m256i *code, const int8_t *q) {
    __m256i acc = _mm256_maddubs_epi16(code[0], four_inputs(q));
    for (int s = 1; s < n; s++)
        acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(code[s], four_inputs(q + 4 * s)));
    return _mm256_madd_epi16(acc, _mm256_set1_epi16(1));
}

// The first factor must be unsigned: the code's sign goes to the input, which is never -128 and so can be negated.
INLINE __m256i dot_bytes(__m256i acc, __m256i code, const int8_t *q) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(four_inputs(q), code));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && tt_has_f16c();
}

const struct tt_isa tt_avx2 = {"avx2", usable, tt_quantise_avx2, linear, tt_attend_avx2, tt_halve_f16c};
#endif
