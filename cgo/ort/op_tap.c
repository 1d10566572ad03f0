// SPDX-License-Identifier: Apache-2.0

// Tap(h, run[, products[, matrix]]) -> h': hands an activation to Go where a session asked for it, and is a name for it otherwise.
//
//   h         float [.., rows, width]
//   run       int64 [1 + taps]: run[0] is the identity of the run, run[1 + tap] tells whether this tap is to be called
//   products  float [.., rows, n]: what an encoder made of h, for the tap to see; there where the attribute encoded is 1
//   matrix    uint8 [bytes]: an encoder packed by cgo/kernels, whose products with h the tap sees; there where the attribute rows, n, is above 0. They are computed
//             behind the gate: for a tap that is not called there are none
//
// Watch(h, run[, products[, matrix]]) -> run' does the same for a tap that only reads: h goes on without it, so that where another provider computes, h is copied to the
// processor's memory once and nothing is copied back. The run goes through it, which puts taps in order that no value puts in order.
//
// The gate stands in C because a crossing into Go costs up to 20 us when the thread has been in C for long, and the check costs none.
// MayInplace makes h' the memory of h wherever ONNX Runtime allows; it is a permission only, so the copy stays.

#include <stdlib.h>
#include <string.h>

#include "steps.h"

typedef struct {
  int64_t tap, encoded, type, rows;
} kernel;

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  kernel* k = calloc(1, sizeof *k);
  if (k == NULL) return tt_fail("Tap: out of memory");
  OrtStatus* st = tt_attribute(info, "tap", &k->tap);
  if (st == NULL) st = tt_attribute(info, "encoded", &k->encoded);
  if (st == NULL) st = tt_attribute(info, "type", &k->type);
  if (st == NULL) st = tt_attribute(info, "rows", &k->rows);
  if (st != NULL) return free(k), st;
  *out = k;
  return NULL;
}

typedef struct {
  tt_tensor h, run, products, matrix;
} inputs_of;

static OrtStatus* read_inputs(const kernel* k, OrtKernelContext* ctx, inputs_of* in) {
  *in = (inputs_of){0};
  OrtStatus* st = tt_input(ctx, 0, &in->h);
  if (st == NULL) st = tt_input(ctx, 1, &in->run);
  if (st == NULL && k->encoded) st = tt_input(ctx, 2, &in->products);
  if (st == NULL && k->rows > 0) st = tt_input(ctx, 3, &in->matrix);
  if (st == NULL && (in->h.rank == 0 || in->run.rank != 1)) st = tt_fail("Tap: want rows of values and a list of gates");
  return st;
}

static int64_t rows_of(const tt_tensor* h) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < h->rank; i++) rows *= h->shape[i];
  return rows;
}

static OrtStatus* hand_over(const kernel* k, int64_t run, float* h, int64_t rows, int64_t width, float* products, int64_t n) {
  return trimtabTap(run, k->tap, h, rows, width, products, n) == 0 ? NULL : tt_fail("a tap failed");
}

// Multiplies h with the packed matrix and calls Go.
static OrtStatus* encode(OrtKernelContext* ctx, const kernel* k, const tt_tensor* matrix, int64_t run, float* h, int64_t rows, int64_t width) {
  size_t bytes = tt_packed(k->type, k->rows, width);
  if (bytes == 0) return tt_fail("Tap: no kernel for this encoder");
  if (matrix->rank != 1 || (size_t)matrix->shape[0] < bytes) return tt_fail("Tap: the encoder is shorter than its shape says");
  float* products;
  OrtStatus* st = tt_encode(ctx, &(tt_product){(int)k->type, (int)k->rows, (int)width, (int)rows, matrix->data, h}, &products);
  if (st == NULL) st = hand_over(k, run, h, rows, width, products, k->rows);
  free(products);
  return st;
}

// Calls Go with data, which has h's shape, if the tap's gate is open.
static OrtStatus* call(OrtKernelContext* ctx, const kernel* k, const inputs_of* in, void* data) {
  tt_tensor h = in->h, run = in->run, products = in->products;
  int64_t rows = rows_of(&h), width = h.shape[h.rank - 1];
  const int64_t* r = run.data;
  if (k->tap < 0 || k->tap + 1 >= run.shape[0]) return tt_fail("Tap: the run has no gate for this tap");
  if (!r[1 + k->tap]) return NULL;
  if (k->rows > 0) return encode(ctx, k, &in->matrix, r[0], data, rows, width);
  int64_t n = products.rank > 0 ? products.shape[products.rank - 1] : 0;
  if (n > 0 && products.rank != h.rank) return tt_fail("Tap: the products have other rows than the activation");
  return hand_over(k, r[0], data, rows, width, products.data, n);
}

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  inputs_of in;
  void* out;
  OrtStatus* st = read_inputs(self, ctx, &in);
  if (st == NULL) st = tt_output(ctx, 0, in.h.shape, in.h.rank, &out);
  if (st != NULL) return st;
  size_t bytes = (size_t)(rows_of(&in.h) * in.h.shape[in.h.rank - 1]) * sizeof(float);
  if (out != in.h.data && bytes > 0) memcpy(out, in.h.data, bytes);
  return call(ctx, self, &in, out);
}

static OrtStatus* watch(void* self, OrtKernelContext* ctx) {
  inputs_of in;
  void* out;
  OrtStatus* st = read_inputs(self, ctx, &in);
  if (st == NULL) st = tt_output(ctx, 0, in.run.shape, in.run.rank, &out);
  if (st != NULL) return st;
  memcpy(out, in.run.data, (size_t)in.run.shape[0] * sizeof(int64_t));
  return call(ctx, self, &in, in.h.data);
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Tap"; }
static const char* watch_name(const OrtCustomOp* op) { return (void)op, "Watch"; }
static int returns_run(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, TT_INT64; }
static int input_type(const OrtCustomOp* op, size_t i) { return (void)op, i == 1 ? TT_INT64 : i == 3 ? TT_UINT8 : TT_FLOAT; }
static size_t inputs(const OrtCustomOp* op) { return (void)op, 4; }
static int input_optional(const OrtCustomOp* op, size_t i) { return (void)op, i >= 2; }  // INPUT_OUTPUT_OPTIONAL is 1

const OrtCustomOp tt_op_tap = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT, TT_IN_PLACE,
    .GetName = name,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetInputCharacteristic = input_optional,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
};

const OrtCustomOp tt_op_watch = {
    TT_OPERATOR, TT_FIXED_INPUTS,
    .GetName = watch_name,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetOutputType = returns_run,
    .GetOutputTypeCount = tt_one,
    .GetInputCharacteristic = input_optional,
    .CreateKernelV2 = create,
    .KernelComputeV2 = watch,
};
