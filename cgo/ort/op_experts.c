// SPDX-License-Identifier: Apache-2.0

// Experts(x, ids, weights, up, down) -> y: the chosen experts of a mixture, and none of the others.
//
//   x        float [1, n, width]
//   ids      int64 [1, n, k], the experts of each token; -1 is no expert
//   weights  float [1, n, k], what multiplies their outputs
//   up       uint8: for each expert one after the other, gate and up stacked [2 · hidden, width] (without a gate [hidden, width]), packed by cgo/kernels
//   down     uint8: for each expert [width, hidden], packed
//   y        float [1, n, width]: for each token the sum over its experts of weight · down(act(gate(x)) · up(x)), added in the order of expert numbers
//
// An expert of weight 0 is not computed. Tokens that chose the same expert run through it together. A row of y does not depend on the other rows.

#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "activation.h"
#include "ops.h"

typedef struct {
  int64_t experts, width, hidden, gated, activation, up_type, down_type;
} kernel;

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  if (tt_products == NULL) return tt_fail("Experts: no kernels are registered");
  kernel* k = calloc(1, sizeof *k);
  if (k == NULL) return tt_fail("Experts: out of memory");
  const struct {
    const char* name;
    int64_t* to;
  } numbers[] = {{"experts", &k->experts}, {"width", &k->width},           {"hidden", &k->hidden},      {"gated", &k->gated},
                 {"activation", &k->activation}, {"up_type", &k->up_type}, {"down_type", &k->down_type}};
  OrtStatus* st = NULL;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && st == NULL; i++) st = tt_attribute(info, numbers[i].name, numbers[i].to);
  if (st != NULL) return free(k), st;
  *out = k;
  return NULL;
}

// h[m][hidden] = act(gate) · up, read from rows of gate and up beside each other; without a gate, act(up).
static void combine(float* h, const float* up, int m, const kernel* k) {
  size_t n = (size_t)k->hidden;
  for (int i = 0; i < m; i++, h += n, up += k->gated ? 2 * n : n) tt_activate((int)k->activation, h, up, k->gated ? up + n : NULL, n);
}

// Scratch memory, cut into the pieces that one expert's tokens need.
typedef struct {
  int64_t* rows;  // token of each gathered row
  float* factor;  // its weight
  float *x, *up, *h, *y;
  void* scratch;
} memory;

static size_t take(size_t* at, size_t bytes) {
  size_t start = *at;
  *at += (bytes + 63) & ~(size_t)63;
  return start;
}

static int layout(memory* m, const kernel* k, int64_t n) {
  size_t at = 0, rows = (size_t)n, up_rows = (size_t)(k->gated ? 2 * k->hidden : k->hidden);
  size_t a = tt_products->scratch_bytes((int)k->up_type, (int)n, (int)k->width);
  size_t b = tt_products->scratch_bytes((int)k->down_type, (int)n, (int)k->hidden);
  size_t o_rows = take(&at, rows * sizeof(int64_t)), o_factor = take(&at, rows * 4), o_x = take(&at, rows * (size_t)k->width * 4);
  size_t o_up = take(&at, rows * up_rows * 4), o_h = take(&at, rows * (size_t)k->hidden * 4), o_y = take(&at, rows * (size_t)k->width * 4);
  size_t o_scratch = take(&at, a > b ? a : b);
  char* base = tt_scratch(at);
  if (base == NULL) return 1;
  *m = (memory){(int64_t*)(base + o_rows), (float*)(base + o_factor), (float*)(base + o_x), (float*)(base + o_up),
                (float*)(base + o_h),      (float*)(base + o_y),      base + o_scratch};
  return 0;
}

