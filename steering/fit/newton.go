// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/floats"
)

// The minimisation is Newton's with conjugate gradients and halved steps (Nocedal and Wright, Numerical Optimization, algorithm 7.1).
const (
	newtonSteps = 100
	newtonRest  = 1e-6 // of the first gradient's length
	innerSteps  = 250
	halvings    = 40
	sufficient  = 1e-4 // share of the promised decrease that a step must bring
)

// minimise returns the place of the smallest loss.
func (c *classifier) minimise() ([]float64, error) {
	x, g, next := make([]float64, c.width+1), make([]float64, c.width+1), make([]float64, c.width+1)
	value, err := c.loss(x)
	if err != nil {
		return nil, err
	}
	first := 0.0
	var weights []float64
	for i := range newtonSteps {
		if weights, err = c.gradient(g, weights, x); err != nil {
			return nil, err
		}
		n := length(g)
		if i == 0 {
			first = n
		}
		if n <= newtonRest*first {
			return x, nil
		}
		d, err := c.direction(weights, g, min(0.5, math.Sqrt(n/first))*n)
		if err != nil {
			return nil, err
		}
		after, err := c.step(next, x, d, value, floats.Dot(g, d))
		if err != nil {
			return nil, err
		}
		if !(after < value) { // as far as double precision goes
			return x, nil
		}
		value = after
		x, next = next, x
	}
	return nil, errors.New("fit: logistic: want a minimum, found that the search does not converge")
}

// direction solves curvature · d = -g by conjugate gradients until what is left is at most rest.
func (c *classifier) direction(weights, g []float64, rest float64) ([]float64, error) {
	d, r, p, h := make([]float64, len(g)), make([]float64, len(g)), make([]float64, len(g)), make([]float64, len(g))
	floats.AddScaled(r, -1, g)
	copy(p, r)
	left := floats.Dot(r, r)
	for range innerSteps {
		if math.Sqrt(left) <= rest {
			break
		}
		if err := c.curvature(h, weights, p); err != nil {
			return nil, err
		}
		a := left / floats.Dot(p, h)
		floats.AddScaled(d, a, p)
		floats.AddScaled(r, -a, h)
		before := left
		left = floats.Dot(r, r)
		floats.Scale(left/before, p)
		floats.Add(p, r)
	}
	return d, nil
}

// step puts x + t d into next for the first t of 1, 1/2, 1/4, ... that lowers the loss enough, and returns the loss there, which is value where none does.
func (c *classifier) step(next, x, d []float64, value, slope float64) (float64, error) {
	for t, i := 1.0, 0; i < halvings; t, i = t/2, i+1 {
		floats.AddScaledTo(next, x, t, d)
		after, err := c.loss(next)
		if err != nil {
			return 0, err
		}
		if after <= value+sufficient*t*slope {
			return after, nil
		}
	}
	return value, nil
}
