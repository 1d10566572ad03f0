// SPDX-License-Identifier: Apache-2.0

// Glu(both) -> h: act(gate) · up of a gated feed-forward layer, whose gate and up stand beside each other in both.
//
//   both  float [.., 2 · hidden]
//   h     float [.., hidden]
//   activation: attribute, 0 SiLU, 1 GELU with erf, 2 GELU's tanh form

#include <stdlib.h>

#include "activation.h"
#include "ops.h"

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  return tt_attribute_state(info, "activation", out);
}

typedef struct {
  int kind;
  int64_t hidden;
  const float* both;
  float* h;
} work;

static void one_row(void* arg, size_t i) {
  const work* w = arg;
  const float* row = w->both + (int64_t)i * 2 * w->hidden;
  tt_activate(w->kind, w->h + (int64_t)i * w->hidden, row, row + w->hidden, (size_t)w->hidden);
}

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  const int64_t* activation = self;
  tt_tensor in;
  OrtStatus* st = tt_input(ctx, 0, &in);
  if (st != NULL) return st;
  int64_t shape[8], rows = 1;
  if (in.rank < 1 || in.rank > 8 || in.shape[in.rank - 1] % 2 != 0) return tt_fail("Glu: gate and up differ in width");
  for (size_t i = 0; i < in.rank; i++) shape[i] = in.shape[i];
  for (size_t i = 0; i + 1 < in.rank; i++) rows *= in.shape[i];
  shape[in.rank - 1] /= 2;
  void* h;
  if ((st = tt_output(ctx, 0, shape, in.rank, &h)) != NULL) return st;
  work w = {(int)*activation, shape[in.rank - 1], in.data, h};
  if (rows >= 16) return tt_parallel(ctx, one_row, (int)rows, &w);
  for (int64_t i = 0; i < rows; i++) one_row(&w, (size_t)i);
  return NULL;
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Glu"; }
static int input_type(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, TT_FLOAT; }

const OrtCustomOp tt_op_glu = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT,
    .GetName = name,
    .GetInputType = input_type,
    .GetInputTypeCount = tt_one,
    .GetInputCharacteristic = tt_all_required,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
};
