// SPDX-License-Identifier: Apache-2.0

package bench

import "gonum.org/v1/gonum/stat/distuv"

// medianInterval returns the places of the two order statistics of n samples that hold the median between them with 95 % confidence, whatever the
// distribution: the number of samples below the median is binomial with probability one half, and where it is at most low, the interval lies above.
// Below six samples all of them are too few; it returns the outermost.
func medianInterval(n int) (low, high int) {
	b := distuv.Binomial{N: float64(n), P: 0.5}
	for low+1 < n/2 && b.CDF(float64(low+1)) <= 0.025 {
		low++
	}
	return low, n - 1 - low
}
