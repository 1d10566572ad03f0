// SPDX-License-Identifier: Apache-2.0

// Edit(h, c, v..., x...) -> h': one edit of all rows of one sequence, with the bits that Steps gives a row.
//
//   h  float [1, rows, width]
//   c  float [1, rows, 1] or [1, 1, 1]: strengths
//   v  float [width]: the directions, two where the attribute op is a rotation or a raise, else one
//   x  float, two scalars of a clamp and a rotation: see steps.h
//
// A row does not depend on the others; one of strength 0 keeps its bits.

#include <stdlib.h>
#include <string.h>

#include "steps.h"

typedef struct {
  int64_t op;
} kernel;

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  kernel* k = calloc(1, sizeof *k);
  if (k == NULL) return tt_fail("Edit: out of memory");
  OrtStatus* st = tt_attribute(info, "op", &k->op);
  if (st == NULL && (k->op < TT_ADD || k->op > TT_RAISE)) st = tt_fail("Edit: no such operation");
  if (st != NULL) return free(k), st;
  *out = k;
  return NULL;
}

typedef struct {
  tt_step step;
  const float* strengths;
  int64_t each, rows, width;  // each: 1 where rows have strengths of their own
  int parts;
  float* h;
} work;

static void some_rows(void* arg, size_t i) {
  const work* w = arg;
  tt_step s = w->step;
  int64_t to = w->rows * ((int64_t)i + 1) / w->parts;
  for (int64_t r = w->rows * (int64_t)i / w->parts; r < to; r++) {
    s.c = w->strengths[r * w->each];
    tt_edit(&s, w->h + r * w->width, w->width);
  }
}

static OrtStatus* read(OrtKernelContext* ctx, size_t at, int64_t n, const float** out) {
  tt_tensor t;
  OrtStatus* st = tt_input(ctx, at, &t);
  if (st != NULL) return st;
  if (t.rank > 1 || (t.rank == 1 ? t.shape[0] : 1) != n) return tt_fail("Edit: a direction has another width than the activation");
  *out = t.data;
  return NULL;
}

enum { ROWS_OF_A_PART = 16, MOST_PARTS = 16 };

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor h, c;
  OrtStatus* st = tt_input(ctx, 0, &h);
  if (st == NULL) st = tt_input(ctx, 1, &c);
  if (st != NULL) return st;
  if (h.rank != 3 || h.shape[0] != 1 || c.rank != 3 || (c.shape[1] != 1 && c.shape[1] != h.shape[1])) return tt_fail("Edit: want a strength for each row, or one");
  work w = {.step = {.op = k->op}, .strengths = c.data, .each = c.shape[1] > 1, .rows = h.shape[1], .width = h.shape[2]};
  size_t at = 2;
  int64_t directions = k->op == TT_ROTATE || k->op == TT_RAISE ? 2 : 1;
  for (int64_t j = 0; j < directions && st == NULL; j++) st = read(ctx, at++, w.width, &w.step.v[j]);
  const float *x0 = &w.step.x0, *x1 = &w.step.x1;
  if (st == NULL && (k->op == TT_CLAMP || k->op == TT_ROTATE) && (st = read(ctx, at++, 1, &x0)) == NULL) st = read(ctx, at, 1, &x1);
  if (st != NULL) return st;
  w.step.x0 = *x0, w.step.x1 = *x1;
  if ((st = tt_output(ctx, 0, h.shape, h.rank, (void**)&w.h)) != NULL) return st;
  if (w.h != h.data) memcpy(w.h, h.data, (size_t)(w.rows * w.width) * sizeof(float));
  int64_t parts = w.rows / ROWS_OF_A_PART;
  w.parts = parts < 1 ? 1 : parts > MOST_PARTS ? MOST_PARTS : (int)parts;
  if (w.parts > 1) return tt_parallel(ctx, some_rows, w.parts, &w);
  some_rows(&w, 0);
  return NULL;
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Edit"; }
static int input_type(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, TT_FLOAT; }
static int variadic(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, 2; }  // INPUT_OUTPUT_VARIADIC
static int one(const OrtCustomOp* op) { return (void)op, 1; }

const OrtCustomOp tt_op_edit = {
    .version = TT_API_VERSION,
    .GetName = name,
    .GetExecutionProviderType = tt_cpu,
    .GetInputType = input_type,
    .GetInputTypeCount = tt_one,
    .GetOutputType = tt_returns_float,
    .GetOutputTypeCount = tt_one,
    .KernelDestroy = free,
    .GetInputCharacteristic = variadic,
    .GetOutputCharacteristic = tt_all_required,
    .GetInputMemoryType = tt_default_memory,
    .GetVariadicInputMinArity = one,
    .GetVariadicInputHomogeneity = one,
    .GetVariadicOutputMinArity = tt_zero,
    .GetVariadicOutputHomogeneity = tt_zero,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
    .GetStartVersion = tt_version_one,
    .GetEndVersion = tt_any_version,
    .GetMayInplace = tt_in_place,
    .ReleaseMayInplace = tt_release_in_place,
};
