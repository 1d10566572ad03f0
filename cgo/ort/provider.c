// SPDX-License-Identifier: Apache-2.0

// Execution providers, and memory of their devices.

#include "provider.h"

#include <string.h>

// OrtStatus* CreateCUDAProviderOptions(OrtCUDAProviderOptionsV2** out)
// OrtStatus* UpdateCUDAProviderOptions(OrtCUDAProviderOptionsV2*, const char* const* keys, const char* const* values, size_t)
// OrtStatus* SessionOptionsAppendExecutionProvider_CUDA_V2(OrtSessionOptions*, const OrtCUDAProviderOptionsV2*)
static OrtStatus* append_cuda(void* so, const tt_options* o) {
  void* cuda = NULL;
  OrtStatus* st = FN(CreateCUDAProviderOptions, OrtStatus*, void**)(&cuda);
  if (st != NULL) return st;
  st = FN(UpdateCUDAProviderOptions, OrtStatus*, void*, const char* const*, const char* const*, size_t)(cuda, o->keys, o->settings_values, o->settings);
  if (st == NULL) st = FN(SessionOptionsAppendExecutionProvider_CUDA_V2, OrtStatus*, void*, const void*)(so, cuda);
  FN(ReleaseCUDAProviderOptions, void, void*)(cuda);
  return st;
}

// OrtStatus* SessionOptionsAppendExecutionProvider(OrtSessionOptions*, const char* name, const char* const* keys, const char* const* values, size_t)
OrtStatus* tt_provider_append(void* so, const tt_options* o) {
  if (strcmp(o->provider, "CUDA") == 0) return append_cuda(so, o);
  return FN(SessionOptionsAppendExecutionProvider, OrtStatus*, void*, const char*, const char* const*, const char* const*, size_t)(
      so, o->provider, o->keys, o->settings_values, o->settings);
}

// OrtStatus* GetAvailableProviders(char*** out, int* n)
OrtStatus* tt_providers(char*** names, int* n) { return FN(GetAvailableProviders, OrtStatus*, char***, int*)(names, n); }

// OrtStatus* ReleaseAvailableProviders(char** names, int n)
void tt_providers_release(char** names, int n) {
  OrtStatus* st = FN(ReleaseAvailableProviders, OrtStatus*, char**, int)(names, n);
  if (st != NULL) FN(ReleaseStatus, void, OrtStatus*)(st);
}

// OrtStatus* CreateMemoryInfo(const char* name, OrtAllocatorType, int id, OrtMemType, OrtMemoryInfo** out); OrtArenaAllocator is 1
// OrtStatus* CreateAllocator(const OrtSession*, const OrtMemoryInfo*, OrtAllocator** out)
OrtStatus* tt_memory_create(OrtSession* s, const char* name, int device, tt_memory* out) {
  OrtStatus* st = FN(CreateMemoryInfo, OrtStatus*, const char*, int, int, int, void**)(name, 1, device, 0, &out->info);
  if (st == NULL) st = FN(CreateAllocator, OrtStatus*, const OrtSession*, const void*, OrtAllocator**)(s, out->info, &out->allocator);
  return st;
}

// OrtStatus* CreateTensorAsOrtValue(OrtAllocator*, const int64_t* shape, size_t, type, OrtValue**)
OrtStatus* tt_memory_value(const tt_memory* m, size_t bytes, const int64_t* shape, size_t rank, int type, OrtValue** owner, OrtValue** out) {
  void* data = NULL;
  OrtStatus* st = FN(CreateTensorAsOrtValue, OrtStatus*, OrtAllocator*, const int64_t*, size_t, int, OrtValue**)(m->allocator, shape, rank, type, owner);
  if (st == NULL) st = FN(GetTensorMutableData, OrtStatus*, OrtValue*, void**)(*owner, &data);
  if (st == NULL)
    st = FN(CreateTensorWithDataAsOrtValue, OrtStatus*, const void*, void*, size_t, const int64_t*, size_t, int, OrtValue**)(
        m->info, data, bytes, shape, rank, type, out);
  return st;
}

void tt_memory_release(tt_memory* m) {
  if (m->allocator != NULL) FN(ReleaseAllocator, void, OrtAllocator*)(m->allocator);
  if (m->info != NULL) FN(ReleaseMemoryInfo, void, void*)(m->info);
  *m = (tt_memory){0};
}
