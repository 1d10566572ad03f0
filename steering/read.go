// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/trimtab/trimtab/hooks"
)

// ReadVector reads the directions of a control-vector GGUF or a safetensors file; which of the two it is, its first bytes say.
// What the formats' readers refuse is passed on, what a vector may not be is a *VectorError.
func ReadVector(src Source) (*Vector, error) {
	isGGUF, err := startsWith(src.Path, "GGUF")
	if err != nil {
		return nil, fmt.Errorf("steering: read vector: %w", err)
	}
	v := newVector(vectorName(src), src.Path)
	read := v.readSafetensors
	if isGGUF {
		read = v.readGGUF
	}
	if err := read(src.Family); err != nil {
		return nil, err
	}
	if err := v.complete(); err != nil {
		return nil, err
	}
	v.warnLengths()
	return v, nil
}

// warnLengths speaks up where other readers, which do not divide by a direction's length when they project, would do something else.
func (v *Vector) warnLengths() {
	if v.Op != hooks.Project {
		return
	}
	for _, layer := range v.Layers() {
		if length := norm(v.blocks[layer]); math.Abs(length-1) > 1e-3 {
			v.warn("%s has length %.4g, not 1: what is projected out is its unit direction", v.Tensor(layer), length)
			return
		}
	}
}

func startsWith(path, magic string) (is bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(head) == magic, nil
}

// take adds the chosen tensors; read returns a tensor's values in new memory, or refuses it.
func (v *Vector) take(chosen map[string]int, read func(name string) ([]float32, error)) error {
	for _, name := range inOrder(chosen) {
		d, err := read(name)
		if err != nil {
			return err
		}
		if layer := chosen[name]; layer != noLayer {
			err = v.add(layer, d)
		} else {
			v.blockless, err = d, v.check(name, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
