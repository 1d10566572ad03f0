// SPDX-License-Identifier: Apache-2.0

// Package decoder builds the graph of a decoder-only transformer from a description of it.
//
// There is one decoder: what differs between families is a field of [Description], or the presence of a tensor (a bias, a query norm).
// [Build] walks embeddings, blocks and head in the order of the forward pass and calls back at every site, so that a caller can splice nodes in there.
// Linear layers are built in linear.go, attention in attention.go, feed-forward layers in mlp.go, and nowhere else.
package decoder
