// SPDX-License-Identifier: Apache-2.0

//go:build !cgo || !(linux || darwin)

package ort

import (
	"errors"
	"unsafe"
)

// ErrNoCgo is returned by everything in a build without cgo.
var ErrNoCgo = errors.New("ort: built without cgo: rebuild with CGO_ENABLED=1 and a C compiler, on Linux or macOS, to run models")

// DType is the element type of a tensor, numbered as ONNX numbers them.
type DType int

// The element types that trimtab's graphs use.
const (
	Float32 DType = 1
	Uint8   DType = 2
	Int32   DType = 6
	Int64   DType = 7
	Bool    DType = 9
	Float16 DType = 10
)

// Size returns the bytes of one element.
func (d DType) Size() int { return 4 }

// Value stands for a tensor.
type Value struct{}

// Session stands for a graph made ready to run.
type Session struct{}

// Binding stands for the tensors of a run.
type Binding struct{}

// Stopper stands for what can stop a run.
type Stopper struct{}

// Options says how a session would run.
type Options struct {
	Threads      int
	Initializers map[string]*Value
	Folder       string
	Profile      string
	Packs        *Packs
	Provider     Provider
}

// Packs stands for weights in another layout.
type Packs struct{}

// NewPacks returns ErrNoCgo.
func NewPacks() (*Packs, error) { return nil, ErrNoCgo }

// Close does nothing.
func (k *Packs) Close() {}

// Tapper is what a run's Tap nodes would call.
type Tapper interface {
	Tap(tap int, data []float32, rows, width int, products []float32) bool
}

// Load returns ErrNoCgo.
func Load(string) (string, error) { return "", ErrNoCgo }

// UseKernels returns ErrNoCgo.
func UseKernels(unsafe.Pointer) error { return ErrNoCgo }

// Alloc returns ErrNoCgo.
func Alloc(int) ([]byte, error) { return nil, ErrNoCgo }

// Free does nothing.
func Free([]byte) {}

// NewValue returns ErrNoCgo.
func NewValue([]byte, DType, ...int) (*Value, error) { return nil, ErrNoCgo }

// Close does nothing.
func (v *Value) Close() {}

// Floats returns nothing.
func Floats([]byte) []float32 { return nil }

// Int64s returns nothing.
func Int64s([]byte) []int64 { return nil }

// Int32s returns nothing.
func Int32s([]byte) []int32 { return nil }

// NewSession returns ErrNoCgo.
func NewSession([]byte, Options) (*Session, error) { return nil, ErrNoCgo }

// Close does nothing.
func (s *Session) Close() {}

// NewBinding returns ErrNoCgo.
func (s *Session) NewBinding() (*Binding, error) { return nil, ErrNoCgo }

// Input returns ErrNoCgo.
func (b *Binding) Input(string, *Value) error { return ErrNoCgo }

// Output returns ErrNoCgo.
func (b *Binding) Output(string, *Value) error { return ErrNoCgo }

// Run returns ErrNoCgo.
func (b *Binding) Run(*Stopper) error { return ErrNoCgo }

// Close does nothing.
func (b *Binding) Close() {}

// NewStopper returns ErrNoCgo.
func NewStopper() (*Stopper, error) { return nil, ErrNoCgo }

// Stop does nothing.
func (r *Stopper) Stop() {}

// Reset does nothing.
func (r *Stopper) Reset() {}

// Close does nothing.
func (r *Stopper) Close() {}

// Register returns no identity.
func Register(Tapper) int64 { return 0 }

// Unregister does nothing.
func Unregister(int64) {}

// Providers returns ErrNoCgo.
func Providers() ([]string, error) { return nil, ErrNoCgo }

// Memory stands for memory of a device.
type Memory struct{}

// NewMemory returns ErrNoCgo.
func (s *Session) NewMemory(string, int) (*Memory, error) { return nil, ErrNoCgo }

// NewValue returns ErrNoCgo.
func (m *Memory) NewValue(DType, ...int) (*Value, error) { return nil, ErrNoCgo }

// Close does nothing.
func (m *Memory) Close() {}

// Arrived returns ErrNoCgo.
func (b *Binding) Arrived() error { return ErrNoCgo }
