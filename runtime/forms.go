// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/quant"
)

// Quant says in which form weights run.
type Quant string

// The forms of weights.
const (
	Keep    Quant = "keep" // as the file stores them, which loses nothing; types without kernels are expanded
	Float32 Quant = "f32"  // expanded exactly
	Q8      Quant = "q8"   // matrices rounded to Q8_0, 8.5 bits a weight
	Q4      Quant = "q4"   // matrices fitted to Q4_1, 5 bits a weight, those of the vocabulary rounded to Q8_0; what is stored in 5 bits or fewer stays
)

// Kernels says whose operators multiply by weights and attend.
type Kernels string

// The two sets of operators.
const (
	// Own is the project's: every type with kernels as it is held, inputs rounded to 16 bits, attention to a cache of any form.
	Own Kernels = "own"
	// ORT is ONNX Runtime's: MatMulNBits for matrices held in Q4_0 to Q8_0 and Q2_K to Q6_K, with the same values and inputs rounded to 8 bits, MatMul over
	// exactly expanded weights for all other types, MoE for experts, GroupQueryAttention over keys and values in float32 or half precision. It lays weights out once more in memory.
	ORT Kernels = "ort"
)

// KV says how keys and values are kept.
type KV string

// The forms of a cache.
const (
	KVHalf KV = "f16"  // half precision
	KVFull KV = "f32"  // float32
	KVInt8 KV = "int8" // bytes, with a scale for each 32 columns of a token and head; Own only
)

// withForms fills in quant, kernels and kv, and refuses what does not go together.
func (c Config) withForms() (Config, error) {
	provider, _, err := c.Provider.split()
	if err != nil {
		return c, err
	}
	if c.Provider == "" {
		c.Provider = CPU
	}
	if c.Quant == "" {
		c.Quant = Keep
	}
	if provider != CPU {
		if c, err = c.elsewhere(provider); err != nil {
			return c, err
		}
	}
	if c.Kernels == "" {
		c.Kernels = Own
		if c.Quant == Float32 && (c.KV == "" || c.KV == KVFull) && c.Batch < 2 {
			c.Kernels = ORT
		}
	}
	if c.KV == "" {
		c.KV = KVHalf
		if c.Kernels == ORT {
			c.KV = KVFull
		}
	}
	for _, f := range []struct {
		name, value string
		want        []string
	}{
		{"quant", string(c.Quant), []string{"keep", "f32", "q8", "q4"}},
		{"kernels", string(c.Kernels), []string{"own", "ort"}},
		{"kv", string(c.KV), []string{"f16", "f32", "int8"}},
	} {
		if !slices.Contains(f.want, f.value) {
			return c, fmt.Errorf("runtime: %s: want %s, found %q", f.name, strings.Join(f.want, ", "), f.value)
		}
	}
	if c.Kernels == ORT && c.Batch > 1 {
		return c, fmt.Errorf("runtime: batch: %w: ONNX Runtime's attention reads one cache: want the kernels own, found ort", ErrNoBatch)
	}
	if c.Kernels == ORT && c.KV == KVInt8 {
		return c, fmt.Errorf("runtime: kv: ONNX Runtime's attention keeps numbers of 32 or 16 bits: want f32 or f16, or the kernels own, found %q", c.KV)
	}
	return c, nil
}

// elsewhere fills in the forms that providers other than the processor have: ONNX Runtime's operators alone, and in CUDA attention in half precision alone.
func (c Config) elsewhere(provider Provider) (Config, error) {
	kv := KVFull
	if provider == CUDA {
		kv = KVHalf
	}
	if c.Kernels == "" {
		c.Kernels = ORT
	}
	if c.KV == "" {
		c.KV = kv
	}
	if c.Kernels != ORT {
		return c, fmt.Errorf("runtime: kernels: the project's own run on the processor: want ort with the provider %s, found %q", c.Provider, string(c.Kernels))
	}
	if provider == CUDA && c.KV != KVHalf {
		return c, fmt.Errorf("runtime: kv: ONNX Runtime's attention on CUDA keeps half precision: want f16 with the provider %s, found %q", c.Provider, string(c.KV))
	}
	return c, nil
}

// cache is the form of keys and values, and with that the attention, of the decoder's graph.
func (c Config) cache() decoder.Cache {
	switch {
	case c.Kernels == ORT && c.KV == KVHalf:
		return decoder.CacheORTF16
	case c.Kernels == ORT:
		return decoder.CacheORT
	case c.KV == KVInt8:
		return decoder.CacheI8
	case c.KV == KVHalf:
		return decoder.CacheF16
	}
	return decoder.CacheF32
}

// graph says how the decoder builds for these forms.
func (c Config) graph() decoder.Options {
	o := decoder.Options{Cache: c.cache(), As: c.Quant.holds}
	if c.Kernels == Own {
		o.PackedBytes = packedBytes
	} else {
		o.NBits = c.Quant != Float32
	}
	return o
}

// holds returns the type that a matrix is held in.
func (q Quant) holds(t *decoder.Tensor) quant.Type {
	switch {
	case q == Float32:
		return quant.F32
	case q == Keep || t.Cols()%32 != 0 || strings.Contains(t.Name, "ffn_gate_inp"): // routers are small, and what they choose is not a matter of degree
		return t.Type
	case q == Q4 && !vocabulary(t.Name):
		if elements, bytes := t.Type.Block(); 8*bytes <= 5*elements && kernels.Supported(kernels.Type(t.Type)) {
			return t.Type
		}
		return quant.Q4_1
	}
	return quant.Q8_0
}

// vocabulary tells whether a matrix has a row for each token: logits suffer from four bits more than everything else together.
func vocabulary(name string) bool { return name == "token_embd.weight" || name == "output.weight" }
