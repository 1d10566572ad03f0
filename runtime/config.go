// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"fmt"
	goruntime "runtime"
)

// Quant says in which form weights run.
type Quant string

// The forms of weights.
const (
	Keep    Quant = "keep" // stored blocks as they are, activations rounded to 8 bits inside the products
	Float32 Quant = "f32"  // expanded exactly
)

// Config says how a model is opened; the zero value is right for most uses.
type Config struct {
	Library  string                  // path of ONNX Runtime's shared library; "" searches (see FindLibrary)
	Threads  int                     // threads of one pass; 0 is one a processor, at most 8
	Quant    Quant                   // "" is Keep
	KV       KV                      // form of keys and values; "" is KVHalf for Keep and KVORT for Float32
	Context  int                     // most tokens of a session; 0 is what the model was made for
	Chunk    int                     // tokens of a prompt that run in one pass; 0 is 256
	Progress func(done, total int64) // called while weights are prepared, in bytes; nil is silent
	Profile  string                  // prefix of the files that ONNX Runtime profiles passes into; "" is off
}

// Errors that callers branch on.
var (
	ErrClosed      = errors.New("runtime: closed")
	ErrBusy        = errors.New("runtime: the session is generating")
	ErrContextFull = errors.New("runtime: the context is full")
)

func (c Config) withDefaults(context int) (Config, error) {
	if c.Quant == "" {
		c.Quant = Keep
	}
	if c.Quant != Keep && c.Quant != Float32 {
		return c, fmt.Errorf("runtime: quant: want keep or f32, found %q", c.Quant)
	}
	if c.KV == "" {
		c.KV = KVHalf
		if c.Quant == Float32 {
			c.KV = KVORT
		}
	}
	if c.Threads == 0 {
		c.Threads = min(goruntime.NumCPU(), 8)
	}
	if c.Threads < 1 {
		return c, fmt.Errorf("runtime: threads: want at least 1, found %d", c.Threads)
	}
	if c.Context == 0 {
		c.Context = context
	}
	if c.Context < 1 || c.Context > context {
		return c, fmt.Errorf("runtime: context: want between 1 and the model's %d, found %d", context, c.Context)
	}
	if c.Chunk == 0 {
		c.Chunk = 256
	}
	if c.Chunk < 1 {
		return c, fmt.Errorf("runtime: chunk: want at least 1, found %d", c.Chunk)
	}
	return c, nil
}
