// SPDX-License-Identifier: Apache-2.0

// Tap(h, run[, products]) -> h': hands an activation to Go where a session asked for it, and is a name for it otherwise.
//
//   h         float [.., rows, width]
//   run       int64 [1 + taps]: run[0] is the identity of the run, run[1 + tap] tells whether this tap is to be called
//   products  float [.., rows, n]: what an encoder made of h, for the tap to see; there where the attribute encoded is 1
//
// The gate stands in C because a crossing into Go costs up to 20 us when the thread has been in C for long, and the check costs none.
// MayInplace makes h' the memory of h wherever ONNX Runtime allows; it is a permission only, so the copy stays.

#include <stdlib.h>
#include <string.h>

#include "steps.h"

typedef struct {
  int64_t tap, encoded;
} kernel;

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  kernel* k = calloc(1, sizeof *k);
  if (k == NULL) return tt_fail("Tap: out of memory");
  OrtStatus* st = tt_attribute(info, "tap", &k->tap);
  if (st == NULL) st = tt_attribute(info, "encoded", &k->encoded);
  if (st != NULL) return free(k), st;
  *out = k;
  return NULL;
}

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor h, run, products = {0};
  void* out;
  OrtStatus* st = tt_input(ctx, 0, &h);
  if (st == NULL) st = tt_input(ctx, 1, &run);
  if (st == NULL && k->encoded) st = tt_input(ctx, 2, &products);
  if (st != NULL) return st;
  if (h.rank == 0 || run.rank != 1) return tt_fail("Tap: want rows of values and a list of gates");
  if ((st = tt_output(ctx, 0, h.shape, h.rank, &out)) != NULL) return st;
  int64_t rows = 1, width = h.shape[h.rank - 1];
  for (size_t i = 0; i + 1 < h.rank; i++) rows *= h.shape[i];
  if (out != h.data) memcpy(out, h.data, (size_t)(rows * width) * sizeof(float));
  const int64_t* r = run.data;
  if (k->tap < 0 || k->tap + 1 >= run.shape[0]) return tt_fail("Tap: the run has no gate for this tap");
  if (!r[1 + k->tap]) return NULL;
  int64_t n = products.rank > 0 ? products.shape[products.rank - 1] : 0;
  if (n > 0 && products.rank != h.rank) return tt_fail("Tap: the products have other rows than the activation");
  if (trimtabTap(r[0], k->tap, out, rows, width, products.data, n) != 0) return tt_fail("a tap failed");
  return NULL;
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Tap"; }
static int input_type(const OrtCustomOp* op, size_t i) { return (void)op, i == 1 ? TT_INT64 : TT_FLOAT; }
static size_t inputs(const OrtCustomOp* op) { return (void)op, 3; }
static int input_optional(const OrtCustomOp* op, size_t i) { return (void)op, i == 2; }  // INPUT_OUTPUT_OPTIONAL is 1

const OrtCustomOp tt_op_tap = {
    .version = TT_API_VERSION,
    .GetName = name,
    .GetExecutionProviderType = tt_cpu,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetOutputType = tt_returns_float,
    .GetOutputTypeCount = tt_one,
    .KernelDestroy = free,
    .GetInputCharacteristic = input_optional,
    .GetOutputCharacteristic = tt_all_required,
    .GetInputMemoryType = tt_default_memory,
    .GetVariadicInputMinArity = tt_zero,
    .GetVariadicInputHomogeneity = tt_zero,
    .GetVariadicOutputMinArity = tt_zero,
    .GetVariadicOutputHomogeneity = tt_zero,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
    .GetStartVersion = tt_version_one,
    .GetEndVersion = tt_any_version,
    .GetMayInplace = tt_in_place,
    .ReleaseMayInplace = tt_release_in_place,
};
