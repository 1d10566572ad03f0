// SPDX-License-Identifier: Apache-2.0

// Route(logits, [bias], masks...) -> ids, weights, total: the experts that each token uses, for every formula of the families.
//
//   logits   float [1, n, experts]
//   bias     float [experts], where the attribute biased is 1: added to scores for the choice alone
//   masks    five inputs for each of the attribute masks: strength c, float [1, n, 1] or [1, 1, 1], and low, lift, before, after, float [experts]
//   ids      int64 [1, n, used], the largest weight first
//   weights  float [1, n, used]
//   total    float [1, n, 1]: by what factor after changes the sum of the weights
//
// l = logits + c low; score = softmax or sigmoid of l; choice = score + bias + c lift, minus infinity where l is; the best groups_used of the groups stay in
// the running, a group being as good as the sum of its group_top best; the used largest choices are taken. w = score · max(0, 1 + c before); divided by
// their sum where normalise is 1; · scale; · max(0, 1 + c after). Of equal choices the lower number is taken. With every c 0 the bits are those
// without masks. A row does not depend on the others.
//
// RouteEach(logits, steps, [bias]) -> ids, weights, total: the same where each row belongs to a sequence of its own, whose masks are those of its steps
// (steps.h) that are routes; the attribute site says which column of steps is meant.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "activation.h"
#include "steps.h"

typedef struct {
  int64_t experts, used, score, normalise, groups, groups_used, group_top, biased, masks, site;
  float scale;
} kernel;

enum { SOFTMAX, SIGMOID, MASK_INPUTS = 5 };

static OrtStatus* create_kernel(const OrtKernelInfo* info, int each, void** out) {
  kernel* k = calloc(1, sizeof *k);
  if (k == NULL) return tt_fail("Route: out of memory");
  const struct {
    const char* name;
    int64_t* to;
  } numbers[] = {{"experts", &k->experts},         {"used", &k->used},           {"score", &k->score},   {"normalise", &k->normalise}, {"groups", &k->groups},
                 {"groups_used", &k->groups_used}, {"group_top", &k->group_top}, {"biased", &k->biased}, {each ? "site" : "masks", each ? &k->site : &k->masks}};
  OrtStatus* st = tt_attribute_float(info, "scale", &k->scale);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && st == NULL; i++) st = tt_attribute(info, numbers[i].name, numbers[i].to);
  if (st == NULL && (k->experts < 1 || k->used < 1 || k->used > k->experts || k->groups < 1 || k->experts % k->groups != 0 || k->masks < 0 ||
                     (k->groups > 1 && (k->groups_used < 1 || k->groups_used > k->groups || k->group_top < 1 || k->group_top > k->experts / k->groups ||
                                        k->groups_used * (k->experts / k->groups) < k->used))))
    st = tt_fail("Route: the attributes do not fit each other");
  if (st != NULL) return free(k), st;
  *out = k;
  return NULL;
}

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  return (void)op, (void)api, create_kernel(info, 0, out);
}

static OrtStatus* create_each(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  return (void)op, (void)api, create_kernel(info, 1, out);
}

// One mask of a pass; step is 1 where rows have strengths of their own.
typedef struct {
  const float *strength, *low, *lift, *before, *after;
  int64_t step;
} mask;

// What acts on one row.
enum { MOST_MASKS = 64 };
typedef struct {
  int64_t count;
  float c[MOST_MASKS];
  const mask* of[MOST_MASKS];
  mask own[MOST_MASKS];  // of a row's steps
} masks;

typedef struct {
  const kernel* k;
  int64_t rows;
  int parts;
  const float *logits, *bias;
  const mask* masks;       // of Route, which all rows have
  const tt_tensor* steps;  // of RouteEach
  int64_t* ids;
  float *weights, *total;
  char* scratch;  // row_bytes for each part
} work;

// Whole lines, so that the numbers of every part are aligned.
static size_t row_bytes(const kernel* k) { return ((size_t)(3 * k->experts + k->groups) * sizeof(float) + (size_t)k->experts + 127) & ~(size_t)63; }

// Takes the largest of n values that is not taken yet, of equal ones the first.
static int64_t take_best(const float* v, int64_t n, char* taken) {
  int64_t best = -1;
  for (int64_t j = 0; j < n; j++)
    if (!taken[j] && (best < 0 || v[j] > v[best])) best = j;
  taken[best] = 1;
  return best;
}

// Takes experts outside the best groups out of the running.
static void limit_groups(const kernel* k, float* choice, float* rank, char* taken) {
  int64_t size = k->experts / k->groups;
  for (int64_t g = 0; g < k->groups; g++) {
    memset(taken, 0, (size_t)size);
    rank[g] = 0;
    for (int64_t i = 0; i < k->group_top; i++) rank[g] += choice[g * size + take_best(choice + g * size, size, taken)];
  }
  memset(taken, 0, (size_t)k->groups);
  for (int64_t i = 0; i < k->groups_used; i++) take_best(rank, k->groups, taken);
  for (int64_t g = 0; g < k->groups; g++)
    for (int64_t j = 0; j < size && !taken[g]; j++) choice[g * size + j] = -INFINITY;
}

