// SPDX-License-Identifier: Apache-2.0

// Attention(qkv, cache, total, cos, sin, sinks) -> z: rotary embedding, then grouped-query attention of the new tokens to all tokens so far.
//
//   qkv    float [1, n, (heads + 2 kv_heads) · head], not rotated
//   cache  uint8, memory of cgo/kernels (struct tt_cache), WRITTEN here: the new keys and values go behind the total - n tokens it holds
//   total  int32 scalar, tokens after this pass
//   cos, sin  float [positions, rotary / 2]
//   sinks  float [heads], may be absent: one more score of each head, without a value
//   z      float [1, n, heads · head]
//
// A row of z does not depend on how many rows a pass has, so chunks of a prompt and single tokens round alike.
//
// AttentionEach(qkv, sequences, cos, sin, sinks) -> z: the same where each row is one new token of a sequence of its own.
//
//   sequences  int64 [n, 3]: the tokens that the row's sequence holds before this pass, those that its cache has room for, and the address of the int64
//              addresses of its blocks' caches; the attribute layer says which block's is meant

#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "ops.h"

typedef struct {
  int64_t heads, kv_heads, head, rotary, interleaved, window, cache_type, layer;
  float scale, softcap;
} kernel;

static OrtStatus* create_kernel(const OrtKernelInfo* info, int each, void** out) {
  if (tt_products == NULL) return tt_fail("Attention: no kernels are registered");
  kernel* k = calloc(1, sizeof *k);
  if (k == NULL) return tt_fail("Attention: out of memory");
  const struct {
    const char* name;
    int64_t* to;
  } numbers[] = {{"heads", &k->heads},   {"kv_heads", &k->kv_heads}, {"head", &k->head},
                 {"rotary", &k->rotary}, {"interleaved", &k->interleaved}, {"window", &k->window},
                 {"cache_type", &k->cache_type}};
  OrtStatus* st = NULL;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && st == NULL; i++) st = tt_attribute(info, numbers[i].name, numbers[i].to);
  if (st == NULL) st = tt_attribute_float(info, "scale", &k->scale);
  if (st == NULL) st = tt_attribute_float(info, "softcap", &k->softcap);
  if (st == NULL && each) st = tt_attribute(info, "layer", &k->layer);
  if (st != NULL) return free(k), st;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    if (*numbers[i].to < 0 || *numbers[i].to > INT32_MAX) return free(k), tt_fail("Attention: an attribute is negative or past 32 bits");
  if (k->heads < 1 || k->kv_heads < 1 || k->head < 1 || k->rotary % 2 != 0 || k->rotary > k->head)
    return free(k), tt_fail("Attention: want heads, and an even number of rotary columns within one");
  *out = k;
  return NULL;
}

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  return (void)op, (void)api, create_kernel(info, 0, out);
}

static OrtStatus* create_each(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  return (void)op, (void)api, create_kernel(info, 1, out);
}

// Turns the first `rotary` columns of one head; pairs lie side by side or half the columns apart.
static void rotate(float* restrict dst, const float* restrict src, const float* restrict c, const float* restrict s, const kernel* k) {
  int half = (int)k->rotary / 2;
  if (k->interleaved) {
    for (int j = 0; j < half; j++) {
      float a = src[2 * j], b = src[2 * j + 1];
      dst[2 * j] = a * c[j] - b * s[j];
      dst[2 * j + 1] = b * c[j] + a * s[j];
    }
  } else {
    for (int j = 0; j < half; j++) {
      float a = src[j], b = src[j + half];
      dst[j] = a * c[j] - b * s[j];
      dst[j + half] = b * c[j] + a * s[j];
    }
  }
  memcpy(dst + k->rotary, src + k->rotary, (size_t)(k->head - k->rotary) * sizeof *dst);
}

typedef struct {
  const kernel* k;
  struct tt_attention a;
  const float* qkv;
  const float *cos, *sin;
  float* turned;  // [n][(heads + kv_heads) · head]
  void* scratch;
  int parts;
} work;

static size_t width_in(const kernel* k) { return (size_t)((k->heads + 2 * k->kv_heads) * k->head); }
static size_t width_turned(const kernel* k) { return (size_t)((k->heads + k->kv_heads) * k->head); }

