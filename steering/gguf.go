// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/quant"
)

// readGGUF reads what repeng, llama.cpp's cvector-generator and their kin write: general.architecture controlvector and tensors direction.N,
// F32 with one dimension, N counting blocks from 0.
func (v *Vector) readGGUF(family string) (err error) {
	f, err := gguf.Open(v.File)
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	layers, err := v.ggufLayers(f)
	if err != nil {
		return err
	}
	meta := keys{f.Meta, v}
	for _, step := range []func(keys) error{v.readArchitecture, v.readHint, v.readOrigin, v.readGLP} {
		if err := step(meta); err != nil {
			return err
		}
	}
	if err := v.checkHash(meta, f, layers); err != nil {
		return err
	}
	v.warnLayers(layers)
	chosen, err := v.pick(slices.Collect(maps.Values(layers)), family)
	if err != nil {
		return err
	}
	return v.take(chosen, func(name string) ([]float32, error) { return f.Float32(name) })
}

// ggufLayers holds every tensor of the file to the format, as llama.cpp does, but looks at names to their end; it returns the names by block.
func (v *Vector) ggufLayers(f *gguf.File) (map[int]string, error) {
	layers := map[int]string{}
	for _, t := range f.Tensors {
		name, ok := splitTensor(t.Name)
		switch {
		case !ok || name.format != "direction.%d":
			return nil, v.fault("tensor "+strconv.Quote(t.Name), "direction.N", "another name")
		case t.Type != quant.F32:
			return nil, v.fault(t.Name, "F32", t.Type.String())
		case len(t.Shape) != 1:
			return nil, v.fault(t.Name, "1 dimension", fmt.Sprint(len(t.Shape)))
		case t.Shape[0] != f.Tensors[0].Shape[0]:
			return nil, v.fault(t.Name, fmt.Sprintf("the width of the directions before it, %d", f.Tensors[0].Shape[0]), fmt.Sprint(t.Shape[0]))
		}
		layers[name.layer] = t.Name
	}
	return layers, nil
}

func (v *Vector) readArchitecture(meta keys) error {
	name, err := meta.text("general.architecture")
	switch {
	case err != nil:
		return err
	case name == "":
		v.warn("the file has no general.architecture; it is read as a control vector")
	case name != "controlvector" && name != "glp":
		return v.fault("general.architecture", "controlvector", strconv.Quote(name))
	}
	return nil
}

func (v *Vector) readHint(meta keys) error {
	hint, err := meta.text("controlvector.model_hint")
	if err == nil {
		v.setHint(hint)
	}
	return err
}

func (v *Vector) readOrigin(meta keys) error {
	var err error
	if v.Declared, _, err = gguf.Optional(meta.file.Int("controlvector.layer_count")); err != nil {
		return fmt.Errorf("steering: %w", err)
	}
	if v.BaseModel, err = meta.text("general.base_model.0.name"); err != nil {
		return err
	}
	if v.ModelHash, err = meta.text(keyModelHash); err != nil {
		return err
	}
	for _, key := range []string{"controlvector.method", "glp.method"} {
		if v.Method != "" {
			break
		}
		if v.Method, err = meta.text(key); err != nil {
			return err
		}
	}
	for _, key := range meta.file.Keys() {
		if text, err := meta.file.String(key); err == nil {
			v.remember(key, text)
		}
	}
	if count, ok := meta.file.Value("controlvector.layer_count"); ok && count.Kind == gguf.Int32 {
		v.warn("layer_count is a signed number, as llama.cpp's cvector-generator writes it: that tool calls the output of block N-1 direction.N, " +
			"so each direction acts one block behind the one it was measured at, here as in llama.cpp")
	}
	return nil
}

func (v *Vector) warnLayers(layers map[int]string) {
	if v.Declared != 0 && v.Declared != len(layers) {
		v.warn("layer_count is %d, the file has %d directions", v.Declared, len(layers))
	}
	if _, ok := layers[0]; ok {
		v.warn("direction.0 acts at %s here; llama.cpp never applies it, it refuses the whole file", v.Site(0))
	}
}

// keys reads optional metadata.
type keys struct {
	file gguf.Meta
	v    *Vector
}

func (k keys) text(key string) (string, error) {
	s, _, err := gguf.Optional(k.file.String(key))
	if err != nil {
		return "", fmt.Errorf("steering: %w", err)
	}
	return s, nil
}

func inOrder(chosen map[string]int) []string {
	return slices.SortedFunc(maps.Keys(chosen), func(a, b string) int { return chosen[a] - chosen[b] })
}