// Sorts ids by weight, the largest first; equal ones keep their order.
static void in_order(int64_t* ids, float* w, int64_t n) {
  for (int64_t i = 1; i < n; i++)
    for (int64_t j = i; j > 0 && w[j] > w[j - 1]; j--) {
      float f = w[j];
      int64_t id = ids[j];
      w[j] = w[j - 1], ids[j] = ids[j - 1];
      w[j - 1] = f, ids[j - 1] = id;
    }
}

static float factor(float c, float change) {
  float f = 1.0f + c * change;
  return f > 0 ? f : 0;
}

static float sum(const float* w, int64_t n) {
  float s = 0;
  for (int64_t i = 0; i < n; i++) s += w[i];
  return s;
}

// Lists the masks of a row; more than 64 of one sequence are refused where they are attached.
static void list_masks(const work* x, int64_t row, masks* out) {
  out->count = 0;
  for (int64_t m = 0; m < x->k->masks; m++, out->count++) {
    out->of[m] = &x->masks[m];
    out->c[m] = x->masks[m].strength[row * x->masks[m].step];
  }
  if (x->steps == NULL) return;
  const tt_step* s = tt_first_step(x->steps->data, x->steps->shape[1], row, x->k->site);
  for (; s != NULL && out->count < MOST_MASKS; s = tt_next_step(s)) {
    if (s->op != TT_ROUTE) continue;
    int64_t m = out->count++;
    out->own[m] = (mask){NULL, s->v[0], s->v[1], s->v[2], s->v[3], 0};
    out->of[m] = &out->own[m];
    out->c[m] = s->c;
  }
}

// Turns the weights of the chosen experts into what multiplies their outputs.
static void weigh(const work* x, const masks* on, int64_t* ids, float* w, float* total) {
  const kernel* k = x->k;
  if (x->bias != NULL || on->count > 0) in_order(ids, w, k->used);  // the choice went by other numbers
  for (int64_t m = 0; m < on->count; m++)
    for (int64_t i = 0; i < k->used; i++) w[i] *= factor(on->c[m], on->of[m]->before[ids[i]]);
  float s = sum(w, k->used) + 1e-20f;
  for (int64_t i = 0; i < k->used; i++) w[i] = (k->normalise ? w[i] / s : w[i]) * k->scale;
  *total = 1;
  if (on->count == 0) return;
  s = sum(w, k->used) + 1e-20f;
  for (int64_t m = 0; m < on->count; m++)
    for (int64_t i = 0; i < k->used; i++) w[i] *= factor(on->c[m], on->of[m]->after[ids[i]]);
  *total = sum(w, k->used) / s;
  in_order(ids, w, k->used);
}

static void route(const work* x, int64_t row, char* scratch) {
  const kernel* k = x->k;
  int64_t n = k->experts, *ids = x->ids + row * k->used;
  float *logits = (float*)scratch, *score = logits + n, *choice = score + n, *rank = choice + n, *w = x->weights + row * k->used;
  char* taken = (char*)(rank + k->groups);
  masks on;
  list_masks(x, row, &on);
  memcpy(logits, x->logits + row * n, (size_t)n * sizeof *logits);
  for (int64_t m = 0; m < on.count; m++)
    for (int64_t e = 0; e < n; e++) logits[e] += on.c[m] * on.of[m]->low[e];
  if (k->score == SIGMOID)
    tt_sigmoid(score, logits, (size_t)n);
  else
    tt_softmax(score, logits, (size_t)n);
  for (int64_t e = 0; e < n; e++) choice[e] = x->bias == NULL ? score[e] : isinf(logits[e]) ? logits[e] : score[e] + x->bias[e];
  for (int64_t m = 0; m < on.count; m++)
    for (int64_t e = 0; e < n; e++) choice[e] += on.c[m] * on.of[m]->lift[e];
  if (k->groups > 1) limit_groups(k, choice, rank, taken);
  memset(taken, 0, (size_t)n);
  for (int64_t i = 0; i < k->used; i++) {
    ids[i] = take_best(choice, n, taken);
    w[i] = score[ids[i]];
  }
  weigh(x, &on, ids, w, x->total + row);
}

static void some_rows(void* arg, size_t i) {
  const work* x = arg;
  int64_t to = x->rows * ((int64_t)i + 1) / x->parts;
  for (int64_t row = x->rows * (int64_t)i / x->parts; row < to; row++) route(x, row, x->scratch + i * row_bytes(x->k));
}

static OrtStatus* read_vector(OrtKernelContext* ctx, size_t at, int64_t n, const float** out) {
  tt_tensor t;
  OrtStatus* st = tt_input(ctx, at, &t);
  if (st != NULL) return st;
  if (t.rank != 1 || t.shape[0] != n) return tt_fail("Route: want a number for each expert");
  *out = t.data;
  return NULL;
}

