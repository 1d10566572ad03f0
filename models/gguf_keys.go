// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"
	"fmt"
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

func (k *keys) flagOr(name string, absent bool) bool {
	b, ok, err := gguf.Optional(k.meta.Bool(k.arch + "." + name))
	if err != nil {
		k.fail(err)
	}
	if !ok {
		return absent
	}
	return b
}

// FamilyError says that a model is of an architecture that no description exists for.
type FamilyError struct {
	Family string
	Known  []string // in files of the same kind
}

func (e *FamilyError) Error() string {
	return fmt.Sprintf("models: architecture %q is not known; known: %s", e.Family, strings.Join(e.Known, ", "))
}

// Is makes errors.Is(err, errors.ErrUnsupported) hold.
func (e *FamilyError) Is(target error) bool { return target == errors.ErrUnsupported }
