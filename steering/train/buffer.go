// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Source hands over the activations of texts.
type Source interface {
	Texts() int
	// Length returns how many activations text i has.
	Length(i int) int
	// Rows appends the activations of text i at all its positions to dst; the same ones whenever it is asked.
	Rows(ctx context.Context, dst []float32, i int) ([]float32, error)
}

// buffer mixes the activations of many texts. It is filled with whole texts, shuffled, used up and filled again; each filling is a round. Where all texts
// fit, they are read once.
type buffer struct {
	src     Source
	tokens  int       // of all texts
	whole   bool      // all texts fit
	rows    []float32 // of the round, massive ones left out
	order   []int32   // in which the rows are used
	texts   []int32   // in which this pass reads them
	pass    int
	round   int64 // counted over all passes
	from    int   // in texts: the round's first
	to      int   // in texts: behind the round's last
	used    int   // rows of the round
	left    int   // massive rows of the pass
	leftOld int   // of it, those of earlier rounds
	massive dictionary.Massive
}

func (t *Trainer) makeBuffer(src Source) {
	b := &t.buffer
	longest := 0
	b.src, b.tokens = src, 0
	for i := range src.Texts() {
		b.tokens += src.Length(i)
		longest = max(longest, src.Length(i))
	}
	b.whole = b.tokens <= t.c.Buffer
	b.rows = make([]float32, 0, min(b.tokens, max(t.c.Buffer, longest))*t.c.In)
	t.startPass()
}

// startPass chooses the order of texts; a pass that fits as a whole needs none, since its rows are shuffled anyway.
func (t *Trainer) startPass() {
	b := &t.buffer
	b.from, b.to, b.used, b.left, b.leftOld = 0, 0, 0, 0, 0
	b.texts = b.texts[:0]
	for i := range b.src.Texts() {
		b.texts = append(b.texts, int32(i))
	}
	if !b.whole {
		t.shuffle(2+2*uint64(b.pass), b.texts)
	}
}

func (t *Trainer) shuffle(stream uint64, v []int32) {
	rand.New(rand.NewPCG(t.c.Seed, stream)).Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
}

// take puts the next batch into x, or tells that all passes are done.
func (t *Trainer) take(ctx context.Context) (done bool, err error) {
	for t.used == len(t.order) {
		if t.pass == t.c.Passes {
			return true, nil
		}
		if err := t.nextRound(ctx); err != nil {
			return false, err
		}
	}
	// Rows are dealt evenly, so that no batch is much smaller than the others.
	left := len(t.order) - t.used
	batches := (left + t.c.Batch - 1) / t.c.Batch
	t.batch.rows = (left + batches - 1) / batches
	in := t.c.In
	for i, at := range t.order[t.used : t.used+t.batch.rows] {
		x := t.x[i*in : (i+1)*in]
		for j, v := range t.buffer.rows[int(at)*in : (int(at)+1)*in] {
			x[j] = float32(float64(v)*t.scale) - t.w.decBias[j]
		}
	}
	t.used += t.batch.rows
	return false, nil
}

// nextRound fills the buffer with the texts behind those of the last round and shuffles it.
func (t *Trainer) nextRound(ctx context.Context) error {
	b := &t.buffer
	if b.order != nil && b.to == len(b.texts) {
		b.pass++
		if b.pass == t.c.Passes {
			return nil
		}
		left := b.left
		t.startPass()
		if b.whole {
			b.to, b.left = len(b.texts), left
			b.round++
			t.arrange()
			return nil
		}
	}
	if b.order != nil {
		b.round++
	}
	b.from, b.leftOld = b.to, b.left
	return t.fill(ctx)
}

// fill reads the round that begins at from.
func (t *Trainer) fill(ctx context.Context) error {
	b := &t.buffer
	fresh := b.massive.Median() == 0
	b.rows, b.to, b.left = b.rows[:0], b.from, b.leftOld
	var positions []int32
	for ; b.to < len(b.texts); b.to++ {
		text, before := int(b.texts[b.to]), len(b.rows)
		n := b.src.Length(text)
		if before/t.c.In+n > t.c.Buffer && before > 0 { // this text begins the next round
			break
		}
		rows, err := b.src.Rows(ctx, b.rows, text)
		if err != nil {
			return fmt.Errorf("train: text %d: %w", text, err)
		}
		if len(rows) != before+n*t.c.In {
			return fmt.Errorf("train: text %d: want %d activations of %d numbers, found %d numbers", text, n, t.c.In, len(rows)-before)
		}
		b.rows = rows
		if fresh {
			b.massive.Learn(rows[before:], t.c.In, 0)
		}
		for i := range n {
			positions = append(positions, int32(i))
		}
	}
	t.leaveOut(positions)
	if t.scale == 0 {
		if err := t.measure(); err != nil {
			return err
		}
	}
	t.arrange()
	return nil
}

// leaveOut drops massive rows.
func (t *Trainer) leaveOut(positions []int32) {
	b, in := &t.buffer, t.c.In
	kept := 0
	for i, p := range positions {
		row := b.rows[i*in : (i+1)*in]
		if b.massive.Is(int(p), row) {
			b.left++
			continue
		}
		copy(b.rows[kept*in:], row)
		kept++
	}
	b.rows = b.rows[:kept*in]
}

// arrange shuffles the rows of a round.
func (t *Trainer) arrange() {
	b := &t.buffer
	b.used, b.order = 0, b.order[:0]
	for i := range len(b.rows) / t.c.In {
		b.order = append(b.order, int32(i))
	}
	if b.order == nil {
		b.order = []int32{}
	}
	t.shuffle(3+2*uint64(b.round), b.order)
}

// measure sets what depends on the activations themselves: their scale and variance, and the decoder's bias to their mean.
func (t *Trainer) measure() error {
	in, rows := t.c.In, t.buffer.rows
	n := float64(len(rows) / in)
	if n == 0 {
		return fmt.Errorf("train: the first %d texts have no activation that is not massive", t.to)
	}
	mean, lengths, squares := make([]float64, in), 0.0, 0.0
	for i := 0; i < len(rows); i += in {
		square := 0.0
		for j, v := range rows[i : i+in] {
			mean[j] += float64(v) / n
			square += float64(v) * float64(v)
		}
		lengths += math.Sqrt(square) / n
		squares += square / n
	}
	if lengths == 0 {
		return fmt.Errorf("train: all activations are 0")
	}
	t.scale = math.Sqrt(float64(in)) / lengths
	t.variance = squares
	for j, v := range mean {
		t.variance -= v * v
		t.w.decBias[j] = float32(v * t.scale)
	}
	t.variance *= t.scale * t.scale
	return nil
}
