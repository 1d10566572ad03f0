// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort

// #include <stdlib.h>
// #include "session.h"
import "C"

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// Options says how a session runs.
type Options struct {
	Threads      int               // threads of one operator; 0 is 1
	Initializers map[string]*Value // tensors that take the place of the graph's initializers of the same name; they must outlive the session
	Folder       string            // where files that the model names are looked for; "" is the working folder
	Profile      string            // prefix of a profile file; "" is none
	Packs        *Packs            // lets kernels lay out weights in a form of their own, which sessions with the same initializers share; nil lets them run as they stand
	Provider     Provider          // what computes beside the processor's own operators; the zero value is nothing
}

// Packs holds weights as ONNX Runtime's kernels lay them out. It must outlive the sessions made with it.
type Packs struct {
	p *C.OrtPrepackedWeightsContainer
}

// NewPacks returns an empty container.
func NewPacks() (*Packs, error) {
	if err := ready("create container of packed weights"); err != nil {
		return nil, err
	}
	k := &Packs{}
	return k, take(C.tt_packs_create(&k.p), "create container of packed weights")
}

// Close frees the weights; twice and nil are fine.
func (k *Packs) Close() {
	if k != nil && k.p != nil {
		C.tt_packs_release(k.p)
		k.p = nil
	}
}

// Session is a graph made ready to run; it may run on several goroutines at once, each with a Binding of its own.
type Session struct {
	p *C.OrtSession
}

// NewSession makes a serialised ONNX model ready. Load must have succeeded.
func NewSession(model []byte, o Options) (*Session, error) {
	if err := ready("create session"); err != nil {
		return nil, err
	}
	if len(model) == 0 {
		return nil, fmt.Errorf("ort: create session: the model is empty")
	}
	var opts C.tt_options
	opts.threads = C.int(max(o.Threads, 1))
	opts.optimise = 1
	if o.Profile != "" {
		opts.profile = C.CString(o.Profile)
		defer C.free(unsafe.Pointer(opts.profile))
	}
	opts.folder = C.CString(o.Folder)
	defer C.free(unsafe.Pointer(opts.folder))
	if o.Packs != nil {
		opts.packs = o.Packs.p
	}
	free := share(&opts, o.Initializers)
	defer free()
	freeProvider := o.Provider.list(&opts)
	defer freeProvider()
	s := &Session{}
	st := C.tt_session_create(unsafe.Pointer(unsafe.SliceData(model)), C.size_t(len(model)), &opts, &s.p)
	runtime.KeepAlive(model)
	C.tt_tidy()
	return s, take(st, "create session")
}

// share lists the initializers in C memory and returns what frees the lists.
func share(o *C.tt_options, values map[string]*Value) (free func()) {
	n := len(values)
	if n == 0 {
		return func() {}
	}
	names := (**C.char)(C.malloc(C.size_t(n) * C.size_t(unsafe.Sizeof(uintptr(0)))))
	list := (**C.OrtValue)(C.malloc(C.size_t(n) * C.size_t(unsafe.Sizeof(uintptr(0)))))
	nameSlice, valueSlice := unsafe.Slice(names, n), unsafe.Slice(list, n)
	i := 0
	for name, v := range values {
		nameSlice[i], valueSlice[i] = C.CString(name), v.p
		i++
	}
	o.initializers, o.names, o.values = C.size_t(n), names, list
	return func() {
		for _, s := range nameSlice {
			C.free(unsafe.Pointer(s))
		}
		C.free(unsafe.Pointer(names))
		C.free(unsafe.Pointer(list))
	}
}

// Close releases the session; twice and nil are fine. No run may be under way.
func (s *Session) Close() {
	if s != nil && s.p != nil {
		C.tt_session_release(s.p)
		s.p = nil
	}
}

// Binding names the tensors that runs of one session read and write; it may be used by one run at a time.
type Binding struct {
	p *C.OrtIoBinding
	s *Session
}

// NewBinding returns an empty binding.
func (s *Session) NewBinding() (*Binding, error) {
	b := &Binding{s: s}
	return b, take(C.tt_binding_create(s.p, &b.p), "create binding")
}

// Input binds an input of the graph; binding it again replaces the tensor. The binding keeps its own reference to the tensor, not to its memory.
//
// Where a provider computes in memory of its own, a tensor of the host's memory is copied there now: what is written to it later is not seen until it is
// bound again. Nothing is allocated in Go.
func (b *Binding) Input(name string, v *Value) error {
	c := C.CString(name)
	st := C.tt_bind_input(b.p, c, v.p)
	C.free(unsafe.Pointer(c))
	if st == nil {
		return nil
	}
	return take(st, "bind input "+name)
}

// Arrived waits until what Input has begun to copy to a device is there.
func (b *Binding) Arrived() error {
	st := C.tt_bound_inputs(b.p)
	if st == nil {
		return nil
	}
	return take(st, "copy inputs")
}

// Output binds an output of the graph, which is then written into the tensor's memory.
func (b *Binding) Output(name string, v *Value) error {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return take(C.tt_bind_output(b.p, c, v.p), "bind output "+name)
}

// Close releases the binding; twice and nil are fine.
func (b *Binding) Close() {
	if b != nil && b.p != nil {
		C.tt_binding_release(b.p)
		b.p = nil
	}
}

// Stopper can stop a run from another goroutine.
type Stopper struct {
	p       *C.OrtRunOptions
	yielded atomic.Int64 // when a run last gave way to other goroutines: nanoseconds since began
}

// NewStopper returns a stopper that does not stop.
func NewStopper() (*Stopper, error) {
	if err := ready("create run options"); err != nil {
		return nil, err
	}
	r := &Stopper{}
	return r, take(C.tt_run_options_create(&r.p), "create run options")
}

// Stop ends the runs that use r at their next operator, and those that start later at once, until Reset.
func (r *Stopper) Stop() { C.tt_run_terminate(r.p, 1) }

// Reset makes r usable again after Stop.
func (r *Stopper) Reset() { C.tt_run_terminate(r.p, 0) }

// Close releases the stopper; twice and nil are fine. No run may be using it.
func (r *Stopper) Close() {
	if r != nil && r.p != nil {
		C.tt_run_options_release(r.p)
		r.p = nil
	}
}

// slice is how long a goroutine runs graphs before it gives way.
const slice = 2 * time.Millisecond

var began = time.Now()

// yield begins a new slice of time for the goroutine. Go's monitor takes the processor from one whose slice is older than 10 ms (retake in runtime/proc.go),
// even where nobody waits for it: at each crossing from C, of a token or of a tap, it has to be found again and the monitor wakes to take it once more. That
// cost a twentieth of the processor time of a token of 4 ms.
func (r *Stopper) yield() {
	if now := int64(time.Since(began)); now-r.yielded.Load() > int64(slice) {
		r.yielded.Store(now)
		runtime.Gosched()
	}
}

// Run carries out the graph once on the bound tensors. It allocates nothing in Go.
func (b *Binding) Run(r *Stopper) error {
	r.yield()
	st := C.tt_run(b.s.p, r.p, b.p)
	if st == nil {
		return nil
	}
	return take(st, "run")
}
