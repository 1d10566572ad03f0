// SPDX-License-Identifier: Apache-2.0

#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "ops.h"
#include "provider.h"

OrtApi tt_api;
static void* env;
static void* cpu_memory;    // OrtDeviceAllocator (0), which tensors over memory of ours name
static void* arena_memory;  // OrtArenaAllocator (1)
static void* op_domain;

#define TRY(call)              \
  do {                         \
    OrtStatus* st_ = (call);   \
    if (st_ != NULL) return st_; \
  } while (0)

int tt_load(void* get_api_base, const char** version) {
  const OrtApiBase* base = ((const OrtApiBase* (*)(void))get_api_base)();
  *version = base->GetVersionString();
  tt_api = base->GetApi(TT_API_VERSION);
  return tt_api == NULL;
}

// All sessions of the process take their working memory from one arena, which grows by what is asked for (strategy 1): a graph for a new set of hooks
// then needs next to none of its own.
// OrtStatus* CreateArenaCfg(size_t max_mem, int extend_strategy, int initial_chunk_bytes, int max_dead_bytes_per_chunk, OrtArenaCfg** out)
// OrtStatus* CreateAndRegisterAllocator(OrtEnv*, const OrtMemoryInfo*, const OrtArenaCfg*)
static OrtStatus* share_arena(void) {
  static void* arena;
  if (arena != NULL) return NULL;
  TRY(FN(CreateArenaCfg, OrtStatus*, size_t, int, int, int, void**)(0, 1, -1, -1, &arena));
  return FN(CreateAndRegisterAllocator, OrtStatus*, void*, void*, const void*)(env, arena_memory, arena);
}

// OrtStatus* CreateEnv(OrtLoggingLevel, const char* logid, OrtEnv** out)
// OrtStatus* CreateCpuMemoryInfo(OrtAllocatorType, OrtMemType, OrtMemoryInfo** out)
// OrtStatus* CreateCustomOpDomain(const char* domain, OrtCustomOpDomain** out)
// OrtStatus* CustomOpDomain_Add(OrtCustomOpDomain*, const OrtCustomOp*)
OrtStatus* tt_start(void) {
  if (op_domain != NULL) return NULL;
  // Severity 4 (fatal): what goes wrong is returned as an error, not printed.
  if (env == NULL) TRY(FN(CreateEnv, OrtStatus*, int, const char*, void**)(4, "trimtab", &env));
  if (cpu_memory == NULL) TRY(FN(CreateCpuMemoryInfo, OrtStatus*, int, int, void**)(0, 0, &cpu_memory));
  if (arena_memory == NULL) TRY(FN(CreateCpuMemoryInfo, OrtStatus*, int, int, void**)(1, 0, &arena_memory));
  TRY(share_arena());
  void* domain = NULL;
  TRY(FN(CreateCustomOpDomain, OrtStatus*, const char*, void**)("trimtab", &domain));
  for (size_t i = 0; i < tt_op_count(); i++)
    TRY(FN(CustomOpDomain_Add, OrtStatus*, void*, const OrtCustomOp*)(domain, tt_op(i)));
  op_domain = domain;
  return NULL;
}

// OrtStatus* AddSessionConfigEntry(OrtSessionOptions*, const char* key, const char* value)
// OrtStatus* AddInitializer(OrtSessionOptions*, const char* name, const OrtValue*)
static OrtStatus* configure(void* so, const tt_options* o) {
  TRY(FN(SetSessionLogSeverityLevel, OrtStatus*, void*, int)(so, 4));
  TRY(FN(SetIntraOpNumThreads, OrtStatus*, void*, int)(so, o->threads));
  TRY(FN(SetSessionGraphOptimizationLevel, OrtStatus*, void*, int)(so, o->optimise));
  if (o->profile != NULL) TRY(FN(EnableProfiling, OrtStatus*, void*, const char*)(so, o->profile));
  // Pools of idle sessions must not spin against the one that runs.
  TRY(FN(AddSessionConfigEntry, OrtStatus*, void*, const char*, const char*)(so, "session.force_spinning_stop", "1"));
  // Weights stay where they are: kernels of this package read them tiled, and plain MatMul runs from them as they stand.
  if (o->packs == NULL) TRY(FN(AddSessionConfigEntry, OrtStatus*, void*, const char*, const char*)(so, "session.disable_prepacking", "1"));
  TRY(FN(AddSessionConfigEntry, OrtStatus*, void*, const char*, const char*)(so, "session.model_external_initializers_file_folder_path", o->folder));
  TRY(FN(AddSessionConfigEntry, OrtStatus*, void*, const char*, const char*)(so, "session.use_env_allocators", "1"));
  TRY(FN(AddCustomOpDomain, OrtStatus*, void*, void*)(so, op_domain));
  if (o->provider != NULL) TRY(tt_provider_append(so, o));
  for (size_t i = 0; i < o->initializers; i++)
    TRY(FN(AddInitializer, OrtStatus*, void*, const char*, const OrtValue*)(so, o->names[i], o->values[i]));
  return NULL;
}

// OrtStatus* CreatePrepackedWeightsContainer(OrtPrepackedWeightsContainer** out)
OrtStatus* tt_packs_create(OrtPrepackedWeightsContainer** out) {
  return FN(CreatePrepackedWeightsContainer, OrtStatus*, OrtPrepackedWeightsContainer**)(out);
}

