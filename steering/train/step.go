// SPDX-License-Identifier: Apache-2.0

package train

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// batch is the memory of one step.
type batch struct {
	rows    int
	x       []float32 // [rows, In]: scaled activations less the decoder's bias
	u       []float32 // [rows, Width]: pre-activations
	errs    []float32 // [rows, groups, In]: reconstruction by the first features less x; after gradients the sum over a group and all that contain it
	auxErrs []float32 // [rows, In]: what the dead features' share of the error lacks
	codes   [][]entry // by row
	aux     [][]entry // by row: of dead features
	losses  []float64 // by row: squared errors, over all groups
	whole   []float64 // by row: squared error of all features
	revived []float64 // by row: squared error of the dead ones
	least   float32   // of a batch's choice: the smallest value that is kept
	ties    []int     // by row: how many that equal it are kept
	code    column    // codes, by feature
	revival column    // aux, by feature
	biases  []float32 // [Width]: gradient of the encoder's bias
	centre  []float32 // [In]: gradient of the decoder's bias
	dead    []int32
}

func (t *Trainer) makeBatch() error {
	c, b := &t.c, &t.batch
	var err error
	if b.x, err = t.products.Floats(c.Batch * c.In); err != nil {
		return err
	}
	if b.u, err = t.products.Floats(c.Batch * c.Width); err != nil {
		return err
	}
	b.errs, b.auxErrs = make([]float32, c.Batch*len(c.Groups)*c.In), make([]float32, c.Batch*c.In)
	b.codes, b.aux = make([][]entry, c.Batch), make([][]entry, c.Batch)
	b.losses, b.whole, b.revived, b.ties = make([]float64, c.Batch), make([]float64, c.Batch), make([]float64, c.Batch), make([]int, c.Batch)
	b.biases, b.centre = make([]float32, c.Width), make([]float32, c.In)
	b.code.starts, b.revival.starts = make([]int, c.Width+1), make([]int, c.Width+1)
	return nil
}

// forward chooses the codes of the rows in x, and what is lost with them.
func (t *Trainer) forward() error {
	c, b := &t.c, &t.batch
	if err := t.products.Multiply(b.u, b.x, t.w.enc, b.rows, c.Width, c.In); err != nil {
		return err
	}
	each(b.rows, t.c.Threads, 16, func(from, to int) {
		for r := from; r < to; r++ {
			addScaled(b.u[r*c.Width:(r+1)*c.Width], 1, t.w.encBias)
		}
	})
	switch {
	case c.Arch == BatchTopK || c.Arch == Matryoshka:
		t.cutBatch(b.rows, b.rows*c.K)
	case c.Arch == JumpReLU && t.steps == 0:
		t.cutBatch(b.rows, b.rows*c.K)
		for i := range t.w.threshold {
			t.w.threshold[i] = b.least
		}
	}
	t.listDead()
	each(b.rows, t.c.Threads, 8, func(from, to int) {
		var heap []entry
		for r := from; r < to; r++ {
			u := b.u[r*c.Width : (r+1)*c.Width]
			b.codes[r] = t.choose(b.codes[r][:0], r, u, &heap)
			t.reconstruct(r)
			b.aux[r] = b.aux[r][:0]
			if len(b.dead) > 0 {
				b.aux[r] = t.largest(b.aux[r], r, u, c.AuxK, b.dead, &heap)
				t.reviveRow(r)
			}
		}
	})
	return nil
}

func (t *Trainer) listDead() {
	b := &t.batch
	b.dead = b.dead[:0]
	for i, n := range t.silent {
		if n >= int64(t.c.DeadAfter) {
			b.dead = append(b.dead, int32(i))
		}
	}
}

// reconstruct writes the errors of each group and the gradients of a row's values.
func (t *Trainer) reconstruct(r int) {
	c, b := &t.c, &t.batch
	n, code := len(c.Groups), b.codes[r]
	errs := b.errs[r*n*c.In : (r+1)*n*c.In]
	e := errs[:c.In]
	for i, v := range b.x[r*c.In : (r+1)*c.In] {
		e[i] = -v
	}
	b.losses[r] = 0
	at := 0
	for g, end := range c.Groups {
		if g > 0 {
			copy(errs[g*c.In:(g+1)*c.In], e)
			e = errs[g*c.In : (g+1)*c.In]
		}
		for ; at < len(code) && int(code[at].feature) < end; at++ {
			if code[at].z != 0 {
				addScaled(e, code[at].z, t.row(t.w.dec, int(code[at].feature)))
			}
		}
		b.whole[r] = float64(dot(e, e))
		b.losses[r] += b.whole[r]
	}
	for g := n - 2; g >= 0; g-- {
		addScaled(errs[g*c.In:(g+1)*c.In], 1, errs[(g+1)*c.In:(g+2)*c.In])
	}
	for i := range code {
		z := &code[i]
		grad := t.slope() * dot(t.errorOf(r, int(z.feature)), t.row(t.w.dec, int(z.feature)))
		if z.z != 0 {
			z.grad = grad
		}
		if z.edge != 0 { // straight through: d z / d threshold = -threshold/bandwidth inside the kernel (arXiv 2407.14435, eq. 11)
			z.edge = -grad * t.w.threshold[z.feature] / float32(c.Bandwidth)
		}
	}
}

