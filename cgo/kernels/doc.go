// SPDX-License-Identifier: Apache-2.0

// Package kernels computes matrix products and attention on the CPU, over weights as GGUF files store them.
//
// A [Weight] is a matrix whose stored rows [Pack] has laid out in tiles of 16 rows, exactly: [Row] gives the file's values back bit for bit.
// The kernels are C, chosen at run time by what the processor has (see [ISA]). Other native code calls them through the address that [Table]
// returns: a constant struct tt_kernels of kernels.h. [Linear] is the same product for tests and benchmarks.
//
// Without cgo the package compiles and its functions return [ErrNoCgo].
package kernels
