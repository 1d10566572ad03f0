// SPDX-License-Identifier: Apache-2.0

// What operators that call cgo/kernels share: the table, scratch memory, threads.

#include <pthread.h>
#include <stdlib.h>

#include "../kernels/kernels.h"
#include "ops.h"

const struct tt_kernels* tt_products;

int tt_use_kernels(const void* table) {
  const struct tt_kernels* k = table;
  if (k->version != TT_VERSION || k->bytes != sizeof *k) return 1;
  tt_products = k;
  return 0;
}

static int fits(int64_t n) { return n >= 0 && n <= INT32_MAX; }

size_t tt_packed(int64_t type, int64_t rows, int64_t cols) {
  if (tt_products == NULL || !fits(type) || !fits(rows) || !fits(cols)) return 0;
  return tt_products->packed_bytes((int)type, (int)rows, (int)cols);
}

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local void* memory;
static _Thread_local size_t size;

static void make_key(void) { pthread_key_create(&key, free); }

void* tt_scratch(size_t bytes) {
  if (bytes <= size) return memory;
  pthread_once(&once, make_key);
  free(memory);
  size = (bytes + 4095) & ~(size_t)4095;
  memory = aligned_alloc(64, size);
  if (memory == NULL) size = 0;
  pthread_setspecific(key, memory);
  return memory;
}

// OrtStatus* KernelContext_ParallelFor(const OrtKernelContext*, void (*fn)(void*, size_t), size_t total, size_t num_batch, void*)
OrtStatus* tt_parallel(OrtKernelContext* ctx, void (*fn)(void*, size_t), int parts, void* arg) {
  return FN(KernelContext_ParallelFor, OrtStatus*, const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*)(
      ctx, fn, (size_t)parts, 0, arg);
}

static int part(int total, int parts, size_t i) { return (int)((int64_t)total * (int64_t)i / parts); }

static void quantise_part(void* arg, size_t i) {
  const tt_product* p = arg;
  tt_products->quantise_rows(p->type, p->x, (size_t)p->cols, p->m, p->cols, p->scratch, part(p->m, p->parts, i), part(p->m, p->parts, i + 1));
}

static void linear_part(void* arg, size_t i) {
  const tt_product* p = arg;
  tt_products->linear_rows(p->type, p->w, p->rows, p->cols, p->scratch, p->m, p->y, (size_t)p->rows, part(p->tiles, p->parts, i),
                           part(p->tiles, p->parts, i + 1));
}

// Below this many multiplications a second thread costs more than it brings; nor do inputs of fewer rows pay one.
enum { SMALL = 1 << 16, MOST_PARTS = 16, FEW = 4 };

OrtStatus* tt_multiply(OrtKernelContext* ctx, const tt_product* what) {
  tt_product p = *what;
  p.tiles = tt_products->tiles(p.rows);
  int64_t work = (int64_t)p.rows * p.cols * p.m;
  p.parts = work < SMALL ? 1 : MOST_PARTS < p.tiles ? MOST_PARTS : p.tiles;
  OrtStatus* st = NULL;
  if (p.m < FEW || p.parts == 1)
    tt_products->quantise(p.type, p.x, (size_t)p.cols, p.m, p.cols, p.scratch);
  else
    st = tt_parallel(ctx, quantise_part, p.parts, &p);
  if (st != NULL) return st;
  if (p.parts > 1) return tt_parallel(ctx, linear_part, p.parts, &p);
  linear_part(&p, 0);
  return NULL;
}

static size_t whole_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

OrtStatus* tt_encode(OrtKernelContext* ctx, const tt_product* what, float** y) {
  tt_product p = *what;
  *y = NULL;
  if (p.m == 0) return NULL;
  size_t results = whole_lines((size_t)p.m * (size_t)p.rows * sizeof(float));
  *y = p.y = aligned_alloc(64, results + whole_lines(tt_products->scratch_bytes(p.type, p.m, p.cols)));
  if (p.y == NULL) return tt_fail("Tap: out of memory");
  p.scratch = (char*)p.y + results;
  return tt_multiply(ctx, &p);
}
