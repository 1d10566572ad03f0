// SPDX-License-Identifier: Apache-2.0

// Package hooks is the vocabulary of trimtab: where a model can be read and changed, and how a hook says what it wants there.
//
// A [Site] names one activation, a [Shape] tells which sites a loaded model has, a [Hook] is asked once, when it is attached, for a [Plan],
// and a plan is made of [Edit] values (arithmetic that the graph itself carries out) and [Tap] values (Go code that is called with the activation).
//
// # Terminology
//
// A site is a named value of the forward pass; an activation is the value found there, rows x width float32, one row a token;
// prefill is the pass over the tokens of a prompt, decode the pass over one generated token; a position is a token's place in its sequence, counted from 0.
//
// # Order
//
// At one site hooks act in the order in which they were attached, each on what the one before it left; inside one plan, edits act before taps.
// Between sites they act in the order of the forward pass, so a tap at layer 8 can steer layer 14 of the same pass, and layer 3 from the next token on.
package hooks
