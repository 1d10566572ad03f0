// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/floats"
)

// penalty is 1/C: what the squared weights are multiplied with beside the losses.
const penalty = 20

// logistic minimises penalty/2 |w|² + Σ log(1 + exp(-y (x·w + b))) over w and b, where x are the rows with every number brought to mean 0 and variance 1: without
// that, the few numbers that are large at every token would decide. It is StandardScaler and LogisticRegression(C=0.05) of scikit-learn.
func (v *view) logistic() (*Direction, error) {
	c := &classifier{view: v, scaled: make([]float64, v.width)}
	var err error
	if c.mean, err = v.middle(); err != nil {
		return nil, err
	}
	if c.scale, err = v.scale(c.mean); err != nil {
		return nil, err
	}
	x, err := c.minimise()
	if err != nil {
		return nil, err
	}
	w, b := x[:v.width], x[v.width]
	floats.Mul(w, c.scale)
	n := length(w)
	if n == 0 {
		return nil, errors.New("fit: logistic: want texts that differ, found the same activations for both kinds")
	}
	return &Direction{Vector: narrow(w, 1/n), Bias: (b - floats.Dot(w, c.mean)) / n, Weight: n}, nil
}

// scale is one over each number's standard deviation, 1 where that is 0.
func (v *view) scale(mean []float64) ([]float64, error) {
	out := make([]float64, v.width)
	for _, side := range []Side{Positive, Negative} {
		err := v.each(side, func(row []float32) {
			for i, x := range row {
				d := float64(x) - mean[i]
				out[i] += d * d
			}
		})
		if err != nil {
			return nil, err
		}
	}
	n := float64(v.count(Positive) + v.count(Negative))
	for i, sum := range out {
		out[i] = 1
		if sum > 0 {
			out[i] = math.Sqrt(n / sum)
		}
	}
	return out, nil
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
	mean, scale []float64
	scaled      []float64 // the weights times scale, of the vector at hand
}

// scores calls visit with every row, its y and the product of the brought row with a vector (w, b).
func (c *classifier) scores(x []float64, visit func(row []float32, y, score float64)) error {
	w := c.scaled
	floats.MulTo(w, x[:c.width], c.scale)
	offset := x[c.width] - floats.Dot(w, c.mean)
	for side, y := range [...]float64{Positive: 1, Negative: -1} {
		if err := c.each(Side(side), func(row []float32) { visit(row, y, product(row, w)+offset) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *classifier) loss(x []float64) (float64, error) {
	value := penalty / 2 * floats.Dot(x[:c.width], x[:c.width])
	err := c.scores(x, func(_ []float32, y, s float64) { value += softplus(-y * s) })
	return value, err
}

// gradient writes that at x, and into weights the second derivative of each row's loss by its score.
func (c *classifier) gradient(out, weights, x []float64) ([]float64, error) {
	weights = weights[:0]
	clear(out)
	err := c.scores(x, func(row []float32, y, s float64) {
		c.add(out, -y*sigmoid(-y*s), row)
		weights = append(weights, sigmoid(s)*sigmoid(-s))
	})
	c.finish(out, x)
	return weights, err
}

// curvature is the product of the second derivative with a vector.
func (c *classifier) curvature(out, weights, d []float64) error {
	clear(out)
	i := 0
	err := c.scores(d, func(row []float32, _, s float64) {
		c.add(out, weights[i]*s, row)
		i++
	})
	c.finish(out, d)
	return err
}

// add is out += f (row - mean, 1).
func (c *classifier) add(out []float64, f float64, row []float32) {
	for i, r := range row {
		out[i] += f * (float64(r) - c.mean[i])
	}
	out[c.width] += f
}

// finish scales what add has summed up, and adds the penalty's part.
func (c *classifier) finish(out, x []float64) {
	floats.Mul(out[:c.width], c.scale)
	floats.AddScaled(out[:c.width], penalty, x[:c.width])
}

// softplus is log(1 + e^t) without overflow.
func softplus(t float64) float64 { return max(t, 0) + math.Log1p(math.Exp(-math.Abs(t))) }

func sigmoid(t float64) float64 { return 1 / (1 + math.Exp(-t)) }
