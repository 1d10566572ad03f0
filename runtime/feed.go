// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"math"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/hooks"
)

// feed is the memory that passes of one length read and write, bound to one variant. The decode feed of a session is made once and used for every token.
type feed struct {
	binding *ort.Binding
	tokens  int // of a pass
	before  int // tokens of earlier passes that run again in front of them: in a graph without a cache, or where the cache is stale
	rows    int // whose logits are computed: the last ones
	asked   int // of these, the ones that are read; a graph may compute more
	ids     []int64
	last    []int32
	total   []int32
	long    []byte // 1 where the factors for long sequences turn; nil where there are none
	gates   []int64
	coef    []strengths // by edit
	numbers [][2]float32Cell
	logits  []float32   // [rows, vocabulary]
	export  *exportFeed // of an export
	sent    []sent      // what a device is given anew for each pass; none where no device is

	memory [][]byte
	values []*ort.Value
}

// sent is an input in the processor's memory.
type sent struct {
	name  string
	value *ort.Value
}

// strengths is the strength of an edit by row. Where all rows have the same, the graph is given it once, which saves a product over all rows.
type strengths struct {
	rows   []float32
	name   string
	each   *ort.Value // [1, rows, 1]
	one    *ort.Value // [1, 1, 1], the same memory
	single bool       // one is bound
}

// float32Cell is one number in memory that a graph reads.
type float32Cell []float32

func (c float32Cell) set(v float32) {
	if c != nil {
		c[0] = v
	}
}