static OrtStatus* read_mask(OrtKernelContext* ctx, size_t at, const kernel* k, int64_t rows, mask* m) {
  tt_tensor c;
  OrtStatus* st = tt_input(ctx, at, &c);
  if (st == NULL && (c.rank != 3 || (c.shape[1] != rows && c.shape[1] != 1))) st = tt_fail("Route: want a strength for each row, or one");
  if (st != NULL) return st;
  m->strength = c.data;
  m->step = c.shape[1] > 1;
  const float** parts[] = {&m->low, &m->lift, &m->before, &m->after};
  for (size_t i = 0; i < 4 && st == NULL; i++) st = read_vector(ctx, at + 1 + i, k->experts, parts[i]);
  return st;
}

enum { MOST_PARTS = 16, ROWS_OF_A_PART = 16 };

static OrtStatus* choose(OrtKernelContext* ctx, work* x) {
  const kernel* k = x->k;
  OrtStatus* st;
  const int64_t chosen[] = {1, x->rows, k->used}, one[] = {1, x->rows, 1};
  if ((st = tt_output(ctx, 0, chosen, 3, (void**)&x->ids)) != NULL) return st;
  if ((st = tt_output(ctx, 1, chosen, 3, (void**)&x->weights)) != NULL) return st;
  if ((st = tt_output(ctx, 2, one, 3, (void**)&x->total)) != NULL) return st;
  int64_t parts = x->rows / ROWS_OF_A_PART;
  x->parts = parts < 1 ? 1 : parts > MOST_PARTS ? MOST_PARTS : (int)parts;
  if ((x->scratch = tt_scratch((size_t)x->parts * row_bytes(k))) == NULL) return tt_fail("Route: out of memory");
  if (x->parts > 1) return tt_parallel(ctx, some_rows, x->parts, x);
  if (x->rows > 0) some_rows(x, 0);
  return NULL;
}

static OrtStatus* read_logits(OrtKernelContext* ctx, work* x) {
  tt_tensor in;
  OrtStatus* st = tt_input(ctx, 0, &in);
  if (st != NULL) return st;
  if (in.rank != 3 || in.shape[2] != x->k->experts) return tt_fail("Route: the logits are not one for each expert");
  x->rows = in.shape[1], x->logits = in.data;
  return NULL;
}

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  mask list[MOST_MASKS];
  work x = {.k = k, .masks = list};
  OrtStatus* st = read_logits(ctx, &x);
  if (st == NULL && k->masks > MOST_MASKS) st = tt_fail("Route: more masks on one block than 64");
  if (st == NULL && k->biased) st = read_vector(ctx, 1, k->experts, &x.bias);
  for (int64_t m = 0; m < k->masks && st == NULL; m++) st = read_mask(ctx, (size_t)(1 + k->biased + MASK_INPUTS * m), k, x.rows, &list[m]);
  return st != NULL ? st : choose(ctx, &x);
}

static OrtStatus* compute_each(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor steps;
  work x = {.k = k, .steps = &steps};
  OrtStatus* st = read_logits(ctx, &x);
  if (st == NULL) st = tt_input(ctx, 1, &steps);
  if (st == NULL && (steps.rank != 2 || steps.shape[0] != x.rows || k->site < 0 || k->site >= steps.shape[1]))
    st = tt_fail("RouteEach: want a list of steps for each row");
  if (st == NULL && k->biased) st = read_vector(ctx, 2, k->experts, &x.bias);
  return st != NULL ? st : choose(ctx, &x);
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Route"; }
static const char* name_each(const OrtCustomOp* op) { return (void)op, "RouteEach"; }
static size_t inputs_each(const OrtCustomOp* op) { return (void)op, 3; }
static int presence_each(const OrtCustomOp* op, size_t i) { return (void)op, i == 2 ? TT_OPTIONAL : TT_REQUIRED; }
static int input_type_each(const OrtCustomOp* op, size_t i) { return (void)op, i == 1 ? TT_INT64 : TT_FLOAT; }
static int variadic(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, 2; }  // INPUT_OUTPUT_VARIADIC
static int at_least_one(const OrtCustomOp* op) { return (void)op, 1; }
static int input_type(const OrtCustomOp* op, size_t i) { return (void)op, (void)i, TT_FLOAT; }
static int output_type(const OrtCustomOp* op, size_t i) { return (void)op, i == 0 ? TT_INT64 : TT_FLOAT; }
static size_t three(const OrtCustomOp* op) { return (void)op, 3; }

const OrtCustomOp tt_op_route = {
    TT_OPERATOR,
    .GetName = name,
    .GetInputType = input_type,
    .GetInputTypeCount = tt_one,
    .GetOutputType = output_type,
    .GetOutputTypeCount = three,
    .GetInputCharacteristic = variadic,
    .GetVariadicInputMinArity = at_least_one,
    .GetVariadicInputHomogeneity = at_least_one,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
};

const OrtCustomOp tt_op_route_each = {
    TT_OPERATOR, TT_FIXED_INPUTS,
    .GetName = name_each,
    .GetInputType = input_type_each,
    .GetInputTypeCount = inputs_each,
    .GetOutputType = output_type,
    .GetOutputTypeCount = three,
    .GetInputCharacteristic = presence_each,
    .CreateKernelV2 = create_each,
    .KernelComputeV2 = compute_each,
};
