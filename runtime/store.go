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
	memory   [][]byte          // what lies under the weights in the processor's memory
	device   *device           // where weights stand; nil is the processor's memory
	packs    *ort.Packs        // where ONNX Runtime's kernels keep weights in a form of their own; nil where they run as they stand
	release  func(data []byte) // called with stored tensors that are in memory in another form now
}

type heldWeight struct {
	memory []byte // a part of the store's; nil where the weight stands on a device
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
	h.value.Close()
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
	bring, err := s.bringer(weights)
	if err != nil {
		return err
	}
	var total, done int64
	for i := range weights {
		total += stored(&weights[i])
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		if next == len(weights) || first != nil {
			return -1
		}
		next++
		return next - 1
	}
	finish := func(w *decoder.Weight, h *heldWeight, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && first == nil {
			first = fmt.Errorf("runtime: prepare weight %s: %w", w.Name, err)
		}
		if err == nil {
			s.held[w.Name] = h
		}
		done += stored(w)
		if s.progress != nil {
			s.progress(done, total)
		}
	}
	for range s.threads {
		wg.Go(func() {
			for at := take(); at >= 0; at = take() {
				w := &weights[at]
				h, err := bring(at)
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

// bringer returns the function that brings weight i: into its part of memory for all of them, or to the device.
func (s *store) bringer(weights []decoder.Weight) (func(i int) (*heldWeight, error), error) {
	if s.device != nil {
		return func(i int) (*heldWeight, error) { return s.send(&weights[i]) }, nil
	}
	memory, err := room(weights)
	if err != nil {
		return nil, err
	}
	if memory != nil {
		s.memory = append(s.memory, memory)
	}
	parts := divide(memory, weights)
	return func(i int) (*heldWeight, error) { return bring(&weights[i], parts[i]) }, nil
}

// send brings one weight to the device.
func (s *store) send(w *decoder.Weight) (*heldWeight, error) {
	memory, err := room([]decoder.Weight{*w})
	if err != nil {
		return nil, err
	}
	defer kernels.Free(memory)
	h, err := bring(w, memory[:prepared(w)])
	if err != nil {
		return nil, err
	}
	return h, h.upload(s.device)
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

// close frees every weight; no session may run any more.
func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		h.value.Close()
	}
	for _, memory := range s.memory {
		kernels.Free(memory)
	}
	s.memory = nil
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
