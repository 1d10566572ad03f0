// SPDX-License-Identifier: Apache-2.0

// The operators of the domain "trimtab", one file each, and what they share.

#ifndef TRIMTAB_ORT_OPS_H
#define TRIMTAB_ORT_OPS_H

#include "api.h"

size_t tt_op_count(void);
const OrtCustomOp* tt_op(size_t i);

extern const OrtCustomOp tt_op_tap, tt_op_watch, tt_op_linear, tt_op_row, tt_op_attention, tt_op_attention_each, tt_op_glu, tt_op_experts, tt_op_route, tt_op_route_each,
    tt_op_steps, tt_op_edit;

struct tt_kernels;
extern const struct tt_kernels* tt_products;  // the table of cgo/kernels, NULL before tt_use_kernels

// Takes the table; 1 where its layout is another.
int tt_use_kernels(const void* table);

// How many bytes a packed weight has; 0 where no kernel knows the type or the shape, which are as a graph says.
size_t tt_packed(int64_t type, int64_t rows, int64_t cols);

// Memory of the thread that runs the graph, grown to the largest call and freed when the thread ends; NULL when there is none.
// The next call may move it.
void* tt_scratch(size_t bytes);

// Calls fn(arg, i) for i < parts on the session's threads.
OrtStatus* tt_parallel(OrtKernelContext* ctx, void (*fn)(void*, size_t), int parts, void* arg);

// One product y[m][rows] = x[m][cols] · Wᵀ with a packed W; scratch is of cgo/kernels' scratch_bytes.
typedef struct {
  int type, rows, cols, m;
  const void* w;
  const float* x;
  float* y;
  void* scratch;
  int tiles, parts;  // filled in by tt_multiply
} tt_product;

// Multiplies on the session's threads where there is enough to do.
OrtStatus* tt_multiply(OrtKernelContext* ctx, const tt_product* p);

// The same for what a tap sees, in memory of this call alone, since a tap may run another model on this thread: p without y and scratch. free gives y back, also
// after an error.
OrtStatus* tt_encode(OrtKernelContext* ctx, const tt_product* p, float** y);

// A tensor as a kernel sees it; shape is borrowed from the value.
typedef struct {
  void* data;
  const int64_t* shape;
  size_t rank;
} tt_tensor;

OrtStatus* tt_fail(const char* message);
// An optional input that is absent has no data.
OrtStatus* tt_input(OrtKernelContext* ctx, size_t index, tt_tensor* out);
OrtStatus* tt_output(OrtKernelContext* ctx, size_t index, const int64_t* shape, size_t rank, void** data);
OrtStatus* tt_attribute(const OrtKernelInfo* info, const char* name, int64_t* out);
// The state of an operator that is one such attribute: an int64_t that free gives back.
OrtStatus* tt_attribute_state(const OrtKernelInfo* info, const char* name, void** out);
OrtStatus* tt_attribute_float(const OrtKernelInfo* info, const char* name, float* out);

// Calls shared by all operators' tables.
int tt_all_required(const OrtCustomOp* op, size_t i);
int tt_default_memory(const OrtCustomOp* op, size_t i);
int tt_version_one(const OrtCustomOp* op);
int tt_any_version(const OrtCustomOp* op);
const char* tt_cpu(const OrtCustomOp* op);
int tt_returns_float(const OrtCustomOp* op, size_t i);
size_t tt_one(const OrtCustomOp* op);
int tt_zero(const OrtCustomOp* op);
// The first output may take the memory of the first input.
size_t tt_in_place(int** in, int** out);
void tt_release_in_place(int* in, int* out);

// What the tables of all operators begin with, and what those of most go on with. A table says besides what the operator is called, what it takes and how it runs.
#define TT_OPERATOR \
  .version = TT_API_VERSION, .GetExecutionProviderType = tt_cpu, .KernelDestroy = free, .GetOutputCharacteristic = tt_all_required, \
  .GetInputMemoryType = tt_default_memory, .GetVariadicOutputMinArity = tt_zero, .GetVariadicOutputHomogeneity = tt_zero, \
  .GetStartVersion = tt_version_one, .GetEndVersion = tt_any_version
#define TT_FIXED_INPUTS .GetVariadicInputMinArity = tt_zero, .GetVariadicInputHomogeneity = tt_zero
#define TT_RETURNS_FLOAT .GetOutputType = tt_returns_float, .GetOutputTypeCount = tt_one
#define TT_IN_PLACE .GetMayInplace = tt_in_place, .ReleaseMayInplace = tt_release_in_place

#endif
