// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/safetensors"
)

// The metadata keys that Save writes into a safetensors file and the reader honours; a file without them is added at resid_post.
const (
	noteMode   = "mode"       // add or project
	notePoint  = "point"      // a hooks.Point that exists once a block
	noteAlpha  = "alpha"      // strength where a spec gives none
	noteHint   = "model_hint" // architecture
	noteMethod = "method"
	noteBase   = "base_model"
	noteOwn    = "trimtab." // before each of Vector.Notes, in GGUF too
	noteHash   = "model_sha256"
)

// readSafetensors reads one family of 1-D tensors, FAMILY.N or layerN.FAMILY with N counting blocks from 0, or one tensor of any name.
func (v *Vector) readSafetensors(family string) (err error) {
	f, err := safetensors.Open(v.File)
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := v.readNote(f.Metadata); err != nil {
		return err
	}
	var names []string
	for _, t := range f.Tensors {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	chosen, err := v.pick(names, family)
	if err != nil {
		return err
	}
	return v.take(chosen, func(name string) ([]float32, error) {
		if t, _ := f.Tensor(name); len(t.Shape) != 1 {
			return nil, v.fault(name, "1 dimension", fmt.Sprint(len(t.Shape)))
		}
		return f.Float32(name)
	})
}

func (v *Vector) readNote(note map[string]string) error {
	if err := v.setMode(noteMode, note[noteMode]); err != nil {
		return err
	}
	if p, ok := note[notePoint]; ok {
		v.Point = hooks.Point(p)
		if !slices.Contains(hooks.Points(), v.Point) || !v.Point.PerLayer() {
			return v.fault(notePoint, "a point that exists once a block, such as resid_post", strconv.Quote(p))
		}
	}
	if text, ok := note[noteAlpha]; ok {
		alpha, err := strconv.ParseFloat(text, 32)
		if err != nil || !(math.Abs(alpha) <= math.MaxFloat32) {
			return v.fault(noteAlpha, "a finite number", strconv.Quote(text))
		}
		v.Alpha = float32(alpha)
	}
	v.Method, v.BaseModel, v.ModelHash = note[noteMethod], note[noteBase], note[noteHash]
	for key, value := range note {
		v.remember(key, value)
	}
	v.setHint(note[noteHint])
	return nil
}

// remember keeps what a key says of the directions' origin, where it is one of those that Save writes.
func (v *Vector) remember(key, value string) {
	if name, own := strings.CutPrefix(key, noteOwn); own && name != "" {
		v.Notes[name] = value
	}
}

// saveSafetensors writes the directions under the names their family has, which readSafetensors reads back to an equal vector.
func (v *Vector) saveSafetensors(path string) error {
	var tensors []safetensors.Tensor
	if v.blockless != nil {
		tensors = append(tensors, safetensors.Float32Tensor(v.Family, v.blockless, v.width))
	}
	for _, layer := range v.Layers() {
		tensors = append(tensors, safetensors.Float32Tensor(v.Tensor(layer), v.blocks[layer], v.width))
	}
	note := map[string]string{noteMode: v.mode(), notePoint: string(v.Point), noteAlpha: number(v.Alpha)}
	for key, value := range map[string]string{noteHint: v.Hint, noteMethod: v.Method, noteBase: v.BaseModel, noteHash: v.ModelHash} {
		if value != "" {
			note[key] = value
		}
	}
	for key, value := range v.Notes {
		note[noteOwn+key] = value
	}
	return safetensors.Write(path, tensors, note)
}
