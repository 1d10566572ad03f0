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

#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "ops.h"

typedef struct {
  int64_t heads, kv_heads, head, rotary, interleaved, window, cache_type;
  float scale, softcap;
} kernel;

static OrtStatus* create(const OrtCustomOp* op, OrtApi api, const OrtKernelInfo* info, void** out) {
  (void)op, (void)api;
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
  if (st != NULL) return free(k), st;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    if (*numbers[i].to < 0 || *numbers[i].to > INT32_MAX) return free(k), tt_fail("Attention: an attribute is negative or past 32 bits");
  if (k->heads < 1 || k->kv_heads < 1 || k->head < 1 || k->rotary % 2 != 0 || k->rotary > k->head)
    return free(k), tt_fail("Attention: want heads, and an even number of rotary columns within one");
  *out = k;
  return NULL;
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

static const char* name(const OrtCustomOp* op) { return (void)op, "Attention"; }
static size_t inputs(const OrtCustomOp* op) { return (void)op, 6; }
static int presence(const OrtCustomOp* op, size_t i) { return (void)op, i == 5 ? TT_OPTIONAL : TT_REQUIRED; }
static int input_type(const OrtCustomOp* op, size_t i) {
  (void)op;
  return i == 1 ? TT_UINT8 : i == 2 ? TT_INT32 : TT_FLOAT;
}

const OrtCustomOp tt_op_attention = {
    .version = TT_API_VERSION,
    .GetName = name,
    .GetExecutionProviderType = tt_cpu,
    .GetInputType = input_type,
    .GetInputTypeCount = inputs,
    .GetOutputType = tt_returns_float,
    .GetOutputTypeCount = tt_one,
    .KernelDestroy = free,
    .GetInputCharacteristic = presence,
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
};
