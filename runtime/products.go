// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"unsafe"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/onnx"
)

// Products multiplies matrices with ONNX Runtime's own kernel, for work beside a model such as training. One goroutine at a time may use it; close it when
// what Floats returned is no longer used.
type Products struct {
	threads int
	session *ort.Session
	stopper *ort.Stopper
	memory  map[*float32][]byte
	bound   map[product]*boundProduct
}

// product is one multiplication: where its matrices are and how large.
type product struct {
	y, x, w               *float32
	rows, features, width int
}

type boundProduct struct {
	binding *ort.Binding
	values  []*ort.Value
}

// NewProducts returns a multiplier that uses the given number of threads. A model must have been opened before: it brings the library.
func NewProducts(threads int) (*Products, error) {
	p := &Products{threads: threads, memory: map[*float32][]byte{}, bound: map[product]*boundProduct{}}
	g := &onnx.Graph{}
	x := g.Input("x", onnx.Float, onnx.Dims("rows", "width")...)
	w := g.Input("w", onnx.Float, onnx.Dims("features", "width")...)
	y := g.Add("Gemm", "", []string{x, w}, onnx.Attr{Name: "transB", Value: 1})
	g.Output(y, "y", onnx.Float, onnx.Dims("rows", "features")...)
	var err error
	if p.session, err = ort.NewSession(g.Marshal(), ort.Options{Threads: threads}); err != nil {
		return nil, fmt.Errorf("runtime: products: %w", err)
	}
	if p.stopper, err = ort.NewStopper(); err != nil {
		p.session.Close()
		return nil, fmt.Errorf("runtime: products: %w", err)
	}
	return p, nil
}

// Floats returns n zeroed numbers that Multiply can work on, outside Go's heap, until Close.
func (p *Products) Floats(n int) ([]float32, error) {
	if n < 1 {
		return nil, fmt.Errorf("runtime: products: want at least one number, found %d", n)
	}
	mem, err := ort.Alloc(4 * n)
	if err != nil {
		return nil, err
	}
	out := ort.Floats(mem)
	p.memory[unsafe.SliceData(out)] = mem
	return out, nil
}

// Multiply is Y = X · Wᵀ, with X [rows, width], W [features, width] and Y [rows, features], row-major, each the beginning of what Floats returned.
func (p *Products) Multiply(y, x, w []float32, rows, features, width int) error {
	if p.session == nil {
		return fmt.Errorf("runtime: multiply: %w", ErrClosed)
	}
	key := product{unsafe.SliceData(y), unsafe.SliceData(x), unsafe.SliceData(w), rows, features, width}
	b := p.bound[key]
	if b == nil {
		var err error
		if b, err = p.bind(key); err != nil {
			return err
		}
		p.bound[key] = b
	}
	return b.binding.Run(p.stopper)
}

func (p *Products) bind(k product) (_ *boundProduct, err error) {
	b := &boundProduct{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.binding, err = p.session.NewBinding(); err != nil {
		return nil, err
	}
	for _, m := range []struct {
		name string
		at   *float32
		a, b int
	}{{"x", k.x, k.rows, k.width}, {"w", k.w, k.features, k.width}, {"y", k.y, k.rows, k.features}} {
		mem, ok := p.memory[m.at]
		if !ok {
			return nil, fmt.Errorf("runtime: products: %s: want memory of Floats, found other", m.name)
		}
		v, err := ort.NewValue(mem, ort.Float32, m.a, m.b)
		if err != nil {
			return nil, err
		}
		b.values = append(b.values, v)
		if m.name == "y" {
			err = b.binding.Output(m.name, v)
		} else {
			err = b.binding.Input(m.name, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *boundProduct) close() {
	b.binding.Close()
	for _, v := range b.values {
		v.Close()
	}
}

// Close frees everything, the memory of Floats included; twice and nil are fine.
func (p *Products) Close() error {
	if p == nil || p.session == nil {
		return nil
	}
	for _, b := range p.bound {
		b.close()
	}
	p.stopper.Close()
	p.session.Close()
	p.session = nil
	for _, mem := range p.memory {
		ort.Free(mem)
	}
	clear(p.memory)
	return nil
}
