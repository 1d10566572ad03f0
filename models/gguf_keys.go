// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/gguf"
)

// keys reads metadata of one architecture and keeps the first error, so that a description reads as a list of its fields.
type keys struct {
	meta gguf.Meta
	arch string
	err  error
}

func (k *keys) fail(err error) {
	if k.err == nil {
		k.err = err
	}
}

func (k *keys) count(name string) int {
	n, err := k.meta.Int(k.arch + "." + name)
	k.fail(err)
	return n
}

func (k *keys) countOr(name string, absent int) int {
	n, ok, err := gguf.Optional(k.meta.Int(k.arch + "." + name))
	if err != nil {
		k.fail(err)
	}
	if !ok {
		return absent
	}
	return n
}

func (k *keys) numberOr(name string, absent float64) float64 {
	x, ok, err := gguf.Optional(k.meta.Float(k.arch + "." + name))
	if err != nil {
		k.fail(err)
	}
	if !ok {
		return absent
	}
	return x
}

func (k *keys) textOr(name, absent string) string {
	s, ok, err := gguf.Optional(k.meta.String(k.arch + "." + name))
	if err != nil {
		k.fail(err)
	}
	if !ok {
		return absent
	}
	return s
}

func (k *keys) text(name string) string {
	s, _, err := gguf.Optional(k.meta.String(name))
	if err != nil {
		k.fail(err)
	}
	return s
}

func (k *keys) eps(kind decoder.NormKind) float32 {
	name := "attention.layer_norm_rms_epsilon"
	if kind == decoder.LayerNorm {
		name = "attention.layer_norm_epsilon"
	}
	x, err := k.meta.Float(k.arch + "." + name)
	k.fail(err)
	return float32(x)
}

// rope reads rotary embedding with the scalings that files carry: a tensor of factors, or a linear one.
func (k *keys) rope(f *gguf.File, headDim int, adjacent bool) decoder.Rope {
	r := decoder.Rope{
		Dims:        k.countOr("rope.dimension_count", headDim),
		Base:        k.numberOr("rope.freq_base", 10000),
		Interleaved: adjacent,
	}
	if r.Dims < 2 || r.Dims > 1<<14 {
		k.fail(fmt.Errorf("models: rope.dimension_count: want between 2 and %d, found %d", 1<<14, r.Dims))
		return r
	}
	switch kind := k.textOr("rope.scaling.type", "none"); kind {
	case "none":
	case "linear":
		r.Factors = repeat(float32(k.numberOr("rope.scaling.factor", 1)), r.Dims/2)
	default:
		k.fail(fmt.Errorf("models: rope.scaling.type: want none or linear, found %q", kind))
	}
	if _, ok := f.Tensor("rope_freqs.weight"); ok {
		factors, err := f.Float32("rope_freqs.weight", r.Dims/2)
		k.fail(err)
		r.Factors = factors
	}
	return r
}

func repeat(x float32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = x
	}
	return out
}

// FamilyError says that a model is of an architecture that no description exists for.
type FamilyError struct {
	Family string
}

func (e *FamilyError) Error() string {
	return fmt.Sprintf("models: architecture %q is not known; known: %s", e.Family, strings.Join(slices.Sorted(maps.Keys(ggufFamilies())), ", "))
}

// Is makes errors.Is(err, errors.ErrUnsupported) hold.
func (e *FamilyError) Is(target error) bool { return target == errors.ErrUnsupported }
