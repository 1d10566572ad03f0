// SPDX-License-Identifier: Apache-2.0

// Products with AVX-VNNI: four products summed in one instruction, on processors that have it but not AVX-512.
#if defined(__x86_64__)
#define YMM __attribute__((target("avx2,fma,f16c,avxvnni")))
#include "ymm.h"

INLINE __m256i dot_codes(int n, const __m256i *code, const int8_t *q) {
    __m256i acc = _mm256_setzero_si256();
    for (int s = 0; s < n; s++)
        acc = _mm256_dpbusd_avx_epi32(acc, code[s], four_inputs(q + 4 * s));
    return acc;
}

// The first factor must be unsigned: the code's sign goes to the input, which is never -128 and so can be negated.
INLINE __m256i dot_bytes(__m256i acc, __m256i code, const int8_t *q) {
    return _mm256_dpbusd_avx_epi32(acc, _mm256_abs_epi8(code), _mm256_sign_epi8(four_inputs(q), code));
}

static int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && tt_has_f16c() && tt_has_avxvnni();
}

const struct tt_isa tt_avxvnni = {"avxvnni", usable, tt_quantise_avx2, linear, tt_attend_avx2, tt_halve_f16c};
#endif
