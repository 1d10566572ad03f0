// SPDX-License-Identifier: Apache-2.0

package dictionary

import "math"

// Fidelity sums up how well a dictionary reconstructs the activations it is shown, in memory that does not grow with them. One goroutine at a time may
// use it; it allocates nothing after it was made.
type Fidelity struct {
	d       *Dictionary
	rows    int
	active  int
	fired   []bool
	recon   []float32
	sum     []float64 // of the rows, by dimension
	squares float64   // of the rows
	errors  float64   // squares of what the reconstruction lacks
	cosines float64
}

// Quality is what a [Fidelity] found.
type Quality struct {
	Rows   int     `json:"rows"`
	FVU    float64 `json:"fvu"`    // fraction of variance unexplained: Σ‖y - ŷ‖² / Σ‖y - mean y‖²; below 0 where there is no variance to explain
	L0     float64 `json:"l0"`     // features of a code, on average
	Cosine float64 `json:"cosine"` // of an activation with its reconstruction, on average
	Dead   int     `json:"dead"`   // features that no row had
}

// NewFidelity returns an account without rows.
func (d *Dictionary) NewFidelity() *Fidelity {
	f := d.Form
	return &Fidelity{d: d, fired: make([]bool, f.N), recon: make([]float32, f.Out), sum: make([]float64, f.Out)}
}

// Add takes the code of activation x into account. y is what the reconstruction is to equal: x itself, for a transcoder the activation at its other site.
// It returns the reconstruction, BORROWED until the next call.
func (s *Fidelity) Add(code []Feature, x, y []float32) []float32 {
	if len(y) != len(s.recon) {
		panic("dictionary: Fidelity.Add: y has another length than Form.Out")
	}
	s.d.Decode(s.recon, code, x)
	s.rows++
	s.active += len(code)
	for _, z := range code {
		s.fired[z.Index] = true
	}
	var own, other, product, miss float64
	for i, v := range y {
		a, b := float64(v), float64(s.recon[i])
		s.sum[i] += a
		own += a * a
		other += b * b
		product += a * b
		miss += (a - b) * (a - b)
	}
	s.squares += own
	s.errors += miss
	if own > 0 && other > 0 {
		s.cosines += product / math.Sqrt(own*other)
	}
	return s.recon
}

// Quality returns what was found so far.
func (s *Fidelity) Quality() Quality {
	q := Quality{Rows: s.rows, FVU: -1}
	for _, on := range s.fired {
		if !on {
			q.Dead++
		}
	}
	if s.rows == 0 {
		return q
	}
	n := float64(s.rows)
	variance := s.squares
	for _, v := range s.sum {
		variance -= v * v / n
	}
	if variance > 1e-9*s.squares { // what is left below that is rounding
		q.FVU = s.errors / variance
	}
	q.L0, q.Cosine = float64(s.active)/n, s.cosines/n
	return q
}

// Mean writes the average of the rows to dst, Form.Out numbers: what mean ablation puts in an activation's place.
func (s *Fidelity) Mean(dst []float32) {
	for i, v := range s.sum {
		dst[i] = float32(v / float64(max(s.rows, 1)))
	}
}
