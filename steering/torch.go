// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/npy"
	"github.com/trimtab/trimtab/models/pickle"
)

// readTorch reads what torch.save wrote: one direction, directions by layer, or a SteeringVector of steering-vectors.
func (v *Vector) readTorch(family string) (err error) {
	f, err := pickle.Open(v.File)
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return v.readValue(f.Root, family)
}

// readNumPy reads an array of numbers, or the dictionary that np.save pickled: RepE's directions by layer, or angular steering's planes by module.
func (v *Vector) readNumPy(family string) (err error) {
	f, err := npy.Open(v.File)
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if len(f.Names) != 1 || f.Names[0] != "" {
		return v.fault("", "a single array", fmt.Sprintf("an archive of %d", len(f.Names)))
	}
	data, isObjects, err := f.Objects("")
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	if !isObjects {
		a, err := f.Array("")
		if err != nil {
			return fmt.Errorf("steering: read vector: %w", err)
		}
		numbers, err := a.AppendFloat32(nil)
		if err != nil {
			return fmt.Errorf("steering: read vector: %w", err)
		}
		return v.readNumbers(a.Shape, numbers, family)
	}
	root, err := pickle.Decode(v.File, data)
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	if a, ok := root.(*pickle.Array); ok && len(a.Items) == 1 && len(a.Shape) == 0 {
		root = a.Items[0]
	}
	return v.readValue(root, family)
}

// readValue makes directions of a value of Python's.
func (v *Vector) readValue(root pickle.Value, family string) error {
	if shape, numbers, ok := v.tensor(root); ok {
		return v.readNumbers(shape, numbers, family)
	}
	d, ok := root.(*pickle.Dict)
	if !ok {
		return v.fault("", "a tensor, or a dictionary of directions", fmt.Sprintf("%T", root))
	}
	if inner, ok := d.Get("layer_activations"); ok {
		if err := v.readLayerType(d); err != nil {
			return err
		}
		return v.readLayers(inner, nil, family)
	}
	if inner, ok := d.Get("directions"); ok {
		signs, _ := d.Get("direction_signs")
		v.Method = "pca"
		return v.readLayers(inner, signs, family)
	}
	if len(d.Keys) > 0 {
		if _, planes := d.Values[0].(*pickle.Dict); planes {
			return v.readPlanes(d, family)
		}
	}
	return v.readLayers(d, nil, family)
}

// tensor returns the numbers of a tensor or an array of floats.
func (v *Vector) tensor(x pickle.Value) (shape []int, numbers []float32, ok bool) {
	t, ok := x.(pickle.Tensor)
	if a, isArray := x.(*pickle.Array); isArray && a.Items == nil && a.Shape != nil {
		t, ok = a.Tensor, true
	}
	if !ok {
		return nil, nil, false
	}
	numbers, err := t.AppendFloat32(nil)
	return t.Shape, numbers, err == nil
}

// readNumbers reads one direction, a row a block, or what refusal_direction calls mean_diffs: positions x blocks x width.
func (v *Vector) readNumbers(shape []int, numbers []float32, family string) error {
	switch {
	case len(numbers) == 0:
		return v.fault("", "numbers", fmt.Sprintf("shape %v", shape))
	case len(shape) == 1 || len(shape) == 2 && shape[0] == 1:
		l, err := v.placeByName(numbers)
		if err != nil {
			return err
		}
		return v.adopt(l, family)
	case len(shape) == 2:
		v.warn("row N of the file is taken for block N")
		return v.adopt(loose{layers: rows(numbers, shape[0])}, family)
	case len(shape) == 3:
		v.Point = hooks.ResidPre
		l := loose{named: map[string][]float32{}}
		for i, p := range rows(numbers, shape[0]) {
			for j, d := range rows(p, shape[1]) {
				l.named[fmt.Sprintf("pos%d.%d", i-shape[0], j)] = d
			}
		}
		return v.adopt(l, family)
	}
	return v.fault("", "at most 3 dimensions", fmt.Sprintf("shape %v", shape))
}

// rows cuts numbers into n rows.
func rows(numbers []float32, n int) map[int][]float32 {
	out, width := map[int][]float32{}, len(numbers)/n
	for i := range n {
		out[i] = numbers[i*width : (i+1)*width]
	}
	return out
}

// readLayerType puts the directions of steering-vectors where their layer_type says.
func (v *Vector) readLayerType(d *pickle.Dict) error {
	points := map[string]hooks.Point{
		"decoder_block": hooks.ResidPost, "self_attn": hooks.AttnOut, "mlp": hooks.MLPOut, "input_layernorm": hooks.AttnIn, "post_attention_layernorm": hooks.MLPIn,
	}
	name, ok := d.Get("layer_type")
	if !ok {
		return nil
	}
	text, _ := name.(string)
	point, ok := points[text]
	if !ok {
		return v.fault("layer_type", "decoder_block, self_attn, mlp, input_layernorm or post_attention_layernorm", fmt.Sprint(name))
	}
	v.Point = point
	return nil
}

