// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"fmt"
)

// Trainer learns a sparse autoencoder. One goroutine at a time may use it.
type Trainer struct {
	c        Config
	products Products
	w        weights
	m        struct{ enc, dec, encBias, decBias, threshold moments }
	batch
	buffer
	scale    float64 // of activations: √In over their mean length
	variance float64 // of scaled activations: mean squared distance from their mean
	silent   []int64 // by feature: rows since it was last active
	steps    int64
	planned  int64 // steps, about
}

// Progress is what a step came to.
type Progress struct {
	Step    int64   // steps taken
	Planned int64   // steps in all, about: it is not known beforehand how many activations are massive
	Pass    int     // over the texts, counted from 0
	Rows    int     // of this step
	FVU     float64 // squared error over the variance of all rows of the first buffer, for this step's rows
	L0      float64 // features of a row, on average
	Dead    int
	Massive int // rows left out so far in this pass
}

// New returns a trainer at its first step. Nil products are Plain.
func New(c Config, src Source, products Products) (*Trainer, error) {
	rows := -src.Texts() // position 0 of each is massive
	for i := range src.Texts() {
		rows += src.Length(i)
	}
	c, err := c.withDefaults(rows)
	if err != nil {
		return nil, err
	}
	if src.Texts() < 1 || rows < 1 {
		return nil, fmt.Errorf("train: want texts of more than one token, found %d of %d tokens", src.Texts(), rows+src.Texts())
	}
	if products == nil {
		products = Plain{}
	}
	t := &Trainer{c: c, products: products, silent: make([]int64, c.Width)}
	t.planned = int64(c.Passes) * int64((rows+c.Batch-1)/c.Batch)
	if err := t.start(); err != nil {
		return nil, err
	}
	if err := t.makeBatch(); err != nil {
		return nil, err
	}
	t.makeBuffer(src)
	n := c.Width * c.In
	t.m.enc, t.m.dec, t.m.encBias, t.m.decBias = newMoments(n), newMoments(n), newMoments(c.Width), newMoments(c.In)
	if c.Arch == JumpReLU {
		t.m.threshold = newMoments(c.Width)
	}
	return t, nil
}

// Config returns what is trained, defaults filled in.
func (t *Trainer) Config() Config { return t.c }

// Step reads as many texts as it needs and learns from one batch; done tells that none is left, after which the trainer stays as it is.
func (t *Trainer) Step(ctx context.Context) (p Progress, done bool, err error) {
	if done, err = t.take(ctx); err != nil || done {
		return Progress{Step: t.steps, Planned: t.steps, Pass: t.pass}, done, err
	}
	if err := t.forward(); err != nil {
		return p, false, fmt.Errorf("train: %w", err)
	}
	t.backward()
	p = t.account()
	t.learn()
	t.steps++
	p.Step = t.steps
	return p, false, nil
}

// account sums a step up and notes which features were active.
func (t *Trainer) account() Progress {
	b := &t.batch
	p := Progress{Planned: max(t.planned, t.steps+1), Pass: t.pass, Rows: b.rows, L0: b.active(), Dead: len(b.dead), Massive: t.left}
	for _, v := range b.whole[:b.rows] {
		p.FVU += v / (float64(b.rows) * t.variance)
	}
	for f := range t.silent {
		t.silent[f] += int64(b.rows)
		for _, e := range b.code.of(f) {
			if e.z != 0 {
				t.silent[f] = 0
				break
			}
		}
	}
	t.followCut()
	return p
}

// followCut lets the threshold that stands for a batch's choice follow the smallest value that was kept.
func (t *Trainer) followCut() {
	const keep = 0.99
	if t.c.Arch != BatchTopK && t.c.Arch != Matryoshka {
		return
	}
	if t.steps == 0 {
		t.w.cut = float64(t.least)
	}
	t.w.cut = keep*t.w.cut + (1-keep)*float64(t.least)
}
