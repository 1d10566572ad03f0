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

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  OrtStatus* st = tt_attribute_state(info, "op", out);
  if (st != NULL) return st;
  int64_t kind = *(int64_t*)*out;
  if (kind >= TT_ADD && kind <= TT_RAISE) return NULL;
  free(*out), *out = NULL;
  return tt_fail("Edit: no such operation");
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
  const int64_t* op = self;
  tt_tensor h, c;
  OrtStatus* st = tt_input(ctx, 0, &h);
  if (st == NULL) st = tt_input(ctx, 1, &c);
  if (st != NULL) return st;
  if (h.rank != 3 || h.shape[0] != 1 || c.rank != 3 || (c.shape[1] != 1 && c.shape[1] != h.shape[1])) return tt_fail("Edit: want a strength for each row, or one");
  work w = {.step = {.op = *op}, .strengths = c.data, .each = c.shape[1] > 1, .rows = h.shape[1], .width = h.shape[2]};
  size_t at = 2;
  int64_t directions = *op == TT_ROTATE || *op == TT_RAISE ? 2 : 1;
  for (int64_t j = 0; j < directions && st == NULL; j++) st = read(ctx, at++, w.width, &w.step.v[j]);
  const float *x0 = &w.step.x0, *x1 = &w.step.x1;
  if (st == NULL && (*op == TT_CLAMP || *op == TT_ROTATE) && (st = read(ctx, at++, 1, &x0)) == NULL) st = read(ctx, at, 1, &x1);
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
    TT_OPERATOR, TT_RETURNS_FLOAT, TT_IN_PLACE,
    .GetName = name,
    .GetInputType = input_type,
    .GetInputTypeCount = tt_one,
    .GetInputCharacteristic = variadic,
    .GetVariadicInputMinArity = one,
    .GetVariadicInputHomogeneity = one,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
};
