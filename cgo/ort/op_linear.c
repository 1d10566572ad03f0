// SPDX-License-Identifier: Apache-2.0

// Linear(x, w) -> y = x · Wᵀ with a weight [rows, cols] that stays quantised, and Row(ids, w) -> the rows of the same weight, for embeddings.
//
//   x    float [.., cols]     ids  int64 [..]
//   w    uint8 [bytes], packed by cgo/kernels, shared by every session that uses it
//   type, rows, cols: attributes; type is the GGUF number of the weight's type
//
// The products come from cgo/kernels through the table that Go hands over; threads are those of the session's own pool.

#include <stdlib.h>

#include "../kernels/kernels.h"
#include "ops.h"

typedef struct {
  int64_t type, rows, cols;
  size_t bytes;  // of the packed weight
} kernel;

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  if (tt_products == NULL) return tt_fail("Linear: no kernels are registered");
  kernel* k = calloc(1, sizeof *k);
  if (k == NULL) return tt_fail("Linear: out of memory");
  OrtStatus* st = tt_attribute(info, "type", &k->type);
  if (st == NULL) st = tt_attribute(info, "rows", &k->rows);
  if (st == NULL) st = tt_attribute(info, "cols", &k->cols);
  if (st != NULL) return free(k), st;
  k->bytes = tt_packed(k->type, k->rows, k->cols);
  if (k->bytes == 0) return free(k), tt_fail("Linear: no kernel for this type and shape");
  *out = k;
  return NULL;
}

static OrtStatus* compute_linear(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor x, w;
  OrtStatus* st = tt_input(ctx, 0, &x);
  if (st == NULL) st = tt_input(ctx, 1, &w);
  if (st != NULL) return st;
  int64_t shape[8], m = 1;
  if (w.rank != 1 || (size_t)w.shape[0] < k->bytes) return tt_fail("Linear: the weight is shorter than its shape says");
  if (x.rank < 1 || x.rank > 8 || x.shape[x.rank - 1] != k->cols) return tt_fail("Linear: the input has another width than the weight");
  for (size_t i = 0; i < x.rank; i++) shape[i] = x.shape[i];
  for (size_t i = 0; i + 1 < x.rank; i++) m *= x.shape[i];
  shape[x.rank - 1] = k->rows;
  void* y;
  if ((st = tt_output(ctx, 0, shape, x.rank, &y)) != NULL || m == 0) return st;
  tt_product p = {(int)k->type, (int)k->rows, (int)k->cols, (int)m, w.data, x.data, y, NULL};
  p.scratch = tt_scratch(tt_products->scratch_bytes((int)k->type, (int)m, (int)k->cols));
  if (p.scratch == NULL) return tt_fail("Linear: out of memory");
  return tt_multiply(ctx, &p);
}

static OrtStatus* compute_row(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor ids, w;
  OrtStatus* st = tt_input(ctx, 0, &ids);
  if (st == NULL) st = tt_input(ctx, 1, &w);
  if (st != NULL) return st;
  int64_t shape[8], n = 1;
  if (w.rank != 1 || (size_t)w.shape[0] < k->bytes) return tt_fail("Row: the weight is shorter than its shape says");
  if (ids.rank > 7) return tt_fail("Row: too many dimensions");
  for (size_t i = 0; i < ids.rank; i++) n *= shape[i] = ids.shape[i];
  shape[ids.rank] = k->cols;
  void* y;
  if ((st = tt_output(ctx, 0, shape, ids.rank + 1, &y)) != NULL) return st;
  const int64_t* id = ids.data;
  for (int64_t i = 0; i < n; i++) {
    if (id[i] < 0 || id[i] >= k->rows) return tt_fail("Row: a token id is outside the vocabulary");
    tt_products->row((int)k->type, w.data, (int)k->rows, (int)k->cols, (int)id[i], (float*)y + i * k->cols);
  }
  return NULL;
}

static const char* name_linear(const OrtCustomOp* op) { return (void)op, "Linear"; }
static const char* name_row(const OrtCustomOp* op) { return (void)op, "Row"; }
static int type_linear(const OrtCustomOp* op, size_t i) { return (void)op, i == 0 ? TT_FLOAT : TT_UINT8; }
static int type_row(const OrtCustomOp* op, size_t i) { return (void)op, i == 0 ? TT_INT64 : TT_UINT8; }
static size_t inputs(const OrtCustomOp* op) { return (void)op, 2; }

const OrtCustomOp tt_op_linear = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT,
    .GetName = name_linear,
    .GetInputType = type_linear,
    .GetInputTypeCount = inputs,
    .GetInputCharacteristic = tt_all_required,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute_linear,
};

const OrtCustomOp tt_op_row = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT,
    .GetName = name_row,
    .GetInputType = type_row,
    .GetInputTypeCount = inputs,
    .GetInputCharacteristic = tt_all_required,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute_row,
};
