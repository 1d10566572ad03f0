// SPDX-License-Identifier: Apache-2.0

// Package concepts finds concepts in a model's activations: which features of a sparse dictionary, or which plain direction, tell texts about something
// from others, from which value on that counts as detected, and along which direction the concept is pushed.
//
// [Fit] makes a [Set] from [Examples]; a Set is a JSON file ([Open], [Set.Save]). A [Reader] turns the code of one token into a number, and a concept holds
// where the aggregate of that number over the tokens so far reaches the threshold. A [Lever] is what steering adds.
//
// # Readers (ActivationReasoning, arXiv 2510.18184)
//
//	single     R_single: the value of one feature
//	multi      R_multi: a weighted sum of several
//	tree       R_relation: the share of the concept's tokens in a leaf of a shallow decision tree
//	direction  the component along a direction of the activation's own space; no dictionary is needed
//
// Features are chosen by the largest difference of their means, E[z | concept] - E[z | not concept], over the largest features of each token's code as the
// released code counts them (ar/model/search.py). A threshold is the first of the ROC curve's, from the highest down, that maximises balanced accuracy.
//
// # Modes
//
// In sentence mode every token of a positive text belongs to the concept and thresholds are for whole texts; in word mode only marked tokens do, and
// thresholds are for tokens; in position mode one token of each text counts and nothing else.
package concepts