static void turn_token(void* arg, size_t i) {
  work* w = arg;
  const kernel* k = w->k;
  const float* src = w->qkv + i * width_in(k);
  float* dst = w->turned + i * width_turned(k);
  size_t row = ((size_t)w->a.first + i) * (size_t)(k->rotary / 2);
  for (int64_t h = 0; h < k->heads + k->kv_heads; h++) rotate(dst + h * k->head, src + h * k->head, w->cos + row, w->sin + row, k);
}

static void attend_part(void* arg, size_t i) {
  work* w = arg;
  tt_products->attention_rows(&w->a, (int)i, (int)i + 1, w->scratch);
}

// Below this many multiplications a second thread costs more than it brings.
enum { SMALL = 1 << 15 };

static OrtStatus* run(OrtKernelContext* ctx, work* w) {
  const kernel* k = w->k;
  int n = w->a.n;
  OrtStatus* st = NULL;
  if (n >= 16)
    st = tt_parallel(ctx, turn_token, n, w);
  else
    for (int i = 0; i < n; i++) turn_token(w, (size_t)i);
  if (st != NULL) return st;
  const float* keys = w->turned + k->heads * k->head;
  const float* values = w->qkv + (k->heads + k->kv_heads) * k->head;
  if (tt_products->cache_append(&w->a.cache, w->a.first, n, keys, width_turned(k), values, width_in(k)) != TT_OK)
    return tt_fail("Attention: the cache cannot take the new tokens");
  int64_t multiplications = (int64_t)n * (w->a.first + n) * k->heads * k->head;
  if (multiplications < SMALL)
    tt_products->attention_rows(&w->a, 0, w->parts, w->scratch);
  else if ((st = tt_parallel(ctx, attend_part, w->parts, w)) != NULL)
    return st;
  if (tt_products->attention_finish(&w->a, w->scratch) != TT_OK) return tt_fail("Attention: the kernel refused");
  return NULL;
}

// Checks what the kernel cannot know: that cache and tables are long enough for the tokens there will be.
static OrtStatus* check(const kernel* k, const tt_tensor* in, int64_t total) {
  const tt_tensor *qkv = &in[0], *cache = &in[1];
  if (qkv->rank != 3 || qkv->shape[0] != 1 || (size_t)qkv->shape[2] != width_in(k)) return tt_fail("Attention: qkv has another width than heads and head say");
  if (total < qkv->shape[1]) return tt_fail("Attention: fewer tokens in all than in this pass");
  size_t need = tt_products->cache_bytes((int)k->cache_type, (int)k->kv_heads, (int)k->head, (int)total);
  if (need == 0 || cache->rank != 1 || (size_t)cache->shape[0] < need) return tt_fail("Attention: the cache is too short");
  for (const tt_tensor* turn = in + 3; turn < in + 5 && k->rotary > 0; turn++)
    if (turn->rank != 2 || turn->shape[0] < total || turn->shape[1] != k->rotary / 2)
      return tt_fail("Attention: the rotary table is too short or has another width");
  const tt_tensor* sinks = &in[5];
  if (sinks->data != NULL && (sinks->rank != 1 || sinks->shape[0] != k->heads)) return tt_fail("Attention: want one sink a head");
  return NULL;
}

