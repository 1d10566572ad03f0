// SPDX-License-Identifier: Apache-2.0

// What the Go side calls: a handful of functions that each make one or a few calls of the ONNX Runtime API.
// A function that can fail returns an OrtStatus, NULL for success; tt_status_take turns it into code and text and releases it.

#ifndef TRIMTAB_ORT_SESSION_H
#define TRIMTAB_ORT_SESSION_H

#include "api.h"

typedef struct OrtSession OrtSession;
typedef struct OrtIoBinding OrtIoBinding;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtPrepackedWeightsContainer OrtPrepackedWeightsContainer;
typedef struct OrtAllocator OrtAllocator;

// Returns 0, or 1 where the library knows no API version TT_API_VERSION; version points into the library.
int tt_load(void* get_api_base, const char** version);

// Makes what all sessions share; once, behind tt_load and before anything below.
OrtStatus* tt_start(void);

// A session's options in plain C; initializers are shared, not copied, and must outlive the session.
typedef struct {
  int threads;        // of one operator; 1 makes no pool
  int optimise;       // GraphOptimizationLevel: 0 none, 1 basic
  const char* profile;  // prefix of a profile file, or NULL
  const char* folder;   // where files that the model names are looked for
  size_t initializers;
  const char** names;
  OrtValue** values;
  OrtPrepackedWeightsContainer* packs;  // where kernels keep initializers in a form of their own, shared by sessions; NULL: they run from them as they stand
  const char* provider;  // what computes beside the processor's own operators, as ONNX Runtime names it: "CUDA"; NULL: nothing
  size_t settings;       // of the provider
  const char** keys;
  const char** settings_values;
} tt_options;

// The execution providers that the library was built with, for tt_providers_release; not all of them need work on this machine.
OrtStatus* tt_providers(char*** names, int* n);
void tt_providers_release(char** names, int n);


OrtStatus* tt_packs_create(OrtPrepackedWeightsContainer** out);
void tt_packs_release(OrtPrepackedWeightsContainer* p);

// Gives back what making sessions left in memory.
void tt_tidy(void);
OrtStatus* tt_session_create(const void* model, size_t bytes, const tt_options* o, OrtSession** out);
void tt_session_release(OrtSession* s);

OrtStatus* tt_value_create(void* data, size_t bytes, const int64_t* shape, size_t rank, int type, OrtValue** out);
void tt_value_release(OrtValue* v);

// Memory of a provider's device, by the name of the memory ("Cuda", "Cpu") and the device's number; it must not outlive the session.
// The contents of a tensor in it are not defined before something is written; tt_value_release gives it back.
typedef struct {
  OrtAllocator* allocator;
  void* info;
} tt_memory;
OrtStatus* tt_memory_create(OrtSession* s, const char* name, int device, tt_memory* out);
// Makes a tensor that owns its memory, and one over the same memory that does not: initializers may not own theirs.
OrtStatus* tt_memory_value(const tt_memory* m, size_t bytes, const int64_t* shape, size_t rank, int type, OrtValue** owner, OrtValue** out);
void tt_memory_release(tt_memory* m);

OrtStatus* tt_binding_create(OrtSession* s, OrtIoBinding** out);
OrtStatus* tt_bind_input(OrtIoBinding* b, const char* name, OrtValue* v);
OrtStatus* tt_bind_output(OrtIoBinding* b, const char* name, OrtValue* v);
// Waits for the copies that binding inputs to a device has started.
OrtStatus* tt_bound_inputs(OrtIoBinding* b);
void tt_binding_release(OrtIoBinding* b);

OrtStatus* tt_run_options_create(OrtRunOptions** out);
void tt_run_terminate(OrtRunOptions* r, int on);
void tt_run_options_release(OrtRunOptions* r);

OrtStatus* tt_run(OrtSession* s, OrtRunOptions* r, OrtIoBinding* b);

// Zeroed memory, 64-byte aligned; pages are not resident before they are used.
void* tt_alloc(size_t bytes);
void tt_free(void* p);

// Copies at most size-1 bytes of the message and releases the status; returns the OrtErrorCode.
int tt_status_take(OrtStatus* st, char* message, size_t size);

#endif