// slope is what a squared error counts in the gradient: 2 over rows, variance and groups.
func (t *Trainer) slope() float32 {
	return float32(2 / (float64(t.batch.rows) * t.variance * float64(len(t.c.Groups))))
}

func (t *Trainer) group(feature int) int {
	for g, end := range t.c.Groups {
		if feature < end {
			return g
		}
	}
	return len(t.c.Groups) - 1
}

// errorOf returns the summed errors that a feature has a part in.
func (t *Trainer) errorOf(r, feature int) []float32 {
	at := (r*len(t.c.Groups) + t.group(feature)) * t.c.In
	return t.batch.errs[at : at+t.c.In]
}

// reviveRow has the dead features explain the error that the others leave (auxiliary loss of arXiv 2406.04093, scaled as EleutherAI's sparsify does).
func (t *Trainer) reviveRow(r int) {
	c, b := &t.c, &t.batch
	e := b.auxErrs[r*c.In : (r+1)*c.In]
	copy(e, t.errorOf(r, c.Width-1))
	for _, z := range b.aux[r] {
		addScaled(e, z.z, t.row(t.w.dec, int(z.feature)))
	}
	b.revived[r] = float64(dot(e, e))
	for i := range b.aux[r] {
		z := &b.aux[r][i]
		z.grad = t.auxSlope() * dot(e, t.row(t.w.dec, int(z.feature)))
	}
}

func (t *Trainer) auxSlope() float32 {
	share := min(float64(len(t.batch.dead))/float64(t.c.AuxK), 1)
	return float32(2 * t.c.AuxWeight * share / (float64(t.batch.rows) * t.variance))
}

// column has the entries of a batch in the order of features, and of rows within one.
type column struct {
	starts  []int // by feature, and the end
	entries []entry
}

func (k *column) fill(codes [][]entry) {
	clear(k.starts)
	n := 0
	for _, code := range codes {
		for i := range code {
			k.starts[code[i].feature+1]++
		}
		n += len(code)
	}
	for i := 1; i < len(k.starts); i++ {
		k.starts[i] += k.starts[i-1]
	}
	k.entries = slices.Grow(k.entries[:0], n)[:n]
	for _, code := range codes {
		for _, e := range code {
			k.entries[k.starts[e.feature]] = e
			k.starts[e.feature]++
		}
	}
	copy(k.starts[1:], k.starts)
	k.starts[0] = 0
}

func (k *column) of(feature int) []entry { return k.entries[k.starts[feature]:k.starts[feature+1]] }

// backward sorts the codes by feature and sums the gradients of both biases; those of a feature's rows are summed where they are used, in featureGradient.
func (t *Trainer) backward() {
	c, b := &t.c, &t.batch
	b.code.fill(b.codes[:b.rows])
	b.revival.fill(b.aux[:b.rows])
	for f := range c.Width {
		sum := float32(0)
		for _, e := range b.code.of(f) {
			sum += e.grad
		}
		for _, e := range b.revival.of(f) {
			sum += e.grad
		}
		b.biases[f] = sum
	}
	// The decoder's bias is added behind the decoder and subtracted before the encoder.
	clear(b.centre)
	for r := range b.rows {
		addScaled(b.centre, t.slope(), t.errorOf(r, 0))
	}
	gonum.Implementation{}.Sgemv(blas.Trans, c.Width, c.In, -1, t.w.enc, c.In, b.biases, 1, 1, b.centre, 1)
}

// featureGradient writes the gradients of a feature's two rows and returns that of its threshold.
func (t *Trainer) featureGradient(f int, enc, dec []float32) (threshold float32) {
	c, b := &t.c, &t.batch
	clear(enc)
	clear(dec)
	slope, push := t.slope(), t.sparsityPush()
	for _, e := range b.code.of(f) {
		if e.z != 0 {
			addScaled(enc, e.grad, b.x[int(e.row)*c.In:(int(e.row)+1)*c.In])
			addScaled(dec, slope*e.z, t.errorOf(int(e.row), f))
		}
		threshold += e.edge
		if c.Arch == JumpReLU && t.inKernel(e) {
			threshold += push
		}
	}
	slope = t.auxSlope()
	for _, e := range b.revival.of(f) {
		addScaled(enc, e.grad, b.x[int(e.row)*c.In:(int(e.row)+1)*c.In])
		addScaled(dec, slope*e.z, b.auxErrs[int(e.row)*c.In:(int(e.row)+1)*c.In])
	}
	return threshold
}

// inKernel tells whether a pre-activation is within half a bandwidth of its threshold.
func (t *Trainer) inKernel(e entry) bool {
	u := t.batch.u[int(e.row)*t.c.Width+int(e.feature)]
	return math.Abs(float64(u-t.w.threshold[e.feature])) < t.c.Bandwidth/2
}

// sparsityPush is the gradient of Sparsity·(L0/K - 1)² by a threshold, for each row within its kernel.
func (t *Trainer) sparsityPush() float32 {
	if t.c.Arch != JumpReLU {
		return 0
	}
	k := float64(t.c.K)
	return float32(-t.c.Sparsity * 2 * (t.batch.active()/k - 1) / (k * float64(t.batch.rows) * t.c.Bandwidth))
}

// active is the number of features that a row has, on average.
func (b *batch) active() float64 {
	n := 0
	for _, code := range b.codes[:b.rows] {
		for i := range code {
			if code[i].z != 0 {
				n++
			}
		}
	}
	return float64(n) / float64(b.rows)
}