static OrtStatus* compute(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor in[6];
  OrtStatus* st = NULL;
  for (size_t i = 0; i < 6 && st == NULL; i++) st = tt_input(ctx, i, &in[i]);
  if (st != NULL) return st;
  int64_t total = *(const int32_t*)in[2].data;
  if ((st = check(k, in, total)) != NULL) return st;
  int64_t n = in[0].shape[1], shape[3] = {1, n, k->heads * k->head};
  void* z;
  if ((st = tt_output(ctx, 0, shape, 3, &z)) != NULL || n == 0) return st;
  work w = {.k = k, .qkv = in[0].data, .cos = in[3].data, .sin = in[4].data};
  w.a = (struct tt_attention){.cache = {(int)k->cache_type, (int)k->kv_heads, (int)k->head, in[1].data},
                              .heads = (int)k->heads, .first = (int)(total - n), .n = (int)n, .window = (int)k->window,
                              .scale = k->scale, .softcap = k->softcap, .ldq = width_turned(k), .y = z,
                              .ldy = (size_t)(k->heads * k->head), .sinks = in[5].data};
  w.parts = tt_products->attention_parts(&w.a);
  if (w.parts < 0) return tt_fail("Attention: no kernel for this shape");
  size_t turned = ((size_t)n * width_turned(k) * sizeof(float) + 63) & ~(size_t)63;
  char* memory = tt_scratch(turned + tt_products->attention_scratch(&w.a));
  if (memory == NULL) return tt_fail("Attention: out of memory");
  w.turned = (float*)memory;
  w.a.q = w.turned;
  w.scratch = memory + turned;
  return run(ctx, &w);
}

// The sequences of one pass: works[r] is row r's, first[r] the first of its parts.
typedef struct {
  int rows;
  work* works;
  int* first;
} sequences;

static void attend_some(void* arg, size_t i) {
  const sequences* s = arg;
  int r = 0;
  while (r + 1 < s->rows && s->first[r + 1] <= (int)i) r++;
  attend_part(&s->works[r], i - (size_t)s->first[r]);
}

static OrtStatus* check_each(const kernel* k, const tt_tensor* in) {
  const tt_tensor *qkv = &in[0], *table = &in[1], *sinks = &in[4];
  if (qkv->rank != 3 || qkv->shape[0] != 1 || (size_t)qkv->shape[2] != width_in(k))
    return tt_fail("AttentionEach: qkv has another width than heads and head say");
  if (table->rank != 2 || table->shape[0] != qkv->shape[1] || table->shape[1] != 3) return tt_fail("AttentionEach: want three numbers a sequence");
  if (sinks->data != NULL && (sinks->rank != 1 || sinks->shape[0] != k->heads)) return tt_fail("AttentionEach: want one sink a head");
  for (int64_t r = 0; r < qkv->shape[1]; r++) {
    const int64_t* row = (const int64_t*)table->data + 3 * r;
    if (row[0] < 0 || row[0] >= row[1] || row[1] > INT32_MAX || row[2] == 0) return tt_fail("AttentionEach: a sequence's cache is too short");
    for (const tt_tensor* turn = in + 2; turn < in + 4 && k->rotary > 0; turn++)
      if (turn->rank != 2 || turn->shape[0] <= row[0] || turn->shape[1] != k->rotary / 2)
        return tt_fail("AttentionEach: the rotary table is too short or has another width");
  }
  return NULL;
}

// Sets up row r, without memory.
static OrtStatus* set_row(const kernel* k, const tt_tensor* in, int64_t r, float* z, work* w) {
  const int64_t* row = (const int64_t*)in[1].data + 3 * r;
  void* cache = (void*)(uintptr_t)((const int64_t*)(uintptr_t)row[2])[k->layer];
  size_t out = (size_t)(k->heads * k->head);
  *w = (work){.k = k, .qkv = (const float*)in[0].data + (size_t)r * width_in(k), .cos = in[2].data, .sin = in[3].data};
  w->a = (struct tt_attention){.cache = {(int)k->cache_type, (int)k->kv_heads, (int)k->head, cache},
                               .heads = (int)k->heads, .first = (int)row[0], .n = 1, .window = (int)k->window,
                               .scale = k->scale, .softcap = k->softcap, .ldq = width_turned(k), .y = z + (size_t)r * out,
                               .ldy = out, .sinks = in[4].data};
  w->parts = tt_products->attention_parts(&w->a);
  return w->parts < 0 ? tt_fail("AttentionEach: no kernel for this shape") : NULL;
}

