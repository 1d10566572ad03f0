// SPDX-License-Identifier: Apache-2.0

// Steps(h, steps) -> h': what the hooks of different sequences do at one site, each to its own row.
//
//   h      float [1, rows, width], a row a sequence
//   steps  int64 [rows, sites], addresses of chains of steps (steps.h); the attribute site says which column is this site's
//
// A row's steps run in their order. Where rows wait at a tap with the same encoder, its products are computed for all of them together; a row of them does not
// depend on the others. A tap that fails is kept on the Go side, which calls no other one for that sequence; the other rows go on.

#include <stdlib.h>
#include <string.h>

#include "steps.h"

enum { MOST_ROWS = 64 };  // of a pass: runtime.Config.Batch

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
  return tt_attribute_state(info, "site", out);
}

static void tap(const tt_step* s, float* row, int64_t width, float* products) {
  (void)trimtabTap(s->run, s->tap, row, 1, width, products, s->encoder == NULL ? 0 : s->encoder_rows);
}

// Carries steps out up to the next one that needs products, and returns that one.
static const tt_step* advance(const tt_step* s, float* row, int64_t width) {
  for (; s != NULL; s = tt_next_step(s)) {
    if (s->op != TT_TAP)
      tt_edit(s, row, width);
    else if (s->open && s->encoder != NULL)
      return s;
    else if (s->open)
      tap(s, row, width, NULL);
  }
  return NULL;
}

// Calls the taps of all rows that wait for the products of one encoder.
static OrtStatus* encode(OrtKernelContext* ctx, const tt_step* first, const tt_step** at, float* h, int64_t rows, int64_t width) {
  int waiting[MOST_ROWS], m = 0;
  for (int r = 0; r < rows; r++)
    if (at[r] != NULL && at[r]->encoder == first->encoder) waiting[m++] = r;
  float *inputs = malloc((size_t)m * (size_t)width * sizeof *inputs), *products = NULL;
  if (inputs == NULL) return tt_fail("Steps: out of memory");
  for (int i = 0; i < m; i++) memcpy(inputs + i * width, h + waiting[i] * width, (size_t)width * sizeof *h);
  OrtStatus* st = tt_encode(ctx, &(tt_product){(int)first->encoder_type, (int)first->encoder_rows, (int)width, m, first->encoder, inputs}, &products);
  for (int i = 0; i < m && st == NULL; i++) {
    int r = waiting[i];
    tap(at[r], h + r * width, width, products + i * first->encoder_rows);
    at[r] = tt_next_step(at[r]);
  }
  free(inputs);
  free(products);
  return st;
}

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  const int64_t* site = self;
  tt_tensor h, table;
  void* out;
  OrtStatus* st = tt_input(ctx, 0, &h);
  if (st == NULL) st = tt_input(ctx, 1, &table);
  if (st != NULL) return st;
  if (h.rank != 3 || h.shape[0] != 1 || table.rank != 2 || table.shape[0] != h.shape[1] || h.shape[1] > MOST_ROWS)
    return tt_fail("Steps: want a list of steps for each of at most 64 rows");
  int64_t rows = h.shape[1], width = h.shape[2], sites = table.shape[1];
  if (*site < 0 || *site >= sites) return tt_fail("Steps: the table has no such site");
  if ((st = tt_output(ctx, 0, h.shape, h.rank, &out)) != NULL) return st;
  if (out != h.data) memcpy(out, h.data, (size_t)(rows * width) * sizeof(float));
  const tt_step* at[MOST_ROWS];
  for (int64_t r = 0; r < rows; r++) at[r] = tt_first_step(table.data, sites, r, *site);
  for (;;) {
    const tt_step* first = NULL;
    for (int64_t r = 0; r < rows; r++) {
      at[r] = advance(at[r], (float*)out + r * width, width);
      if (first == NULL) first = at[r];
    }
    if (first == NULL) return NULL;
    if ((st = encode(ctx, first, at, out, rows, width)) != NULL) return st;
  }
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Steps"; }
static int input_type(const OrtCustomOp* op, size_t i) { return (void)op, i == 1 ? TT_INT64 : TT_FLOAT; }
static size_t inputs(const OrtCustomOp* op) { return (void)op, 2; }

const OrtCustomOp tt_op_steps = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT, TT_IN_PLACE,
    .GetName = name,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetInputCharacteristic = tt_all_required,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
};
