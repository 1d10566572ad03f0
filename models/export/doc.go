// SPDX-License-Identifier: Apache-2.0

// Package export reads decoders that others wrote as ONNX graphs, finds the sites in them and writes the graphs again with nodes at these sites.
//
// [Open] returns a [Model]: what must be fed, where keys and values go, and which sites were found. [Graph.Build] calls back at every site, in the way of
// decoder.Options.At, and returns a graph over weights that stay where they lie.
//
// # How sites are found
//
// No name is trusted. Fused nodes that add and normalise are written as two. From the embeddings on, a value that every path to the logits passes through (a dominator)
// belongs to the residual stream or to the head; a residual sum is a dominator that adds, to the one before it, something that was computed from the one before it by a matrix
// or by attention. The nodes between two of them are one module: one with attention begins a block. Within a module the same dominators lead from the normed input through
// each matrix to what is added. What cannot be told in this way is listed with the reason.
package export