// Gathers the tokens that chose expert e and returns how many.
static int gather(memory* m, const kernel* k, int64_t e, const float* x, const int64_t* ids, const float* weights, int64_t n, int64_t slots) {
  int count = 0;
  for (int64_t t = 0; t < n; t++)
    for (int64_t s = 0; s < slots; s++)
      if (ids[t * slots + s] == e && weights[t * slots + s] != 0) {
        m->rows[count] = t;
        m->factor[count] = weights[t * slots + s];
        memcpy(m->x + (size_t)count * (size_t)k->width, x + t * k->width, (size_t)k->width * sizeof *x);
        count++;
        break;
      }
  return count;
}

static OrtStatus* run_expert(OrtKernelContext* ctx, const kernel* k, memory* m, int count, const void* up, const void* down, float* y) {
  int up_rows = (int)(k->gated ? 2 * k->hidden : k->hidden);
  OrtStatus* st = tt_multiply(ctx, &(tt_product){(int)k->up_type, up_rows, (int)k->width, count, up, m->x, m->up, m->scratch});
  if (st != NULL) return st;
  combine(m->h, m->up, count, k);
  st = tt_multiply(ctx, &(tt_product){(int)k->down_type, (int)k->width, (int)k->hidden, count, down, m->h, m->y, m->scratch});
  if (st != NULL) return st;
  for (int i = 0; i < count; i++) {
    float* out = y + m->rows[i] * k->width;
    const float* in = m->y + (size_t)i * (size_t)k->width;
    for (int64_t j = 0; j < k->width; j++) out[j] += m->factor[i] * in[j];
  }
  return NULL;
}

static OrtStatus* check(const kernel* k, const tt_tensor* in, size_t up_bytes, size_t down_bytes) {
  if (in[0].rank != 3 || in[0].shape[2] != k->width) return tt_fail("Experts: the input has another width than the experts");
  if (in[1].rank != 3 || in[2].rank != 3 || in[1].shape[1] != in[0].shape[1] || in[2].shape[2] != in[1].shape[2])
    return tt_fail("Experts: ids and weights do not fit the input");
  if (up_bytes == 0 || down_bytes == 0 || (uint64_t)in[3].shape[0] < up_bytes * (uint64_t)k->experts ||
      (uint64_t)in[4].shape[0] < down_bytes * (uint64_t)k->experts)
    return tt_fail("Experts: the weights are too short");
  return NULL;
}

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor in[5];
  OrtStatus* st = NULL;
  for (size_t i = 0; i < 5 && st == NULL; i++) st = tt_input(ctx, i, &in[i]);
  if (st != NULL) return st;
  size_t up_bytes = tt_packed(k->up_type, k->gated ? 2 * k->hidden : k->hidden, k->width);
  size_t down_bytes = tt_packed(k->down_type, k->width, k->hidden);
  if ((st = check(k, in, up_bytes, down_bytes)) != NULL) return st;
  void* y;
  if ((st = tt_output(ctx, 0, in[0].shape, 3, &y)) != NULL) return st;
  int64_t n = in[0].shape[1], slots = in[1].shape[2];
  memset(y, 0, (size_t)(n * k->width) * sizeof(float));
  memory m;
  if (n == 0 || slots == 0) return NULL;
  if (layout(&m, k, n)) return tt_fail("Experts: out of memory");
  for (int64_t e = 0; e < k->experts && st == NULL; e++) {
    int count = gather(&m, k, e, in[0].data, in[1].data, in[2].data, n, slots);
    if (count > 0)
      st = run_expert(ctx, k, &m, count, (const char*)in[3].data + (size_t)e * up_bytes, (const char*)in[4].data + (size_t)e * down_bytes, y);
  }
  return st;
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Experts"; }
static size_t inputs(const OrtCustomOp* op) { return (void)op, 5; }
static int input_type(const OrtCustomOp* op, size_t i) {
  (void)op;
  return i == 1 ? TT_INT64 : i >= 3 ? TT_UINT8 : TT_FLOAT;
}

const OrtCustomOp tt_op_experts = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT,
    .GetName = name,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetInputCharacteristic = tt_all_required,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
};
