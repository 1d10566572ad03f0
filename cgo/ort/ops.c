// SPDX-License-Identifier: Apache-2.0

#include "ops.h"

#include <stdlib.h>

static const OrtCustomOp* const ops[] = {&tt_op_tap, &tt_op_watch, &tt_op_linear, &tt_op_row, &tt_op_attention, &tt_op_attention_each,
                                         &tt_op_glu, &tt_op_experts, &tt_op_route, &tt_op_route_each, &tt_op_steps, &tt_op_edit};

size_t tt_op_count(void) { return sizeof ops / sizeof ops[0]; }
const OrtCustomOp* tt_op(size_t i) { return ops[i]; }

// OrtStatus* CreateStatus(OrtErrorCode code, const char* msg); 1 is ORT_FAIL
OrtStatus* tt_fail(const char* message) { return FN(CreateStatus, OrtStatus*, int, const char*)(1, message); }

// OrtStatus* GetTensorElementTypeAndShapeDataReference(const OrtValue*, type*, const int64_t** shape, size_t* rank)
OrtStatus* tt_input(OrtKernelContext* ctx, size_t index, tt_tensor* out) {
  const OrtValue* v = NULL;
  OrtStatus* st = FN(KernelContext_GetInput, OrtStatus*, const OrtKernelContext*, size_t, const OrtValue**)(ctx, index, &v);
  if (st != NULL) return st;
  *out = (tt_tensor){NULL, NULL, 0};
  if (v == NULL) return NULL;  // optional and absent
  int type;
  st = FN(GetTensorElementTypeAndShapeDataReference, OrtStatus*, const OrtValue*, int*, const int64_t**, size_t*)(v, &type, &out->shape, &out->rank);
  if (st != NULL) return st;
  return FN(GetTensorMutableData, OrtStatus*, OrtValue*, void**)((OrtValue*)v, &out->data);
}

OrtStatus* tt_output(OrtKernelContext* ctx, size_t index, const int64_t* shape, size_t rank, void** data) {
  OrtValue* v = NULL;
  OrtStatus* st =
      FN(KernelContext_GetOutput, OrtStatus*, OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)(ctx, index, shape, rank, &v);
  if (st != NULL) return st;
  return FN(GetTensorMutableData, OrtStatus*, OrtValue*, void**)(v, data);
}

OrtStatus* tt_attribute(const OrtKernelInfo* info, const char* name, int64_t* out) {
  return FN(KernelInfoGetAttribute_int64, OrtStatus*, const OrtKernelInfo*, const char*, int64_t*)(info, name, out);
}

OrtStatus* tt_attribute_state(const OrtKernelInfo* info, const char* name, void** out) {
  int64_t* state = calloc(1, sizeof *state);
  if (state == NULL) return tt_fail("an operator: out of memory");
  OrtStatus* st = tt_attribute(info, name, state);
  if (st != NULL) return free(state), st;
  *out = state;
  return NULL;
}

OrtStatus* tt_attribute_float(const OrtKernelInfo* info, const char* name, float* out) {
  return FN(KernelInfoGetAttribute_float, OrtStatus*, const OrtKernelInfo*, const char*, float*)(info, name, out);
}

int tt_all_required(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, 0; }
int tt_default_memory(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, 0; }
int tt_version_one(const OrtCustomOp* op) { return (void)op, 1; }
int tt_any_version(const OrtCustomOp* op) { return (void)op, 0x7fffffff; }
const char* tt_cpu(const OrtCustomOp* op) { return (void)op, "CPUExecutionProvider"; }
int tt_returns_float(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, TT_FLOAT; }
size_t tt_one(const OrtCustomOp* op) { return (void)op, 1; }
int tt_zero(const OrtCustomOp* op) { return (void)op, 0; }

size_t tt_in_place(int** in, int** out) {
  *in = calloc(1, sizeof **in);
  *out = calloc(1, sizeof **out);
  return *in != NULL && *out != NULL;
}

void tt_release_in_place(int* in, int* out) { free(in), free(out); }
