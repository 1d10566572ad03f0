// SPDX-License-Identifier: Apache-2.0

// The part of ONNX Runtime's C API that this package uses, declared by hand.
//
// OrtApi is a table of function pointers that ONNX Runtime only ever appends to, so a function is its place in the table:
// FN(RunWithBinding) is slot 133 of any library that knows API version 24 or later. api_test.go holds the slots against the
// header that the onnxruntime_go module carries. Above each use stands the prototype from onnxruntime_c_api.h.

#ifndef TRIMTAB_ORT_API_H
#define TRIMTAB_ORT_API_H

#include <stddef.h>
#include <stdint.h>

// The API version asked for: the lowest that has every slot below.
#define TT_API_VERSION 24

enum {
  SLOT_CreateStatus = 0,
  SLOT_GetErrorCode = 1,
  SLOT_GetErrorMessage = 2,
  SLOT_CreateEnv = 3,
  SLOT_CreateSessionFromArray = 8,
  SLOT_CreateSessionOptions = 10,
  SLOT_EnableProfiling = 14,
  SLOT_SetSessionLogSeverityLevel = 22,
  SLOT_SetSessionGraphOptimizationLevel = 23,
  SLOT_SetIntraOpNumThreads = 24,
  SLOT_CreateCustomOpDomain = 26,
  SLOT_CustomOpDomain_Add = 27,
  SLOT_AddCustomOpDomain = 28,
  SLOT_CreateRunOptions = 39,
  SLOT_RunOptionsSetTerminate = 46,
  SLOT_RunOptionsUnsetTerminate = 47,
  SLOT_CreateTensorAsOrtValue = 48,
  SLOT_CreateTensorWithDataAsOrtValue = 49,
  SLOT_GetTensorMutableData = 51,
  SLOT_CreateMemoryInfo = 68,
  SLOT_CreateCpuMemoryInfo = 69,
  SLOT_KernelInfoGetAttribute_float = 85,
  SLOT_KernelInfoGetAttribute_int64 = 86,
  SLOT_KernelContext_GetInput = 90,
  SLOT_KernelContext_GetOutput = 91,
  SLOT_ReleaseStatus = 93,
  SLOT_ReleaseMemoryInfo = 94,
  SLOT_ReleaseSession = 95,
  SLOT_ReleaseValue = 96,
  SLOT_ReleaseRunOptions = 97,
  SLOT_ReleaseSessionOptions = 100,
  SLOT_GetAvailableProviders = 125,
  SLOT_ReleaseAvailableProviders = 126,
  SLOT_AddSessionConfigEntry = 130,
  SLOT_CreateAllocator = 131,
  SLOT_ReleaseAllocator = 132,
  SLOT_RunWithBinding = 133,
  SLOT_CreateIoBinding = 134,
  SLOT_ReleaseIoBinding = 135,
  SLOT_BindInput = 136,
  SLOT_BindOutput = 137,
  SLOT_CreateAndRegisterAllocator = 144,
  SLOT_AddInitializer = 150,
  SLOT_CreateArenaCfg = 156,
  SLOT_CreatePrepackedWeightsContainer = 166,
  SLOT_ReleasePrepackedWeightsContainer = 167,
  SLOT_CreateSessionFromArrayWithPrepackedWeightsContainer = 169,
  SLOT_SynchronizeBoundInputs = 202,
  SLOT_SessionOptionsAppendExecutionProvider_CUDA_V2 = 204,
  SLOT_CreateCUDAProviderOptions = 205,
  SLOT_UpdateCUDAProviderOptions = 206,
  SLOT_ReleaseCUDAProviderOptions = 208,
  SLOT_SessionOptionsAppendExecutionProvider = 216,
  SLOT_KernelContext_ParallelFor = 274,
  SLOT_GetTensorElementTypeAndShapeDataReference = 414,
};

// ONNXTensorElementDataType
enum { TT_FLOAT = 1, TT_UINT8 = 2, TT_INT32 = 6, TT_INT64 = 7, TT_BOOL = 9, TT_FLOAT16 = 10 };

// OrtCustomOpInputOutputCharacteristic
enum { TT_REQUIRED = 0, TT_OPTIONAL = 1 };

typedef struct OrtStatus OrtStatus;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtValue OrtValue;
typedef void* const* OrtApi;  // the table

// struct OrtApiBase: const OrtApi* GetApi(uint32_t version); const char* GetVersionString(void)
typedef struct {
  OrtApi (*GetApi)(uint32_t);
  const char* (*GetVersionString)(void);
} OrtApiBase;

// struct OrtCustomOp, complete up to the members of API version 24.
typedef struct OrtCustomOp OrtCustomOp;
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, OrtApi, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  int (*GetInputType)(const OrtCustomOp*, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void*, OrtKernelContext*);
  void (*KernelDestroy)(void*);
  int (*GetInputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, OrtApi, const OrtKernelInfo*, void**);
  OrtStatus* (*KernelComputeV2)(void*, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, void*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
  size_t (*GetMayInplace)(int**, int**);
  void (*ReleaseMayInplace)(int*, int*);
  size_t (*GetAliasMap)(int**, int**);
  void (*ReleaseAliasMap)(int*, int*);
};

// The table of the one library that a process loads; set by tt_load.
extern OrtApi tt_api;

// FN(Name, return type, parameter types...) is the function in Name's slot.
#define FN(name, ret, ...) ((ret (*)(__VA_ARGS__))tt_api[SLOT_##name])

#endif
