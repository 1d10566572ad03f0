// SPDX-License-Identifier: Apache-2.0

// Package train fits sparse autoencoders to a model's activations, in plain Go.
//
// A [Config] says what is to be made, a [Source] hands over the activations of one text after the other, a [Trainer] takes steps: [Trainer.Step] until it is
// done, [Trainer.Save] whenever that is wanted, [Trainer.Dictionary] for the result. Activations are never written anywhere: they pass through a buffer
// in which the texts are mixed.
//
// # What a step costs
//
// Of a dense autoencoder's five products over all features, a sparse one needs the encoder's alone; the decoder and both gradients touch the few features
// that a row has. The encoder's product is the business of [Products]: [Plain] is pure Go, a runtime may bring a faster one.
//
// # What is reproducible
//
// For one seed and one order of texts the result is the same, bit for bit, whatever the number of threads and however often the work was interrupted, as
// long as the products are.
package train