// newFeed allocates and binds everything that a pass of the session's variant needs.
func (s *Session) newFeed(tokens, rows int) (*feed, error) {
	f := &feed{tokens: tokens, rows: rows, asked: rows}
	if err := s.fillFeed(f); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (s *Session) fillFeed(f *feed) error {
	b := &feedBuilder{feed: f, device: s.model.device}
	s.model.network.bind(s, b)
	if n := len(s.program.taps); n > 0 {
		f.gates = ort.Int64s(b.input(runInput, ort.Int64, 1+n))
		f.gates[0] = s.identity
		f.gates = f.gates[1:]
	}
	for i, h := range s.encoders {
		if h != nil {
			b.share(encoderInput(i), h.value)
		}
	}
	for i, e := range s.program.edits {
		b.edit(i, e, s.operands[i])
	}
	return b.err
}

// rowsOf returns how many rows a site has in this feed.
func (f *feed) rowsOf(s hooks.Site) int {
	if s.Point == hooks.FinalNorm || s.Point == hooks.Logits {
		return f.rows
	}
	return f.before + f.tokens
}

// lastLogits is the logits behind the last token.
func (f *feed) lastLogits() []float32 {
	vocab := len(f.logits) / f.rows
	return f.logits[len(f.logits)-vocab:]
}

func (f *feed) close() {
	if f == nil {
		return
	}
	f.binding.Close()
	f.export.release()
	for _, v := range f.values {
		v.Close()
	}
	for _, m := range f.memory {
		ort.Free(m)
	}
	f.values, f.memory = nil, nil
}

// feedBuilder allocates tensors for a feed and keeps the first error. Nothing may be named before open.
type feedBuilder struct {
	*feed
	device *device
	err    error
}

func (b *feedBuilder) tensor(t ort.DType, shape ...int) ([]byte, *ort.Value) {
	n := t.Size()
	for _, d := range shape {
		n *= d
	}
	mem, err := ort.Alloc(n)
	b.err = errors.Join(b.err, err)
	v, err := ort.NewValue(mem, t, shape...)
	b.err = errors.Join(b.err, err)
	b.memory, b.values = append(b.memory, mem), append(b.values, v)
	return mem, v
}

func (b *feedBuilder) input(name string, t ort.DType, shape ...int) []byte {
	mem, v := b.tensor(t, shape...)
	b.share(name, v)
	if b.device != nil {
		b.sent = append(b.sent, sent{name, v})
	}
	return mem
}

func (b *feedBuilder) output(name string, t ort.DType, shape ...int) []byte {
	mem, v := b.tensor(t, shape...)
	if b.err == nil {
		b.err = b.binding.Output(name, v)
	}
	return mem
}

// share names memory that is not the feed's own as an input.
func (b *feedBuilder) share(name string, v *ort.Value) {
	if b.err == nil {
		b.err = b.binding.Input(name, v)
	}
}

// open starts the feed's binding to a session.
func (b *feedBuilder) open(s *ort.Session) {
	if b.err == nil {
		b.binding, b.err = s.NewBinding()
	}
}

// edit binds the inputs that splicer.edit declares for the operation.
func (b *feedBuilder) edit(i int, e *hooks.Edit, o *operand) {
	b.coef = append(b.coef, b.strengths(editInput(i, "c"), b.rowsOf(e.Site)))
	var cells [2]float32Cell
	if e.Op == hooks.Clamp || e.Op == hooks.Rotate {
		cells[0] = ort.Floats(b.input(editInput(i, "x0"), ort.Float32))
		cells[1] = ort.Floats(b.input(editInput(i, "x1"), ort.Float32))
	}
	b.numbers = append(b.numbers, cells)
	for j := range o.rows {
		if e.Op == hooks.Route && j > 0 && b.export != nil {
			break // an export's router takes no masks: what is lowered in front of it is all
		}
		b.share(editInput(i, "v"+digit(j)), o.rows[j])
		switch e.Op {
		case hooks.Add, hooks.AddKeepNorm, hooks.Raise, hooks.Route:
		default:
			b.share(editInput(i, "u"+digit(j)), o.columns[j])
		}
	}
}

func (b *feedBuilder) strengths(name string, rows int) strengths {
	mem, each := b.tensor(ort.Float32, 1, rows, 1)
	one, err := ort.NewValue(mem, ort.Float32, 1, 1, 1)
	b.err = errors.Join(b.err, err)
	b.values = append(b.values, one)
	b.share(name, each)
	return strengths{rows: ort.Floats(mem), name: name, each: each, one: one}
}

// send names again what a pass reads from the processor's memory, which copies it to the device.
func (f *feed) send() error {
	for _, x := range f.sent {
		if err := f.binding.Input(x.name, x.value); err != nil {
			return err
		}
	}
	if f.sent == nil {
		return nil
	}
	for i := range f.coef {
		if err := f.coef[i].bind(f.binding); err != nil {
			return err
		}
	}
	return f.binding.Arrived()
}

func digit(j int) string { return string(rune('0' + j)) }

// operand is the directions of one edit in memory that graphs read, as rows [width] and as columns [width, 1].
type operand struct {
	memory  [][]byte
	rows    []*ort.Value
	columns []*ort.Value
}

func newOperand(e *hooks.Edit) (*operand, error) {
	o := &operand{}
	for _, v := range e.Operands() {
		mem, err := ort.Alloc(4 * len(v))
		if err != nil {
			return o, err
		}
		copy(ort.Floats(mem), v)
		o.memory = append(o.memory, mem)
		row, err := ort.NewValue(mem, ort.Float32, len(v))
		if err != nil {
			return o, err
		}
		o.rows = append(o.rows, row)
		column, err := ort.NewValue(mem, ort.Float32, len(v), 1)
		if err != nil {
			return o, err
		}
		o.columns = append(o.columns, column)
	}
	return o, nil
}

func (o *operand) close() {
	for i := range o.memory {
		if i < len(o.rows) {
			o.rows[i].Close()
		}
		if i < len(o.columns) {
			o.columns[i].Close()
		}
		ort.Free(o.memory[i])
	}
	*o = operand{}
}

// setEdit writes an edit's strength into the rows that it selects and its two numbers.
func (f *feed) setEdit(i int, e *hooks.Edit, rows []hooks.Row) error {
	c := e.Strength.Value()
	switch e.Op {
	case hooks.Clamp:
		f.numbers[i][0].set(e.Low)
		f.numbers[i][1].set(e.High)
	case hooks.Rotate:
		sin, cos := math.Sincos(float64(c) * math.Pi / 180)
		f.numbers[i][0].set(float32(cos))
		f.numbers[i][1].set(float32(sin))
		c = 1
	case hooks.Route:
		c = max(c, 0)
	}
	return f.coef[i].set(f.binding, c, rows, e.Where)
}

// set writes strength c into the selected ones of the last rows and 0 into the others.
func (x *strengths) set(b *ort.Binding, c float32, rows []hooks.Row, w hooks.Where) error {
	rows = rows[len(rows)-len(x.rows):]
	single := true
	for r := range x.rows {
		x.rows[r] = 0
		if w.Selects(rows[r]) {
			x.rows[r] = c
		}
		single = single && x.rows[r] == x.rows[0]
	}
	if single == x.single {
		return nil
	}
	x.single = single
	return x.bind(b)
}

func (x *strengths) bind(b *ort.Binding) error {
	if x.single {
		return b.Input(x.name, x.one)
	}
	return b.Input(x.name, x.each)
}