// readLayers reads a dictionary of directions by layer, or by name. RepE has a row for each component, of which the first is read, and a sign for each.
func (v *Vector) readLayers(x, signs pickle.Value, family string) error {
	d, ok := x.(*pickle.Dict)
	if !ok || len(d.Keys) == 0 {
		return v.fault("", "a dictionary of directions by layer", fmt.Sprintf("%T", x))
	}
	l := loose{named: map[string][]float32{}, layers: map[int][]float32{}}
	for i, key := range d.Keys {
		shape, numbers, ok := v.tensor(d.Values[i])
		if !ok || len(numbers) == 0 || len(shape) > 2 {
			return v.fault(fmt.Sprintf("directions[%v]", key), "a direction of floats", fmt.Sprintf("%T", d.Values[i]))
		}
		if len(shape) == 2 {
			numbers = numbers[:shape[1]]
		}
		if err := v.flip(numbers, signs, key); err != nil {
			return err
		}
		switch key := key.(type) {
		case int64:
			l.layers[int(key)] = numbers
		case string:
			l.named[key] = numbers
		default:
			return v.fault("directions", "layers as numbers or names", fmt.Sprint(key))
		}
	}
	switch {
	case len(l.named) == 0:
		return v.adopt(l, family)
	case len(l.layers) > 0:
		return v.fault("directions", "layers that are all numbers or all names", "both")
	}
	l.layers = nil
	return v.adopt(l, family)
}

// flip gives a direction the sign that stands beside it.
func (v *Vector) flip(d []float32, signs, key pickle.Value) error {
	list, ok := signs.(*pickle.Dict)
	if !ok {
		return nil
	}
	for i, k := range list.Keys {
		if k != key {
			continue
		}
		sign, ok := v.sign(list.Values[i])
		if !ok {
			return v.fault(fmt.Sprintf("direction_signs[%v]", key), "numbers", fmt.Sprintf("%T", list.Values[i]))
		}
		for j := range d {
			d[j] *= sign
		}
	}
	return nil
}

// sign reads the first number of a tensor, an array or a list.
func (v *Vector) sign(x pickle.Value) (float32, bool) {
	if list, ok := x.(*pickle.List); ok && len(list.Items) > 0 {
		x = list.Items[0]
	}
	switch n := x.(type) {
	case int64:
		return float32(n), true
	case float64:
		return float32(n), true
	case pickle.Tensor:
		return first(n)
	case *pickle.Array:
		return first(n.Tensor)
	}
	return 0, false
}

func first(t pickle.Tensor) (float32, bool) {
	if numbers, err := t.AppendFloat32(nil); err == nil && len(numbers) > 0 {
		return numbers[0], true
	}
	if numbers, err := t.AppendInt64(nil); err == nil && len(numbers) > 0 {
		return float32(numbers[0]), true
	}
	return 0, false
}

// The two families of a plane, whatever kind of file it is in.
const (
	firstDirection  = "first_direction"
	secondDirection = "second_direction"
)

// readPlanes reads the file of angular-steering: {module: {first_direction, second_direction}}, the modules being the norms in front of attention and MLP. One plane
// stands for both norms of a block, as that tool writes it.
func (v *Vector) readPlanes(d *pickle.Dict, family string) error {
	const mlp, attention = "post_attention_layernorm", "input_layernorm"
	l := loose{named: map[string][]float32{}}
	behind := map[int]bool{}
	v.Point, v.Method, v.attnIn = hooks.MLPIn, "angular steering", map[int]bool{}
	for i, key := range d.Keys {
		name, _ := key.(string)
		layer, module, ok := moduleName(name)
		plane, isDict := d.Values[i].(*pickle.Dict)
		if !ok || !isDict || module != mlp && module != attention {
			return v.fault(fmt.Sprintf("module %.80q", fmt.Sprint(key)), "layers.N."+attention+" or layers.N."+mlp+" with a plane", "another")
		}
		for _, which := range []string{firstDirection, secondDirection} {
			x, _ := plane.Get(which)
			_, numbers, ok := v.tensor(x)
			if !ok {
				return v.fault(name+": "+which, "a direction of floats", fmt.Sprintf("%T", x))
			}
			tensor := which + "." + strconv.Itoa(layer)
			if before := l.named[tensor]; before != nil && !slices.Equal(before, numbers) {
				return v.fault(name+": "+which, "the plane of the block's other norm", "another")
			}
			l.named[tensor] = numbers
		}
		v.attnIn[layer] = v.attnIn[layer] || module == attention
		behind[layer] = behind[layer] || module == mlp
	}
	for layer := range v.attnIn {
		if !behind[layer] {
			return v.fault(fmt.Sprintf("block %d", layer), "a plane for "+mlp, "one for "+attention+" alone")
		}
	}
	return v.adopt(l, family)
}

// moduleName reads the block and the last part of a module's name such as model.layers.5.input_layernorm.
func moduleName(name string) (layer int, module string, ok bool) {
	parts := strings.Split(name, ".")
	for i := 0; i+2 < len(parts); i++ {
		if parts[i] == "layers" || parts[i] == "h" {
			layer, ok = layerNumber(parts[i+1])
			return layer, parts[len(parts)-1], ok
		}
	}
	return 0, "", false
}
