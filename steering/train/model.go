// SPDX-License-Identifier: Apache-2.0

package train

import (
	"math"
	"math/rand/v2"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// weights are what is learnt, for activations times scale. Rows of enc and dec belong to one feature.
type weights struct {
	enc       []float32 // [Width, In]
	dec       []float32 // [Width, In], rows of length 1
	encBias   []float32 // [Width]
	decBias   []float32 // [In]
	threshold []float32 // [Width]; of JumpReLU
	cut       float64   // of BatchTopK and Matryoshka: running average of the smallest value that was kept
}

// start draws the decoder and ties the encoder to it.
func (t *Trainer) start() error {
	c := &t.c
	var err error
	if t.w.enc, err = t.products.Floats(c.Width * c.In); err != nil {
		return err
	}
	t.w.dec = make([]float32, c.Width*c.In)
	t.w.encBias = make([]float32, c.Width)
	t.w.decBias = make([]float32, c.In)
	if c.Arch == JumpReLU {
		t.w.threshold = make([]float32, c.Width)
	}
	r := rand.New(rand.NewPCG(c.Seed, 1))
	for i := range t.w.dec {
		t.w.dec[i] = float32(r.NormFloat64())
	}
	for i := range c.Width {
		normalise(t.row(t.w.dec, i))
	}
	copy(t.w.enc, t.w.dec)
	return nil
}

func (t *Trainer) row(m []float32, i int) []float32 { return m[i*t.c.In : (i+1)*t.c.In] }

func normalise(v []float32) {
	n := math.Sqrt(float64(dot(v, v)))
	if n == 0 {
		return
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / n)
	}
}

// Dictionary returns what was learnt so far, for activations as they come: their scale is taken out again. It shares no memory with the trainer.
func (t *Trainer) Dictionary() (*dictionary.Dictionary, error) {
	c, inverse := &t.c, float32(1/t.scale)
	bias := scaled(t.w.decBias, inverse)
	f := &dictionary.Form{
		In: c.In, Out: c.In, N: c.Width,
		Enc: scaled(t.w.enc, 1), Dec: scaled(t.w.dec, 1), EncBias: scaled(t.w.encBias, inverse), DecBias: bias, PreSub: bias,
	}
	switch c.Arch {
	case TopK:
		f.Act = dictionary.Activation{Kind: dictionary.TopK, K: c.K}
	case AbsTopK:
		f.Act = dictionary.Activation{Kind: dictionary.AbsTopK, K: c.K}
	case JumpReLU:
		f.Act = dictionary.Activation{Kind: dictionary.JumpReLU, Threshold: scaled(t.w.threshold, inverse)}
	default:
		cut := make([]float32, c.Width)
		for i := range cut {
			cut[i] = float32(t.w.cut) * inverse
		}
		f.Act = dictionary.Activation{Kind: dictionary.JumpReLU, Threshold: cut}
	}
	return dictionary.New(f)
}

func scaled(v []float32, by float32) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = x * by
	}
	return out
}
