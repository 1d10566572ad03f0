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
