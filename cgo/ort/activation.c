// SPDX-License-Identifier: Apache-2.0

#include "activation.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

// The compiler makes one version of a loop for each instruction set and the loader picks one; elsewhere there is one version.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define VERSIONS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VERSIONS
#endif

// exp(x) within 2 units in the last place between -87 and 88, where it is cut off: x = n ln 2 + r, then the Taylor series to r^7/7!, whose rest is
// below 2^-26 for |r| <= ln(2)/2. Written without branches, so that loops over it become vectors.
static inline float exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  float n = x * 1.44269504f + 12582912.0f;  // 1.5 · 2^23: rounds to the nearest whole number
  n -= 12582912.0f;
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;  // ln 2 in two parts; products with the first are exact
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t bits = ((int32_t)n + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return p * power;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

VERSIONS static void silu(float* restrict h, const float* restrict gate, const float* restrict up, size_t n) {
  for (size_t i = 0; i < n; i++) h[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

// gelu's tanh form is x · sigmoid(2 · sqrt(2/pi) · (x + 0.044715 x³)).
VERSIONS static void gelu_tanh(float* restrict h, const float* restrict gate, const float* restrict up, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float x = gate[i];
    h[i] = x * sigmoid(1.59576912f * (x + 0.044715f * x * x * x)) * up[i];
  }
}

static void gelu(float* h, const float* gate, const float* up, size_t n) {
  for (size_t i = 0; i < n; i++) h[i] = 0.5f * gate[i] * (1.0f + erff(gate[i] * 0.70710678f)) * up[i];
}

// Ones to multiply with where there is no up.
enum { BLOCK = 256 };

void tt_activate(int kind, float* h, const float* gate, const float* up, size_t n) {
  void (*f)(float*, const float*, const float*, size_t) = kind == TT_SILU ? silu : kind == TT_GELU ? gelu : gelu_tanh;
  if (up != NULL) {
    f(h, gate, up, n);
    return;
  }
  float ones[BLOCK];
  for (size_t i = 0; i < BLOCK; i++) ones[i] = 1.0f;
  for (size_t i = 0; i < n; i += BLOCK) f(h + i, gate + i, ones, n - i < BLOCK ? n - i : BLOCK);
}

VERSIONS void tt_softmax(float* restrict y, const float* restrict x, size_t n) {
  float most = x[0], sum = 0;
  for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
  for (size_t i = 0; i < n; i++) y[i] = exponential(x[i] - most);
  for (size_t i = 0; i < n; i++) sum += y[i];
  for (size_t i = 0; i < n; i++) y[i] /= sum;
}

VERSIONS void tt_sigmoid(float* restrict y, const float* restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = sigmoid(x[i]);
}
