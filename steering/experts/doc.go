// SPDX-License-Identifier: Apache-2.0

// Package experts finds and tunes the experts of a mixture-of-experts model: MoTE, mixture of tunable experts (arXiv 2502.11096), and SteerMoE
// (arXiv 2509.09660).
//
// A [Counter] observes which experts a session's tokens choose, in [Map]s; a [Score] compares the maps of two classes of prompts (functional token
// resonance imaging, fTRI) and ranks the experts; a [Mask] says what is to be done to which expert, as text, file and [hooks.Edit]s that the graph
// carries out. A [Watch] reports choices with the tokens of a stream. Shared experts are used by every token, have no number and are never touched.
package experts
