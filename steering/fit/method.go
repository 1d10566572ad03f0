// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"fmt"
	"math"
)

// Method is a way to make a direction of two kinds of activations; the package comment has what each does.
type Method string

// The methods.
const (
	DiffMean  Method = "diffmean"
	PCA       Method = "pca"
	PCACenter Method = "pca-center"
	Logistic  Method = "logistic"
)

// Methods returns all of them, in the order of reports.
func Methods() []Method { return []Method{DiffMean, PCA, PCACenter, Logistic} }

// Pairs tells whether the method needs texts in pairs.
func (m Method) Pairs() bool { return m == PCA || m == PCACenter }

// Direction is what a method found at one site.
type Direction struct {
	Vector []float32
	Bias   float64 // of a logistic regression with the unit normal: a row is positive where row·Vector + Bias > 0; 0 otherwise
	Weight float64 // length of the regression's weights before they were brought to 1; 0 otherwise
}

// Fit makes a direction of the texts at one site.
func Fit(s *Samples, site int, m Method) (*Direction, error) {
	if err := check(s, m); err != nil {
		return nil, err
	}
	return (&view{Samples: s, site: site}).fit(m)
}

func check(s *Samples, m Method) error {
	p, n := s.Len(Positive), s.Len(Negative)
	least := 1
	if m == PCA {
		least = 2 // of one pair nothing is left behind its mean
	}
	switch {
	case p < least || n < least:
		return fmt.Errorf("fit: %s: want at least %d texts of each kind, found %d positive and %d negative", m, least, p, n)
	case m.Pairs() && p != n:
		return fmt.Errorf("fit: %s: want texts in pairs, found %d positive and %d negative", m, p, n)
	}
	return nil
}

func (v *view) fit(m Method) (*Direction, error) {
	switch m {
	case DiffMean:
		return v.diffMean()
	case PCA, PCACenter:
		return v.component(m == PCA)
	case Logistic:
		return v.logistic()
	}
	return nil, fmt.Errorf("fit: want a method of %v, found %q", Methods(), m)
}

func (v *view) diffMean() (*Direction, error) {
	p, err := v.mean(Positive)
	if err != nil {
		return nil, err
	}
	n, err := v.mean(Negative)
	if err != nil {
		return nil, err
	}
	out := make([]float32, v.width)
	for i := range out {
		out[i] = float32(p[i] - n[i])
	}
	return &Direction{Vector: out}, nil
}

func product(row []float32, w []float64) (sum float64) {
	for i, x := range row {
		sum += float64(x) * w[i]
	}
	return sum
}

func length(w []float64) float64 {
	sum := 0.0
	for _, x := range w {
		sum += x * x
	}
	return math.Sqrt(sum)
}

// narrow is w times a factor in single precision.
func narrow(w []float64, factor float64) []float32 {
	out := make([]float32, len(w))
	for i, x := range w {
		out[i] = float32(x * factor)
	}
	return out
}
