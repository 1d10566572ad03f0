// SPDX-License-Identifier: Apache-2.0

// The arithmetic of hooks.Op on one row, with the operations in the order of the graph's nodes. Sums run in double precision, so that the result is within
// rounding of what the nodes give and does not depend on anything but the row.

#include <math.h>
#include <stddef.h>

#include "steps.h"

static float dot(const float* a, const float* b, int64_t n) {
  double s[4] = {0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int j = 0; j < 4; j++) s[j] += (double)a[i + j] * b[i + j];
  for (; i < n; i++) s[0] += (double)a[i] * b[i];
  return (float)((s[0] + s[1]) + (s[2] + s[3]));
}

// h += f · v
static void along(float* restrict h, float f, const float* restrict v, int64_t n) {
  for (int64_t i = 0; i < n; i++) h[i] += f * v[i];
}

static void keep_norm(const tt_step* s, float* h, int64_t n) {
  float before = sqrtf(dot(h, h, n));
  along(h, s->c, s->v[0], n);
  float after = fmaxf(sqrtf(dot(h, h, n)), 0x1p-100f);  // the floor keeps a zero row zero
  float factor = before / after;
  for (int64_t i = 0; i < n; i++) h[i] *= factor;
}

static void rotate(const tt_step* s, float* h, int64_t n) {
  float p = dot(h, s->v[0], n), q = dot(h, s->v[1], n), r = sqrtf(p * p + q * q);
  along(h, s->c * (r * s->x0 - p), s->v[0], n);
  along(h, s->c * (r * s->x1 - q), s->v[1], n);
}

static void raise(const tt_step* s, float* h, int64_t n) {
  float high = h[0], low = h[0];
  for (int64_t i = 1; i < n; i++) {
    high = h[i] > high ? h[i] : high;
    low = h[i] < low ? h[i] : low;
  }
  high += 0.01f, low -= 0.01f;
  for (int64_t i = 0; i < n; i++) {
    float x = h[i];
    h[i] = (x + s->c * (high - x) * s->v[0][i]) + s->c * (low - x) * s->v[1][i];
  }
}

void tt_edit(const tt_step* s, float* h, int64_t n) {
  if (s->c == 0) return;
  float p;
  switch (s->op) {
    case TT_ADD: along(h, s->c, s->v[0], n); return;
    case TT_ADD_KEEP_NORM: keep_norm(s, h, n); return;
    case TT_PROJECT: along(h, -(s->c * dot(h, s->v[0], n)), s->v[0], n); return;
    case TT_PROJECT_POSITIVE: along(h, -(s->c * fmaxf(dot(h, s->v[0], n), 0)), s->v[0], n); return;
    case TT_CLAMP:
      p = dot(h, s->v[0], n);
      along(h, s->c * (fminf(fmaxf(p, s->x0), s->x1) - p), s->v[0], n);
      return;
    case TT_ROTATE: rotate(s, h, n); return;
    case TT_RAISE: raise(s, h, n); return;
  }
}