void tt_packs_release(OrtPrepackedWeightsContainer* p) { FN(ReleasePrepackedWeightsContainer, void, OrtPrepackedWeightsContainer*)(p); }

// OrtStatus* CreateSessionFromArray(const OrtEnv*, const void* model, size_t, const OrtSessionOptions*, OrtSession**)
// OrtStatus* CreateSessionFromArrayWithPrepackedWeightsContainer(const OrtEnv*, const void*, size_t, const OrtSessionOptions*, OrtPrepackedWeightsContainer*, OrtSession**)
OrtStatus* tt_session_create(const void* model, size_t bytes, const tt_options* o, OrtSession** out) {
  void* so = NULL;
  TRY(FN(CreateSessionOptions, OrtStatus*, void**)(&so));
  OrtStatus* st = configure(so, o);
  if (st == NULL && o->packs != NULL)
    st = FN(CreateSessionFromArrayWithPrepackedWeightsContainer, OrtStatus*, void*, const void*, size_t, void*, OrtPrepackedWeightsContainer*, OrtSession**)(
        env, model, bytes, so, o->packs, out);
  else if (st == NULL)
    st = FN(CreateSessionFromArray, OrtStatus*, void*, const void*, size_t, void*, OrtSession**)(env, model, bytes, so, out);
  FN(ReleaseSessionOptions, void, void*)(so);
  return st;
}

void tt_session_release(OrtSession* s) { FN(ReleaseSession, void, OrtSession*)(s); }

// OrtStatus* CreateTensorWithDataAsOrtValue(const OrtMemoryInfo*, void* data, size_t bytes, const int64_t* shape, size_t, type, OrtValue**)
OrtStatus* tt_value_create(void* data, size_t bytes, const int64_t* shape, size_t rank, int type, OrtValue** out) {
  return FN(CreateTensorWithDataAsOrtValue, OrtStatus*, void*, void*, size_t, const int64_t*, size_t, int, OrtValue**)(
      cpu_memory, data, bytes, shape, rank, type, out);
}

void tt_value_release(OrtValue* v) { FN(ReleaseValue, void, OrtValue*)(v); }

OrtStatus* tt_binding_create(OrtSession* s, OrtIoBinding** out) {
  return FN(CreateIoBinding, OrtStatus*, OrtSession*, OrtIoBinding**)(s, out);
}

OrtStatus* tt_bind_input(OrtIoBinding* b, const char* name, OrtValue* v) {
  return FN(BindInput, OrtStatus*, OrtIoBinding*, const char*, const OrtValue*)(b, name, v);
}

OrtStatus* tt_bind_output(OrtIoBinding* b, const char* name, OrtValue* v) {
  return FN(BindOutput, OrtStatus*, OrtIoBinding*, const char*, const OrtValue*)(b, name, v);
}

// OrtStatus* SynchronizeBoundInputs(OrtIoBinding*)
OrtStatus* tt_bound_inputs(OrtIoBinding* b) { return FN(SynchronizeBoundInputs, OrtStatus*, OrtIoBinding*)(b); }

void tt_binding_release(OrtIoBinding* b) { FN(ReleaseIoBinding, void, OrtIoBinding*)(b); }

OrtStatus* tt_run_options_create(OrtRunOptions** out) { return FN(CreateRunOptions, OrtStatus*, OrtRunOptions**)(out); }

void tt_run_terminate(OrtRunOptions* r, int on) {
  OrtStatus* st = on ? FN(RunOptionsSetTerminate, OrtStatus*, OrtRunOptions*)(r)
                     : FN(RunOptionsUnsetTerminate, OrtStatus*, OrtRunOptions*)(r);
  if (st != NULL) FN(ReleaseStatus, void, OrtStatus*)(st);
}

void tt_run_options_release(OrtRunOptions* r) { FN(ReleaseRunOptions, void, OrtRunOptions*)(r); }

// OrtStatus* RunWithBinding(OrtSession*, const OrtRunOptions*, const OrtIoBinding*)
OrtStatus* tt_run(OrtSession* s, OrtRunOptions* r, OrtIoBinding* b) {
  return FN(RunWithBinding, OrtStatus*, OrtSession*, const OrtRunOptions*, const OrtIoBinding*)(s, r, b);
}

int tt_status_take(OrtStatus* st, char* message, size_t size) {
  int code = FN(GetErrorCode, int, const OrtStatus*)(st);
  strncpy(message, FN(GetErrorMessage, const char*, const OrtStatus*)(st), size - 1);
  message[size - 1] = 0;
  FN(ReleaseStatus, void, OrtStatus*)(st);
  return code;
}

// calloc leaves large blocks untouched; the block's own address stands in the word before the aligned one.
void* tt_alloc(size_t bytes) {
  char* block = calloc(1, bytes + 128);
  if (block == NULL) return NULL;
  void** aligned = (void**)(((uintptr_t)block + 127) & ~(uintptr_t)63);
  aligned[-1] = block;
  return aligned;
}

void tt_free(void* p) {
  if (p != NULL) free(((void**)p)[-1]);
}
