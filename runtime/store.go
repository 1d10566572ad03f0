// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// store holds the weights of a model in the forms that graphs want, each once, whatever the number of variants that share it.
type store struct {
	mu       sync.Mutex
	held     map[string]*heldWeight
	threads  int
	progress func(done, total int64)
	device   *device           // where weights stand; nil is the processor's memory
	packs    *ort.Packs        // where ONNX Runtime's kernels keep weights in a form of their own; nil where they run as they stand
	release  func(data []byte) // called with stored tensors that are in memory in another form now
}

type heldWeight struct {
	memory []byte // nil where the weight stands on a device
	value  *ort.Value
	number ort.DType
	shape  []int
}

// tensor makes the weight's value over its memory.
func (h *heldWeight) tensor(t ort.DType, shape ...int) (err error) {
	h.number, h.shape = t, shape
	h.value, err = ort.NewValue(h.memory, t, shape...)
	return err
}

// upload moves the weight to a device.
func (h *heldWeight) upload(d *device) error {
	v, err := d.upload(h.memory, h.number, h.shape...)
	if err != nil {
		return err
	}
	h.free()
	h.memory, h.value = nil, v
	return nil
}

// supply returns the tensors for the given weights, preparing those that are not held yet.
func (s *store) supply(weights []decoder.Weight) (map[string]*ort.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	missing := make([]decoder.Weight, 0, len(weights))
	for _, w := range weights {
		if s.held[w.Name] == nil {
			missing = append(missing, w)
		}
	}
	if err := s.prepare(missing); err != nil {
		return nil, err
	}
	out := make(map[string]*ort.Value, len(weights))
	for _, w := range weights {
		out[w.Name] = s.held[w.Name].value
	}
	return out, nil
}

// prepare brings weights into memory, several at a time.
func (s *store) prepare(weights []decoder.Weight) error {
	var total, done int64
	for i := range weights {
		total += stored(&weights[i])
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	take := func() *decoder.Weight {
		mu.Lock()
		defer mu.Unlock()
		if next == len(weights) || first != nil {
			return nil
		}
		next++
		return &weights[next-1]
	}
	finish := func(w *decoder.Weight, h *heldWeight, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && first == nil {
			first = fmt.Errorf("runtime: prepare weight %s: %w", w.Name, err)
		}
		if h != nil {
			s.held[w.Name] = h
		}
		done += stored(w)
		if s.progress != nil {
			s.progress(done, total)
		}
	}
	for range s.threads {
		wg.Go(func() {
			for w := take(); w != nil; w = take() {
				h, err := bring(w)
				if err == nil && s.device != nil {
					err = h.upload(s.device)
				}
				for i := range w.Pieces {
					s.release(w.Pieces[i].Data)
				}
				finish(w, h, err)
			}
		})
	}
	wg.Wait()
	return first
}

func stored(w *decoder.Weight) int64 {
	var n int64
	for i := range w.Pieces {
		n += w.Pieces[i].Bytes()
	}
	return n
}

// embed puts weights into the graph's file, for a provider that reads that rather than what is supplied.
func (s *store) embed(g *decoder.Graph) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, info := range g.External {
		h := s.held[info.Name]
		n := h.number.Size()
		for _, d := range h.shape {
			n *= d
		}
		g.Constants = append(g.Constants, onnx.Constant{Info: info, Data: h.memory[:n]})
	}
	g.External = nil
}

// bring makes one weight ready in its form.
func bring(w *decoder.Weight) (*heldWeight, error) {
	switch w.Form {
	case decoder.Packed:
		return bringPacked(w)
	case decoder.Codes:
		return bringBytes(w, codes)
	case decoder.Scales:
		return bringFloats(w, scales, w.Shape...)
	case decoder.Minimums:
		return bringFloats(w, minimums, w.Shape...)
	case decoder.Matrix:
		return bringFloats(w, transpose, w.Cols, w.Rows)
	}
	return bringFloats(w, stack, w.Shape...)
}

func bringFloats(w *decoder.Weight, expand func([]float32, *decoder.Weight) error, shape ...int) (*heldWeight, error) {
	n := 4
	for _, d := range shape {
		n *= d
	}
	memory, err := kernels.Alloc(n)
	if err != nil {
		return nil, err
	}
	h := &heldWeight{memory: memory}
	if err := expand(ort.Floats(memory), w); err != nil {
		h.free()
		return nil, err
	}
	return h, h.tensor(ort.Float32, shape...)
}

