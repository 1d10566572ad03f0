// SPDX-License-Identifier: Apache-2.0

// Package bench measures what a model and its hooks cost on the machine it runs on.
//
// Everything is a ratio taken side by side: a [Suite] steps all its contestants in turn, in a random order every round, and compares them round by round,
// so that what else the machine does falls on all alike. Other runtimes take part through [Peer] processes.
package bench
