// SPDX-License-Identifier: Apache-2.0

// Attention with AVX2: 16 floats are two registers, 4 sums are kept.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#define SIMD __attribute__((target("avx2,fma,f16c")))
#define V SIMD static inline __attribute__((always_inline))
#define MOST 4
#define ACROSS(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)
typedef struct {
    __m256 a, b;
} v16;

V v16 set1(float x) { return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
V v16 load32(const float *p) { return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
V v16 load16(const uint8_t *p) {
    return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 16)))};
}
V __m256 bytes8(const uint8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p))); }
V v16 load8(const uint8_t *p) { return (v16){bytes8(p), bytes8(p + 8)}; }
V void store(float *p, v16 v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
}
V v16 mul_add(v16 a, v16 b, v16 c) { return (v16){_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)}; }
V v16 mul(v16 a, v16 b) { return (v16){_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)}; }
V v16 sub(v16 a, v16 b) { return (v16){_mm256_sub_ps(a.a, b.a), _mm256_sub_ps(a.b, b.b)}; }
V v16 add(v16 a, v16 b) { return (v16){_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)}; }
V v16 divide(v16 a, v16 b) { return (v16){_mm256_div_ps(a.a, b.a), _mm256_div_ps(a.b, b.b)}; }
V __m256 sign8(__m256 a) { return _mm256_and_ps(a, _mm256_set1_ps(-0.0f)); }
V v16 magnitude(v16 a) { return (v16){_mm256_xor_ps(a.a, sign8(a.a)), _mm256_xor_ps(a.b, sign8(a.b))}; }
V v16 with_sign(v16 a, v16 b) { return (v16){_mm256_or_ps(a.a, sign8(b.a)), _mm256_or_ps(a.b, sign8(b.b))}; }
V v16 most(v16 a, v16 b) { return (v16){_mm256_max_ps(a.a, b.a), _mm256_max_ps(a.b, b.b)}; }
V __m256 nearest8(__m256 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V v16 nearest(v16 a) { return (v16){nearest8(a.a), nearest8(a.b)}; }
V __m256 power8(__m256 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
V v16 power(v16 n) { return (v16){power8(n.a), power8(n.b)}; }
V __m256 zero8(__m256 p, __m256 x, float least) { return _mm256_and_ps(p, _mm256_cmp_ps(x, _mm256_set1_ps(least), _CMP_NLT_UQ)); }
V v16 zero_below(v16 p, v16 x, float least) { return (v16){zero8(p.a, x.a, least), zero8(p.b, x.b, least)}; }
V float largest(v16 v) {
    __m256 m = _mm256_max_ps(v.a, v.b);
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}
V float total(v16 v) {
    __m256 m = _mm256_add_ps(v.a, v.b);
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}

#include "attend.h"

void tt_attend_avx2(struct tt_segment *s) {
    if (s->type == TT_F32)
        attend_f32(s);
    else if (s->type == TT_F16)
        attend_f16(s);
    else
        attend_i8(s);
}

SIMD void tt_halve_f16c(uint16_t *dst, const float *src, int n) {
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(dst + i), _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    if (i < n)
        tt_halve_plain(dst + i, src + i, n - i);
}
#endif
