// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/floats"
)

// logistic minimises ½|w|² + Σ log(1 + exp(-y (x·w + b))) over w and b, as scikit-learn's LogisticRegression does with C = 1. The mean of all rows is taken
// off first, which changes b alone and lets the minimisation converge.
func (v *view) logistic() (*Direction, error) {
	mean, err := v.middle()
	if err != nil {
		return nil, err
	}
	p := &classifier{view: v, mean: mean}
	x, err := p.minimise()
	if err != nil {
		return nil, err
	}
	w, b := x[:v.width], x[v.width]
	n := length(w)
	if n == 0 {
		return nil, errors.New("fit: logistic: want texts that differ, found the same activations for both kinds")
	}
	return &Direction{Vector: narrow(w, 1/n), Bias: (b - floats.Dot(w, mean)) / n, Weight: n}, nil
}

// middle is the mean of all rows.
func (v *view) middle() ([]float64, error) {
	p, err := v.mean(Positive)
	if err != nil {
		return nil, err
	}
	q, err := v.mean(Negative)
	if err != nil {
		return nil, err
	}
	a, b := float64(v.count(Positive)), float64(v.count(Negative))
	for i := range p {
		p[i] = (a*p[i] + b*q[i]) / (a + b)
	}
	return p, nil
}

// classifier is the loss of a logistic regression as a function of x = (w, b).
type classifier struct {
	*view
	mean []float64
}

// each calls visit with every row and y times its score.
func (c *classifier) each(x []float64, visit func(row []float32, y, score float64)) error {
	w := x[:c.width]
	offset := x[c.width] - floats.Dot(w, c.mean)
	for side, y := range [...]float64{Positive: 1, Negative: -1} {
		err := c.view.each(Side(side), func(row []float32) { visit(row, y, y*(product(row, w)+offset)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *classifier) loss(x []float64) (float64, error) {
	w := x[:c.width]
	value := floats.Dot(w, w) / 2
	err := c.each(x, func(_ []float32, _, t float64) { value += softplus(-t) })
	return value, err
}

func (c *classifier) gradient(out, x []float64) error {
	copy(out, x)
	out[c.width] = 0
	return c.each(x, func(row []float32, y, t float64) { c.add(out, -y*sigmoid(-t), row) })
}

// curvature is the product of the second derivative at x with a vector.
func (c *classifier) curvature(out, x, d []float64) error {
	copy(out, d)
	out[c.width] = 0
	shift := d[c.width] - floats.Dot(d[:c.width], c.mean)
	return c.each(x, func(row []float32, _, t float64) {
		c.add(out, sigmoid(t)*sigmoid(-t)*(product(row, d[:c.width])+shift), row)
	})
}

// add is out += f (row - mean, 1).
func (c *classifier) add(out []float64, f float64, row []float32) {
	for i, r := range row {
		out[i] += f * (float64(r) - c.mean[i])
	}
	out[c.width] += f
}

// softplus is log(1 + e^t) without overflow.
func softplus(t float64) float64 { return max(t, 0) + math.Log1p(math.Exp(-math.Abs(t))) }

func sigmoid(t float64) float64 { return 1 / (1 + math.Exp(-t)) }
