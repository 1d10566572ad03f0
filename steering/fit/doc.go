// SPDX-License-Identifier: Apache-2.0

// Package fit makes steering vectors of the activations of two kinds of texts: the difference of their means, principal components of their differences as
// repeng and RepE take them, and the normal of a logistic classifier; it measures how well each tells the kinds apart, and says at which layers to steer.
//
// Activations go into [Samples], a row a site and text, and are read from there as often as a method needs them: beyond a fixed budget they lie in a
// temporary file, so that memory does not grow with the number of texts.
//
//	s := fit.NewSamples(sites, width)
//	defer s.Close()
//	s.Add(fit.Positive, rows) // once a text, one row a site
//	r, err := fit.Layers(s, fit.Options{})
//
// # Methods
//
// [DiffMean] is mean(positive) - mean(negative) with the length that it has (CAA, arXiv 2312.06681; the direction of arXiv 2406.11717).
//
// [PCA] is the first principal component of positive minus negative, pair by pair, with the mean of the differences taken off first, as sklearn's PCA does in
// repeng's pca_diff and RepE's reader (arXiv 2310.01405). What all pairs have in common is that mean: where every pair differs in the same way, this method
// loses it, and its cosine with the difference of means can be near 0.
//
// [PCACenter] takes the middle of each pair off both of its ends (repeng's pca_center; the uncentred component of steering-vectors is the same direction).
// Both components have length 1 and the sign that puts the positive end of most pairs above the negative one.
//
// [Logistic] is the unit normal of a logistic regression on standardised activations, with L2 penalty |w|²/(2C), C = 0.05, and a free intercept.
package fit
