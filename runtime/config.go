// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"fmt"
	goruntime "runtime"
)

// Config says how a model is opened; the zero value is right for most uses.
type Config struct {
	Provider Provider                // what computes; "" is CPU
	Library  string                  // path of ONNX Runtime's shared library; "" searches (see FindLibrary)
	Threads  int                     // threads of one pass; 0 is one a processor, at most 8
	Quant    Quant                   // "" is Keep
	Kernels  Kernels                 // "" is Own, but ORT for Float32 where KV does not ask for what only Own has
	KV       KV                      // form of keys and values; "" is KVHalf for Own and for CUDA, KVFull for ORT
	Context  int                     // most tokens of a session; 0 is what the model was made for
	Chunk    int                     // tokens of a prompt that run in one pass; 0 is 256
	Progress func(done, total int64) // called while weights are prepared, in bytes; nil is silent
	Profile  string                  // prefix of the files that ONNX Runtime profiles passes into; "" is off

	apart bool // in tests: the processor's memory is used as if it were a device's
}

// Errors that callers branch on.
var (
	ErrClosed      = errors.New("runtime: closed")
	ErrBusy        = errors.New("runtime: the session is generating")
	ErrContextFull = errors.New("runtime: the context is full")
)

func (c Config) withDefaults(context int) (Config, error) {
	c, err := c.withForms()
	if err != nil {
		return c, err
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
