// SPDX-License-Identifier: Apache-2.0

// Package ort is trimtab's door to ONNX Runtime: a library is opened once a process, sessions run graphs from bytes with weights that several sessions share,
// bindings name the memory that a run reads and writes, and the operators of the domain "trimtab" run inside the graph.
//
// It exists beside onnxruntime_go, which offers no shared initializers, no operators compiled in and no binding without copies;
// tests run the same graphs through onnxruntime_go and compare. Memory given to this package is never Go memory: see Alloc.
package ort
