// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
)

// ReadVector reads the directions of a control-vector GGUF, a safetensors file, the JSON of activation-steering (.svec), or a file of NumPy or PyTorch
// (RepE, angular steering, steering-vectors, CAA, refusal_direction), of which nothing is executed; which of them it is, its first bytes say.
// What the formats' readers refuse is passed on, what a vector may not be is a *VectorError.
func ReadVector(src Source) (*Vector, error) {
	v := newVector(vectorName(src), src.Path)
	read := v.readSafetensors
	head, err := start(src.Path)
	if err != nil {
		return nil, fmt.Errorf("steering: read vector: %w", err)
	}
	switch {
	case strings.HasPrefix(head, "GGUF"):
		read = v.readGGUF
	case strings.HasPrefix(head, "PK\x03\x04"):
		read = v.readTorch
	case strings.HasPrefix(head, "\x93NUMPY"):
		read = v.readNumPy
	case strings.HasPrefix(head, "{") && !strings.Contains(head, "\x00"): // a safetensors file begins with eight bytes of a small number
		read = v.readSVec
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
		if length := dot.Length(v.blocks[layer]); math.Abs(length-1) > 1e-3 {
			v.warn("%s has length %.4g, not 1: what is projected out is its unit direction", v.Tensor(layer), length)
			return
		}
	}
}

// start returns the first eight bytes of a file, fewer where it has no more.
func start(path string) (head string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, 8)
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return string(b[:n]), err
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
