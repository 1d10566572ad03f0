// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule is by what an activation x, reconstructed as y, becomes an atom.
type Rule string

// The rules. Those of the released code are inert for thresholds above 4/width, its largest error.
const (
	Cosine Rule = "cos"    // cos(x, y) < threshold: as the next one, in a number that does not depend on the width
	Mean   Rule = "mse"    // mean((x/‖x‖ - y/‖y‖)²) > threshold (davidkaczer/itda train.py since commit ca0de65); it is (2 - 2 cos)/width
	Square Rule = "square" // ‖x - y‖² > threshold (arXiv 2505.17769, algorithm 1)
)

// Definition says in words what a rule means, for the file that it goes into.
func (r Rule) Definition() string {
	return map[Rule]string{
		Cosine: "cosine: a token is added when cos(x, reconstruction) < threshold",
		Mean:   "mse: a token is added when mean((x/|x| - y/|y|)^2) > threshold, y the reconstruction",
		Square: "square: a token is added when |x - reconstruction|^2 > threshold",
	}[r]
}

// ParseThreshold reads cos:0.85, mse:0.0004 or square:3.
func ParseThreshold(s string) (Rule, float64, error) {
	const want = "cos:NUMBER, mse:NUMBER or square:NUMBER"
	name, number, _ := strings.Cut(s, ":")
	rule := Rule(name)
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || rule.Definition() == "" || v-v != 0 || (v <= 0 && rule != Cosine) || v <= -1 || (rule == Cosine && v > 1) {
		return "", 0, fmt.Errorf("itda: threshold %q: want %s with a number that an error can reach", s, want)
	}
	return rule, v, nil
}

// takes tells whether the error of a reconstruction is large enough. product is x·y, xx and yy are squares of lengths.
func (s *Settings) takes(product, xx, yy float64) bool {
	switch s.Rule {
	case Mean:
		return (2-2*cosine(product, xx, yy))/float64(s.Width) > s.Threshold
	case Square:
		return xx-2*product+yy > s.Threshold
	}
	return cosine(product, xx, yy) < s.Threshold
}