static size_t lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static OrtStatus* run_each(OrtKernelContext* ctx, const kernel* k, const tt_tensor* in, float* z) {
  int64_t n = in[0].shape[1], multiplications = 0;
  size_t row = lines(width_turned(k) * sizeof(float)), bytes = lines((size_t)n * sizeof(work)) + lines((size_t)n * sizeof(int));
  OrtStatus* st = NULL;
  for (int64_t r = 0; r < n && st == NULL; r++) {
    work w;
    st = set_row(k, in, r, z, &w);
    bytes += row + lines(tt_products->attention_scratch(&w.a));
    multiplications += ((int64_t)w.a.first + 1) * k->heads * k->head;
  }
  if (st != NULL) return st;
  char* memory = tt_scratch(bytes);
  if (memory == NULL) return tt_fail("AttentionEach: out of memory");
  sequences s = {(int)n, (work*)memory, (int*)(memory + lines((size_t)n * sizeof(work)))};
  memory += lines((size_t)n * sizeof(work)) + lines((size_t)n * sizeof(int));
  int parts = 0;
  for (int64_t r = 0; r < n; r++) {
    work* w = &s.works[r];
    if ((st = set_row(k, in, r, z, w)) != NULL) return st;
    w->turned = (float*)memory, w->a.q = w->turned, w->scratch = memory + row;
    memory += row + lines(tt_products->attention_scratch(&w->a));
    s.first[r] = parts, parts += w->parts;
    turn_token(w, 0);
    if (tt_products->cache_append(&w->a.cache, w->a.first, 1, w->turned + k->heads * k->head, width_turned(k), w->qkv + (k->heads + k->kv_heads) * k->head,
                                  width_in(k)) != TT_OK)
      return tt_fail("AttentionEach: the cache cannot take the new tokens");
  }
  if (multiplications >= SMALL)
    st = tt_parallel(ctx, attend_some, parts, &s);
  else
    for (int64_t r = 0; r < n; r++) tt_products->attention_rows(&s.works[r].a, 0, s.works[r].parts, s.works[r].scratch);
  for (int64_t r = 0; r < n && st == NULL; r++)
    if (tt_products->attention_finish(&s.works[r].a, s.works[r].scratch) != TT_OK) st = tt_fail("AttentionEach: the kernel refused");
  return st;
}

static OrtStatus* compute_each(void* self, OrtKernelContext* ctx) {
  const kernel* k = self;
  tt_tensor in[5];
  OrtStatus* st = NULL;
  for (size_t i = 0; i < 5 && st == NULL; i++) st = tt_input(ctx, i, &in[i]);
  if (st == NULL) st = check_each(k, in);
  if (st != NULL) return st;
  int64_t shape[3] = {1, in[0].shape[1], k->heads * k->head};
  void* z;
  if ((st = tt_output(ctx, 0, shape, 3, &z)) != NULL || shape[1] == 0) return st;
  return run_each(ctx, k, in, z);
}

static const char* name(const OrtCustomOp* op) { return (void)op, "Attention"; }
static const char* name_each(const OrtCustomOp* op) { return (void)op, "AttentionEach"; }
static size_t inputs_each(const OrtCustomOp* op) { return (void)op, 5; }
static int presence_each(const OrtCustomOp* op, size_t i) { return (void)op, i == 4 ? TT_OPTIONAL : TT_REQUIRED; }
static int input_type_each(const OrtCustomOp* op, size_t i) { return (void)op, i == 1 ? TT_INT64 : TT_FLOAT; }
static size_t inputs(const OrtCustomOp* op) { return (void)op, 6; }
static int presence(const OrtCustomOp* op, size_t i) { return (void)op, i == 5 ? TT_OPTIONAL : TT_REQUIRED; }
static int input_type(const OrtCustomOp* op, size_t i) {
  (void)op;
  return i == 1 ? TT_UINT8 : i == 2 ? TT_INT32 : TT_FLOAT;
}

const OrtCustomOp tt_op_attention = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT,
    .GetName = name,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetInputCharacteristic = presence,
    .CreateKernelV2 = create,
    .KernelComputeV2 = compute,
};

const OrtCustomOp tt_op_attention_each = {
    TT_OPERATOR, TT_FIXED_INPUTS, TT_RETURNS_FLOAT,
    .GetName = name_each,
    .GetInputType = input_type_each,
    .GetInputTypeCount = inputs_each,
    .GetInputCharacteristic = presence_each,
    .CreateKernelV2 = create_each,
    .KernelComputeV2 = compute_each,
};
