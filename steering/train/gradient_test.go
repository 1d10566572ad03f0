// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// twin is the loss written down once more, in double precision and plainly, with the choice of features held still: the choice has no derivative.
type twin struct {
	t         *Trainer
	x         [][]float64 // scaled activations, nothing subtracted
	codes     [][]entry
	aux       [][]entry
	errs      [][]float64 // what the code leaves, held still for the auxiliary loss
	threshold []float64   // where the surrogate of JumpReLU's jump is taken
	enc, dec  []float64
	encBias   []float64
	decBias   []float64
	edges     []float64 // thresholds
}

func widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

func (w *twin) pre(r, f int) float64 {
	in, u := w.t.c.In, w.encBias[f]
	for j := range in {
		u += w.enc[f*in+j] * (w.x[r][j] - w.decBias[j])
	}
	return u
}

func (w *twin) loss() float64 {
	c := &w.t.c
	total, active := 0.0, 0.0
	for r, code := range w.codes {
		z := map[int]float64{}
		for _, e := range code {
			f := int(e.feature)
			if e.z != 0 {
				z[f] = w.pre(r, f)
				active++
			}
			if c.Arch == JumpReLU && w.t.inKernel(e) { // a ramp of the kernel's width in place of the jump
				z[f] -= w.threshold[f] / c.Bandwidth * (w.edges[f] - w.threshold[f])
				active -= (w.edges[f] - w.threshold[f]) / c.Bandwidth
			}
		}
		for _, end := range c.Groups {
			total += w.square(r, z, end) / float64(len(c.Groups))
		}
		total += w.auxLoss(r)
	}
	n := float64(len(w.codes))
	total /= n * w.t.variance
	if c.Arch == JumpReLU {
		total += c.Sparsity * math.Pow(active/n/float64(c.K)-1, 2)
	}
	return total
}

// square is the squared error of the reconstruction by the features below end.
func (w *twin) square(r int, z map[int]float64, end int) float64 {
	in, sum := w.t.c.In, 0.0
	for j := range in {
		y := w.decBias[j] - w.x[r][j]
		for f, v := range z {
			if f < end {
				y += v * w.dec[f*in+j]
			}
		}
		sum += y * y
	}
	return sum
}

func (w *twin) auxLoss(r int) float64 {
	c, sum := &w.t.c, 0.0
	for j := range c.In {
		y := w.errs[r][j]
		for _, e := range w.aux[r] {
			y += w.pre(r, int(e.feature)) * w.dec[int(e.feature)*c.In+j]
		}
		sum += y * y
	}
	return c.AuxWeight * min(float64(len(w.t.dead))/float64(c.AuxK), 1) * sum
}

// slopeBy is the derivative of the loss by *v.
func (w *twin) slopeBy(v *float64) float64 {
	const h = 1e-5
	at := *v
	*v = at + h
	up := w.loss()
	*v = at - h
	down := w.loss()
	*v = at
	return (up - down) / (2 * h)
}

// fixed is a source of given activations.
type fixed struct {
	texts [][]float32
	in    int
}

func (s *fixed) Texts() int { return len(s.texts) }

func (s *fixed) Length(i int) int { return len(s.texts[i]) / s.in }

func (s *fixed) Rows(_ context.Context, dst []float32, i int) ([]float32, error) {
	return append(dst, s.texts[i]...), nil
}

