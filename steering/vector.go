// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
)

// Vector is a set of directions of one width, one a block, and where they come from. It is read only once it is attached.
type Vector struct {
	Name         string            // short, made from the file's name and the family
	File         string            // empty where the vector was made in memory
	Family       string            // what the tensors are called: direction in direction.14
	Hint         string            // architecture the directions were measured on; empty where the file does not say, and then only widths are checked
	Op           hooks.Op          // Add, or Project where the file says so (glp.mode)
	Point        hooks.Point       // where a direction acts when no sites are asked for
	Alpha        float32           // strength the file itself recommends (glp.alpha_default), 1 where it does not
	BaseModel    string            // the model the file pins itself to; empty where it does not say
	ModelHash    string            // SHA-256 of that model's file, in hexadecimal; empty where the file does not say
	Method       string            // how the directions were found; empty where the file does not say
	Declared     int               // layer_count of the file; 0 where it has none
	Notes        map[string]string // where the directions come from, in words; a file has them under keys that begin with trimtab.
	Warnings     []string          // what the reader accepted but a user should know
	width        int
	blocks       map[int][]float32
	attnIn       map[int]bool // blocks whose direction acts at attn_in too when no sites are asked for
	fromEnd      bool         // some layers are below 0 and count from the last block of a model
	blockless    []float32    // the one direction of a tensor without a layer
	tensorFormat string       // fmt verb form of a tensor's name, such as direction.%d
}

// NewVector makes a vector of directions by 0-based block; the slices are kept, not copied. A *VectorError says what is wrong with one of them.
func NewVector(name string, blocks map[int][]float32) (*Vector, error) {
	v := newVector(name, "")
	for _, layer := range slices.Sorted(maps.Keys(blocks)) {
		if err := v.add(layer, blocks[layer]); err != nil {
			return nil, err
		}
	}
	if err := v.complete(); err != nil {
		return nil, err
	}
	return v, nil
}

func newVector(name, file string) *Vector {
	return &Vector{
		Name: name, File: file, Family: "direction", Point: hooks.ResidPost, Alpha: 1,
		blocks: map[int][]float32{}, tensorFormat: "direction.%d", Notes: map[string]string{},
	}
}

// Layers returns the blocks that have a direction, in rising order; none for the direction of a tensor without a layer.
func (v *Vector) Layers() []int { return slices.Sorted(maps.Keys(v.blocks)) }

// Width returns the number of floats of every direction.
func (v *Vector) Width() int { return v.width }

// Direction returns the direction of a 0-based block, or nil where there is none; it is shared, not a copy.
func (v *Vector) Direction(layer int) []float32 { return v.blocks[layer] }

// Single returns the one direction of a vector that has just one, for use at any site, or nil.
func (v *Vector) Single() []float32 {
	if v.blockless == nil && len(v.blocks) == 1 {
		return v.blocks[v.Layers()[0]]
	}
	return v.blockless
}

// Tensor returns the name that the file has for the direction of a block, such as direction.14.
func (v *Vector) Tensor(layer int) string { return fmt.Sprintf(v.tensorFormat, layer) }

// Site returns where the direction of a block acts when no sites are asked for: direction.14 at resid_post.14.
func (v *Vector) Site(layer int) hooks.Site { return hooks.At(v.Point, layer) }

func (v *Vector) add(layer int, d []float32) error {
	name := v.Tensor(layer)
	if layer < 0 {
		return v.fault(name, "a block of 0 or more", fmt.Sprint(layer))
	}
	if err := v.check(name, d); err != nil {
		return err
	}
	v.blocks[layer] = d
	return nil
}

// check holds a direction against the ones before it.
func (v *Vector) check(name string, d []float32) error {
	if len(d) == 0 {
		return v.fault(name, "one number or more", "none")
	}
	if v.width == 0 {
		v.width = len(d)
	}
	if len(d) != v.width {
		return v.fault(name, fmt.Sprintf("the width of the directions before it, %d", v.width), fmt.Sprint(len(d)))
	}
	for i, x := range d {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return v.fault(name, "finite numbers", fmt.Sprintf("%v at index %d", x, i))
		}
	}
	if dot.Length(d) == 0 {
		return v.fault(name, "a direction", "the zero vector")
	}
	return nil
}

func (v *Vector) complete() error {
	if v.width == 0 {
		return v.fault("", "one direction or more", "none")
	}
	return nil
}

func (v *Vector) fault(tensor, want, got string) error {
	return &VectorError{File: v.File, Tensor: tensor, Want: want, Got: got}
}

func (v *Vector) warn(format string, args ...any) {
	v.Warnings = append(v.Warnings, fmt.Sprintf(format, args...))
}

// VectorError says what is wrong with a file of directions, or with one direction of it.
type VectorError struct {
	File   string // empty where the vector was made in memory
	Tensor string // or metadata key; empty where it is the file as a whole
	Want   string
	Got    string
}

func (e *VectorError) Error() string {
	where := ""
	if e.File != "" {
		where = e.File + ": "
	}
	if e.Tensor != "" {
		where += e.Tensor + ": "
	}
	return fmt.Sprintf("steering: %swant %s, found %s", where, e.Want, e.Got)
}
