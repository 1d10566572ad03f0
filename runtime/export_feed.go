// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/export"
	"github.com/trimtab/trimtab/models/onnx"
)

// exportFeed is what a feed of an export has beside the inputs of every feed.
type exportFeed struct {
	graph  *export.Graph
	inputs []exportInput
	passed []*ort.Value // tensors of one pass: their shapes are those of no other
}

// exportInput is the memory of one input.
type exportInput struct {
	*export.Input
	memory []byte
}

// bind names inputs whose shape stays; prepare names those that grow with the sequence.
func (x *exportNetwork) bind(s *Session, b *feedBuilder) {
	f, g := b.feed, x.graph(s)
	f.before, f.export = x.before(s), &exportFeed{graph: g}
	if g == x.from.First {
		b.open(s.variant.first)
	} else {
		b.open(s.variant.session)
	}
	all := f.before + f.tokens
	switch g.Rows {
	case export.All:
		f.rows = all
	case export.Last:
		f.rows = 1
	}
	for i := range g.Inputs {
		b.exportInput(&g.Inputs[i], all, s.export.capacity)
	}
	if g.Rows == export.Chosen {
		rows := ort.Int64s(b.input(export.RowsInput, ort.Int64, f.rows))
		for i := range rows {
			rows[i] = int64(all - f.rows + i)
		}
	}
	f.ids = make([]int64, all)
	f.logits = ort.Floats(b.output(g.LogitsName(), ort.Float32, g.LogitsShape(f.rows, x.file.Vocab)...))
	for i := range s.export.states {
		st := &s.export.states[i]
		if !st.Shared || b.err != nil {
			continue
		}
		if b.share(st.In, st.value); b.err == nil {
			b.err = b.binding.Output(st.Out, st.value)
		}
	}
}

// exportInput makes the memory of an input. The mask's is for the longest sequence and named by prepare.
func (b *feedBuilder) exportInput(in *export.Input, tokens, capacity int) {
	t := ort.DType(in.Type)
	x := exportInput{Input: in}
	if in.Role == export.Mask {
		var err error
		if x.memory, err = ort.Alloc(t.Size() * capacity); err != nil && b.err == nil {
			b.err = err
		}
		b.memory = append(b.memory, x.memory)
		for i := range capacity {
			x.put(i, 1)
		}
	} else {
		x.memory = b.input(in.Name, t, inputShape(in, tokens)...)
	}
	b.export.inputs = append(b.export.inputs, x)
}

// inputShape is the shape of an input for one sequence: names are the number of tokens in the last dimension of lists of tokens, and 1 elsewhere.
func inputShape(in *export.Input, tokens int) []int {
	shape := make([]int, len(in.Shape))
	for i, d := range in.Shape {
		shape[i] = max(d.Size, 1)
		if last := i == len(in.Shape)-1; last && (in.Role == export.TokenIDs || in.Role == export.Positions || in.Role == export.TokenKinds) {
			shape[i] = tokens
		}
	}
	return shape
}

// put writes a whole number as element i.
func (x *exportInput) put(i, v int) {
	switch x.Type {
	case onnx.Int64:
		binary.NativeEndian.PutUint64(x.memory[8*i:], uint64(int64(v)))
	case onnx.Int32:
		binary.NativeEndian.PutUint32(x.memory[4*i:], uint32(int32(v)))
	case onnx.Float:
		binary.NativeEndian.PutUint32(x.memory[4*i:], math.Float32bits(float32(v)))
	default: // bool
		x.memory[i] = byte(v)
	}
}

// prepare fills the inputs and names the tensors that have a shape of their own in each pass.
func (x *exportNetwork) prepare(s *Session, f *feed) error {
	for i := range f.before {
		f.ids[i] = int64(s.past[i].id)
	}
	s.export.shorten(len(s.past))
	e := f.export
	e.release()
	for i := range e.inputs {
		if err := x.fill(s, f, &e.inputs[i]); err != nil {
			return err
		}
	}
	for i := range s.export.states {
		if st := &s.export.states[i]; !st.Shared {
			if err := e.state(f.binding, st, len(s.past), f.tokens); err != nil {
				return fmt.Errorf("runtime: cache %s: %w", st.In, err)
			}
		}
	}
	return nil
}

func (x *exportNetwork) fill(s *Session, f *feed, in *exportInput) error {
	past, total := len(s.past), len(s.past)+f.tokens
	switch in.Role {
	case export.TokenIDs:
		for i, id := range f.ids {
			in.put(i, int(id))
		}
	case export.Positions:
		n := len(f.ids)
		for i := range len(in.memory) / ort.DType(in.Type).Size() {
			in.put(i, total-n+i%n)
		}
	case export.Mask:
		v, err := ort.NewValue(in.memory, ort.DType(in.Type), 1, total)
		if err != nil {
			return err
		}
		f.export.passed = append(f.export.passed, v)
		return f.binding.Input(in.Name, v)
	case export.CacheFlag:
		in.put(0, min(past, 1))
	case export.RowsKept:
		in.put(0, len(f.ids))
	case export.LastToken:
		in.put(0, total-1)
	case export.Total:
		in.put(0, total)
	case export.Past:
		in.put(0, past)
	}
	return nil
}

// state names the two buffers of a cache input for a pass of n tokens behind the given ones.
func (e *exportFeed) state(b *ort.Binding, st *exportState, past, n int) error {
	in, err := st.tensor(0, past)
	if err != nil {
		return err
	}
	e.passed = append(e.passed, in)
	out, err := st.tensor(1, past+n)
	if err != nil {
		return err
	}
	e.passed = append(e.passed, out)
	if e.graph.Feeds(st.In) {
		if err := b.Input(st.In, in); err != nil {
			return err
		}
	}
	return b.Output(st.Out, out)
}

func (e *exportFeed) release() {
	if e == nil {
		return
	}
	for _, v := range e.passed {
		v.Close()
	}
	e.passed = e.passed[:0]
}

func (x *exportNetwork) finish(s *Session, f *feed) { s.export.swap(len(s.past) + f.tokens) }
