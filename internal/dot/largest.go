// SPDX-License-Identifier: Apache-2.0

package dot

import "math"

// Largest returns the place of the largest number, the first of equals; 0 where nothing is larger than minus infinity. What is not a number does not count.
func Largest(v []float32) int {
	whole := 0
	if fast {
		whole = len(v) &^ (lanes - 1)
	}
	best, at := float32(math.Inf(-1)), 0
	if whole > 0 {
		best = largest(&v[0], whole)
		if at = find(&v[0], best, whole); at < 0 {
			at = 0
		}
	}
	for i := whole; i < len(v); i++ {
		if v[i] > best {
			best, at = v[i], i
		}
	}
	return at
}
