// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"sync"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/onnx"
)

// device is the memory of a provider that has its own. What lies there is moved by graphs, so that nothing here knows how: the same code
// runs on any provider. nil is the processor, whose memory needs no moving.
type device struct {
	options ort.Options
	memory  *ort.Memory
	first   *ort.Session // whose memory it is
	stopper *ort.Stopper

	mu     sync.Mutex
	movers map[string]*ort.Session // by operator, type and rank
}

// newDevice opens the memory of that name and number.
func newDevice(o ort.Options, name string, number int) (*device, error) {
	d := &device{options: o, movers: map[string]*ort.Session{}}
	var err error
	if d.first, err = d.mover("Identity", ort.Float32, 1); err != nil {
		return nil, err
	}
	if d.stopper, err = ort.NewStopper(); err == nil {
		d.memory, err = d.first.NewMemory(name, number)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// mover is a graph of one node from tensors of one type and rank: Identity of x, or Concat of x and more along the third dimension.
func (d *device) mover(op string, t ort.DType, rank int) (*ort.Session, error) {
	key := fmt.Sprintf("%s %d %d", op, t, rank)
	if s := d.movers[key]; s != nil {
		return s, nil
	}
	shape := func(part string) []onnx.Dim {
		dims := make([]onnx.Dim, rank)
		for i := range dims {
			dims[i] = onnx.Sym(fmt.Sprintf("%s%d", part, i))
		}
		return dims
	}
	g := &onnx.Graph{}
	inputs := []string{g.Input("x", onnx.DType(t), shape("x")...)}
	var attrs []onnx.Attr
	if op == "Concat" {
		inputs, attrs = append(inputs, g.Input("more", onnx.DType(t), shape("more")...)), []onnx.Attr{{Name: "axis", Value: 2}}
	}
	g.Nodes = append(g.Nodes, onnx.Node{Op: op, Inputs: inputs, Outputs: []string{"y"}, Attrs: attrs})
	g.Outputs = append(g.Outputs, onnx.Info{Name: "y", Type: onnx.DType(t), Shape: shape("y")})
	s, err := ort.NewSession(g.Marshal(), d.options)
	if err != nil {
		return nil, err
	}
	d.movers[key] = s
	return s, nil
}

// move runs a mover into a new tensor of the given shape.
func (d *device) move(op string, t ort.DType, shape []int, inputs map[string]*ort.Value) (*ort.Value, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.mover(op, t, len(shape))
	if err != nil {
		return nil, err
	}
	out, err := d.memory.NewValue(t, shape...)
	if err != nil {
		return nil, err
	}
	if err := d.run(s, inputs, out); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

func (d *device) run(s *ort.Session, inputs map[string]*ort.Value, out *ort.Value) error {
	b, err := s.NewBinding()
	if err != nil {
		return err
	}
	defer b.Close()
	for name, v := range inputs {
		if err := b.Input(name, v); err != nil {
			return err
		}
	}
	if err := b.Output("y", out); err != nil {
		return err
	}
	if err := b.Arrived(); err != nil {
		return err
	}
	return b.Run(d.stopper)
}

// upload copies host memory to a tensor of the device.
func (d *device) upload(mem []byte, t ort.DType, shape ...int) (*ort.Value, error) {
	host, err := ort.NewValue(mem, t, shape...)
	if err != nil {
		return nil, err
	}
	defer host.Close()
	return d.move("Identity", t, shape, map[string]*ort.Value{"x": host})
}

// hold returns a tensor over memory where there is no device, and a copy of it on the device otherwise. The memory must live on in the first case only.
func (d *device) hold(mem []byte, t ort.DType, shape ...int) (*ort.Value, error) {
	if d == nil {
		return ort.NewValue(mem, t, shape...)
	}
	return d.upload(mem, t, shape...)
}

// grow returns a tensor [1, heads, to, dim] that begins with the tokens of another, [1, heads, from, dim]; the others are not defined.
func (d *device) grow(old *ort.Value, t ort.DType, heads, from, to, dim int) (*ort.Value, error) {
	more, err := d.memory.NewValue(t, 1, heads, to-from, dim)
	if err != nil {
		return nil, err
	}
	defer more.Close()
	return d.move("Concat", t, []int{1, heads, to, dim}, map[string]*ort.Value{"x": old, "more": more})
}

// close frees the movers; every tensor of the device must be closed.
func (d *device) close() {
	if d == nil {
		return
	}
	d.memory.Close()
	for _, s := range d.movers {
		s.Close()
	}
	d.stopper.Close()
	clear(d.movers)
}