// oneStep prepares a trainer whose weights are random and whose batch is chosen.
func oneStep(t *testing.T, arch Arch) (*Trainer, *twin) {
	t.Helper()
	const in, width, rows = 6, 14, 5
	r := rand.New(rand.NewPCG(3, 4))
	text := make([]float32, (rows+1)*in)
	for i := range text {
		text[i] = float32(r.NormFloat64()) + 0.5
	}
	c := Config{Arch: arch, In: in, Width: width, K: 3, Batch: rows, Buffer: 100, AuxK: 2, AuxWeight: 0.3, DeadAfter: 1, Bandwidth: 0.7, Sparsity: 0.4}
	if arch == Matryoshka {
		c.Groups = []int{4, 9, width}
	}
	tr, err := New(c, &fixed{[][]float32{text}, in}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := tr.take(t.Context()); done || err != nil || tr.batch.rows != rows {
		t.Fatalf("take() = %v, %v with %d rows, want %d rows", done, err, tr.batch.rows, rows)
	}
	for _, v := range [][]float32{tr.w.enc, tr.w.dec, tr.w.encBias} {
		for i := range v {
			v[i] += float32(0.2 * r.NormFloat64())
		}
	}
	tr.silent[1], tr.silent[5], tr.silent[13] = 9, 9, 9
	if err := tr.forward(); err != nil {
		t.Fatal(err)
	}
	tr.backward()
	w := &twin{
		t: tr, codes: tr.codes, aux: tr.aux, enc: widen(tr.w.enc), dec: widen(tr.w.dec), encBias: widen(tr.w.encBias), decBias: widen(tr.w.decBias),
		threshold: widen(tr.w.threshold), edges: widen(tr.w.threshold),
	}
	for r := range rows {
		x := widen(tr.x[r*in : (r+1)*in])
		for j := range x {
			x[j] += w.decBias[j]
		}
		w.x = append(w.x, x)
		w.errs = append(w.errs, widen(tr.errorOf(r, width-1)))
	}
	return tr, w
}

func TestGradientsEqualFiniteDifferences(t *testing.T) {
	for _, arch := range Archs() {
		t.Run(string(arch), func(t *testing.T) {
			tr, w := oneStep(t, arch)
			in := tr.c.In
			enc, dec := make([]float32, in), make([]float32, in)
			checked, revived := 0, 0
			check := func(what string, i int, got float32, at *float64) {
				t.Helper()
				want := w.slopeBy(at)
				// Single precision against double; a slope of 1e-4 of the largest ones is rounding on both sides.
				if math.Abs(float64(got)-want) > 1e-4*max(math.Abs(want), 1) {
					t.Errorf("gradient of %s %d = %g, want %g", what, i, got, want)
				}
				if want != 0 {
					checked++
				}
			}
			for f := range tr.c.Width {
				edge := tr.featureGradient(f, enc, dec)
				for j := range in {
					check("encoder", f*in+j, enc[j], &w.enc[f*in+j])
					check("decoder", f*in+j, dec[j], &w.dec[f*in+j])
				}
				check("encoder bias", f, tr.biases[f], &w.encBias[f])
				if arch == JumpReLU {
					check("threshold", f, edge, &w.edges[f])
				}
				revived += len(tr.revival.of(f))
			}
			for j := range in {
				check("decoder bias", j, tr.centre[j], &w.decBias[j])
			}
			if checked < 5*tr.c.Width || revived == 0 {
				t.Errorf("%d slopes other than 0 and %d revived entries: the case tests nothing", checked, revived)
			}
		})
	}
}

func TestChoiceHasTheWantedSize(t *testing.T) {
	for _, arch := range []Arch{TopK, AbsTopK, BatchTopK, Matryoshka} {
		tr, _ := oneStep(t, arch)
		n := 0
		for _, code := range tr.codes {
			n += len(code)
			for i := 1; i < len(code); i++ {
				if code[i].feature <= code[i-1].feature {
					t.Errorf("%s: features %d and %d out of order", arch, code[i-1].feature, code[i].feature)
				}
			}
			if len(code) > tr.c.K && (arch == TopK || arch == AbsTopK) {
				t.Errorf("%s: %d features in a row, want at most %d", arch, len(code), tr.c.K)
			}
		}
		if n != tr.c.K*tr.batch.rows {
			t.Errorf("%s: %d features in %d rows, want %d", arch, n, tr.batch.rows, tr.c.K*tr.batch.rows)
		}
	}
}

// TestBatchChoiceKeepsTies has values that are all alike, and fewer values than are wanted.
func TestBatchChoiceKeepsTies(t *testing.T) {
	tr, _ := oneStep(t, BatchTopK)
	for _, c := range []struct {
		value, least   float32
		positive, want int
	}{{1, 1, 70, 15}, {1, 0, 9, 9}, {2, 2, 15, 15}} {
		for i := range tr.u {
			tr.u[i] = -1
			if i < c.positive {
				tr.u[i] = c.value
			}
		}
		tr.cutBatch(tr.batch.rows, tr.batch.rows*tr.c.K)
		n := 0
		for r := range tr.batch.rows {
			n += len(tr.choose(nil, r, tr.u[r*tr.c.Width:(r+1)*tr.c.Width], nil))
		}
		if n != c.want || tr.least != c.least {
			t.Errorf("%d values of %g: %d kept from %g on, want %d from %g on", c.positive, c.value, n, tr.least, c.want, c.least)
		}
	}
}