func bringBytes(w *decoder.Weight, write func([]byte, *decoder.Weight) error) (*heldWeight, error) {
	n := 1
	for _, d := range w.Shape {
		n *= d
	}
	memory, err := kernels.Alloc(n)
	if err != nil {
		return nil, err
	}
	h := &heldWeight{memory: memory}
	if err := write(memory, w); err != nil {
		h.free()
		return nil, err
	}
	return h, h.tensor(ort.Uint8, w.Shape...)
}

func bringPacked(w *decoder.Weight) (*heldWeight, error) {
	memory, err := kernels.Alloc(w.Bytes)
	if err != nil {
		return nil, err
	}
	h := &heldWeight{memory: memory}
	n := max(w.Parts, 1)
	for i := range n {
		part := *w
		part.Rows = w.Rows / n
		part.Pieces = w.Pieces[i*len(w.Pieces)/n : (i+1)*len(w.Pieces)/n]
		if err := pack(memory[i*(w.Bytes/n):][:w.Bytes/n], &part); err != nil {
			h.free()
			return nil, err
		}
	}
	return h, h.tensor(ort.Uint8, w.Bytes)
}

// pack lays one matrix out for the kernels.
func pack(dst []byte, w *decoder.Weight) error {
	pieces := make([]kernels.Piece, len(w.Pieces))
	for i := range w.Pieces {
		data, order, err := blocks(&w.Pieces[i], w.As)
		if err != nil {
			return err
		}
		pieces[i] = kernels.Piece{Data: data, Rows: w.Pieces[i].Rows(), Order: order}
	}
	return kernels.Pack(kernels.Weight{Type: kernels.Type(w.As), Rows: w.Rows, Cols: w.Cols, Data: dst}, pieces...)
}

// transpose expands the stacked rows of w into dst as [cols, rows], 16 rows at a time so that both sides stay in the processor's cache.
func transpose(dst []float32, w *decoder.Weight) error {
	const block = 16
	buf := make([]float32, block*w.Cols)
	row := 0
	for i := range w.Pieces {
		r, err := newRows(&w.Pieces[i], w.Cols)
		if err != nil {
			return err
		}
		for from := 0; from < r.n; from += block {
			n := min(block, r.n-from)
			for j := range n {
				if err := r.expand(buf[j*w.Cols:][:w.Cols], from+j); err != nil {
					return err
				}
			}
			scatter(dst[row:], buf, n, w.Cols, w.Rows)
			row += n
		}
	}
	return nil
}

// stack expands the rows of w into dst one below the other. In the form Paired, rows of each two pieces take turns.
func stack(dst []float32, w *decoder.Weight) error {
	step := 1
	if w.Form == decoder.Paired {
		step = 2
	}
	for i := range w.Pieces {
		r, err := newRows(&w.Pieces[i], w.Cols)
		if err != nil {
			return err
		}
		at := dst[i/step*step*r.n*w.Cols:]
		for j := range r.n {
			if err := r.expand(at[(j*step+i%step)*w.Cols:][:w.Cols], j); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows are those of one stored tensor, in their order.
type rows struct {
	t    *decoder.Tensor
	data []byte
	size int // bytes of a row
	n    int
}

func newRows(t *decoder.Tensor, cols int) (rows, error) {
	size, err := quant.Bytes(t.Type, cols)
	if err != nil {
		return rows{}, err
	}
	data, err := t.Blocks()
	return rows{t, data, size, t.Rows()}, err
}

// expand writes row i as float32.
func (r *rows) expand(dst []float32, i int) error {
	if r.t.Order != nil {
		i = int(r.t.Order[i])
	}
	return quant.Dequantize(dst, r.t.Type, r.data[i*r.size:][:r.size])
}

// scatter writes n rows of src as columns of dst, whose rows are stride apart.
func scatter(dst, src []float32, n, cols, stride int) {
	for c := range cols {
		line := dst[c*stride : c*stride+n]
		for r := range line {
			line[r] = src[r*cols+c]
		}
	}
}

func (h *heldWeight) free() {
	h.value.Close()
	kernels.Free(h.memory)
}

// close frees every weight; no session may run any more.
func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		h.free()
	}
	clear(s.held)
	s.packs.Close()
}

// packedBytes tells the graph's builder which matrices run from their stored blocks.
func packedBytes(t quant.Type, rows, cols int) int {
	return kernels.PackedBytes(kernels.Type(t), rows, cols)
}

func useKernels() error { return ort.UseKernels(unsafe.Pointer(kernels.Table())) }

// KernelISA names the instruction set that the project's own kernels use on this processor.
func KernelISA() string { return kernels.ISA() }
