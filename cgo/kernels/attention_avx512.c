// SPDX-License-Identifier: Apache-2.0

// Attention with AVX-512: 16 floats are one register, up to 24 sums are kept.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#define SIMD __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define V SIMD static inline __attribute__((always_inline))
#define MOST 24
#define ACROSS(rows) ((rows) == 24 ? 1 : (rows) == 8 ? 2 : 4)
typedef __m512 v16;

V v16 set1(float x) { return _mm512_set1_ps(x); }
V v16 load32(const float *p) { return _mm512_loadu_ps(p); }
V v16 load16(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
V v16 load8(const uint8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p))); }
V void store(float *p, v16 v) { _mm512_storeu_ps(p, v); }
V v16 mul_add(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
V v16 mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
V v16 sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
V v16 add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
V v16 divide(v16 a, v16 b) { return _mm512_div_ps(a, b); }
V v16 magnitude(v16 a) { return _mm512_abs_ps(a); }
V v16 with_sign(v16 a, v16 b) { return _mm512_or_ps(a, _mm512_and_ps(b, _mm512_set1_ps(-0.0f))); }
V v16 most(v16 a, v16 b) { return _mm512_max_ps(a, b); }
V v16 nearest(v16 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V v16 power(v16 n) { return _mm512_scalef_ps(_mm512_set1_ps(1), n); }
V v16 zero_below(v16 p, v16 x, float least) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, set1(least), _CMP_NLT_UQ), p); }
V float largest(v16 v) { return _mm512_reduce_max_ps(v); }
V float total(v16 v) { return _mm512_reduce_add_ps(v); }

#include "attend.h"

void tt_attend_avx512(struct tt_segment *s) {
    if (s->type == TT_F32)
        attend_f32(s);
    else if (s->type == TT_F16)
        attend_f16(s);
    else
        attend_i8(s);
}
#endif
