// SPDX-License-Identifier: Apache-2.0

package train

import "math"

// Adam's constants (arXiv 1412.6980, algorithm 1).
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// moments are Adam's running averages of gradients and of their squares.
type moments struct{ first, second []float32 }

func newMoments(n int) moments { return moments{make([]float32, n), make([]float32, n)} }

// pace is Adam's step size with the corrections of one step.
type pace struct{ rate, correct float32 }

// paceOf returns the step size of a step counted from 1.
func paceOf(rate float64, step int64) pace {
	return pace{
		rate:    float32(rate / (1 - math.Pow(beta1, float64(step)))),
		correct: float32(1 / (1 - math.Pow(beta2, float64(step)))),
	}
}

// move takes one step of v against grad, whose moments begin at index at.
func (p pace) move(v, grad []float32, m moments, at int) {
	first, second := m.first[at:at+len(v)], m.second[at:at+len(v)]
	grad = grad[:len(v)]
	for i, g := range grad {
		a := beta1*first[i] + (1-beta1)*g
		b := beta2*second[i] + (1-beta2)*g*g
		first[i], second[i] = a, b
		v[i] -= p.rate * a / (float32(math.Sqrt(float64(b*p.correct))) + epsilon)
	}
}

// rate is the learning rate of the next step: it rises over the first twentieth of all steps and falls over the last third.
func (t *Trainer) rate() float64 {
	at := float64(t.steps) / float64(max(t.planned, 1))
	return t.c.Rate * max(min(1, (float64(t.steps)+1)/(1+float64(t.planned)/20), (1-at)*3), 1e-3)
}

// learn moves every weight against its gradient. Each feature's rows are summed, projected and moved in one go.
func (t *Trainer) learn() {
	c := &t.c
	p := paceOf(t.rate(), t.steps+1)
	each(c.Width, c.Threads, 64, func(from, to int) {
		enc, dec := make([]float32, c.In), make([]float32, c.In)
		for f := from; f < to; f++ {
			edge := t.featureGradient(f, enc, dec)
			row := t.row(t.w.dec, f)
			addScaled(dec, -dot(dec, row), row) // rows stay of length 1: only what turns them counts
			p.move(t.row(t.w.enc, f), enc, t.m.enc, f*c.In)
			p.move(row, dec, t.m.dec, f*c.In)
			normalise(row)
			if c.Arch == JumpReLU {
				p.move(t.w.threshold[f:f+1], []float32{edge}, t.m.threshold, f)
				t.w.threshold[f] = max(t.w.threshold[f], 0)
			}
		}
	})
	p.move(t.w.encBias, t.batch.biases, t.m.encBias, 0)
	p.move(t.w.decBias, t.batch.centre, t.m.decBias, 0)
}
