// SPDX-License-Identifier: Apache-2.0

// Package itda fits dictionaries whose atoms are activations of real tokens (ITDA, arXiv 2505.17769), and compares models by them.
//
// A [Trainer] goes through activations once and takes those that the atoms so far reconstruct badly; nothing is learnt by gradient. [Overlap] compares two
// dictionaries that were fitted on the same tokens; [CKA], [SVCCA], [Relative] and [Regression] are what it is measured against.
//
// # Terminology
//
// An atom is an activation scaled to unit length. A source is the sequence and the position of the token that an atom was taken from. Rows are activations
// that lie one behind the other.
package itda
