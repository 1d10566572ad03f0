// SPDX-License-Identifier: Apache-2.0

package dictionary

import "gonum.org/v1/gonum/blas/gonum"

// Decode writes the reconstruction of a code to dst, Form.Out numbers. x is the activation that the code stands for: its
// norm and the skip term need it; where the form has neither, x may be nil.
func (d *Dictionary) Decode(dst []float32, code []Feature, x []float32) {
	f := d.Form
	if len(dst) != f.Out {
		panic("dictionary: Decode: dst has another length than Form.Out")
	}
	clear(dst)
	copy(dst, f.DecBias)
	for _, z := range code {
		addScaled(dst, z.Value, d.Row(int(z.Index)))
	}
	scale, shift := f.undo(x)
	for i, v := range dst {
		dst[i] = float32(float64(v)*scale + shift)
	}
	if f.Skip == nil {
		return
	}
	for i := range dst {
		row := f.Skip[i*f.In : (i+1)*f.In]
		sum := 0.0
		for j, w := range row {
			sum += float64(w) * float64(x[j])
		}
		dst[i] += float32(sum)
	}
}

// undo returns what follows the decoder: y * scale + shift, with the values of the activation that was encoded.
func (f *Form) undo(x []float32) (scale, shift float64) {
	scale = float64(f.OutScale)
	if f.OneWay {
		return scale, 0
	}
	switch f.Norm {
	case RescaleNorm:
		s, _ := f.stats(x)
		if s == 0 {
			return 0, 0
		}
		return scale / s, 0
	case LayerNorm:
		mean, std := moments(x)
		return scale * std, mean
	}
	return scale, 0
}

// addScaled is y += a v.
func addScaled(y []float32, a float32, v []float32) {
	gonum.Implementation{}.Saxpy(len(v), a, v, 1, y, 1)
}
