// SPDX-License-Identifier: Apache-2.0

// Package runtime opens models and runs them: a [Model] is loaded once and gives [Session] values, each a conversation of its own with hooks of its own.
//
// The path of a token: [Session.Generate] prefills the prompt in chunks and then decodes token by token; each pass fills the inputs of a feed, runs the
// variant of the graph that the session's hooks need, and hands the logits to a [Sampler].
//
// # Terminology
//
// A variant is the model's graph with places for one set of edits and taps; variants share the weights. A feed is the memory that one pass
// reads and writes. A shared pass decodes a token each of several sessions: see Config.Batch. The cache holds the keys and values of the tokens a session has run.
package runtime
