// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// loose are the directions of a file that has its own way to name them: under names as in safetensors files, or by layer. Layers below 0 count from the last.
type loose struct {
	named  map[string][]float32
	layers map[int][]float32
}

// adopt makes the vector of what a file holds.
func (v *Vector) adopt(l loose, family string) error {
	if l.layers == nil {
		chosen, err := v.pick(slices.Sorted(maps.Keys(l.named)), family)
		if err != nil {
			return err
		}
		return v.take(chosen, func(name string) ([]float32, error) { return l.named[name], nil })
	}
	if number, only := strings.CutPrefix(family, v.Family+"."); only {
		layer, err := strconv.Atoi(number)
		if d := l.layers[layer]; err == nil && d != nil {
			return v.number(map[int][]float32{layer: d})
		}
	}
	if family != "" && family != v.Family {
		return v.fault("", fmt.Sprintf("%s, or %s.N with N of %v", v.Family, v.Family, slices.Sorted(maps.Keys(l.layers))), strconv.Quote(family))
	}
	return v.number(l.layers)
}

// number takes directions by layer; those below 0 find their block when the vector meets a model.
func (v *Vector) number(layers map[int][]float32) error {
	for _, layer := range slices.Sorted(maps.Keys(layers)) {
		name := v.Tensor(layer)
		if layer < 0 {
			v.fromEnd = true
		}
		if err := v.check(name, layers[layer]); err != nil {
			return err
		}
		v.blocks[layer] = layers[layer]
	}
	return nil
}

// counted is the vector with layers counted from the first of a model's.
func (v *Vector) counted(sh *hooks.Shape) (*Vector, error) {
	if !v.fromEnd {
		return v, nil
	}
	out := *v
	out.fromEnd, out.blocks = false, map[int][]float32{}
	for layer, d := range v.blocks {
		at := layer
		if layer < 0 {
			at += sh.Layers
		}
		if at < 0 || out.blocks[at] != nil {
			return nil, &MismatchError{Vector: v.Name, Model: sh.Model, Reason: fmt.Sprintf("it has %s, the model has %d blocks", v.Tensor(layer), sh.Layers)}
		}
		out.blocks[at] = d
	}
	return &out, nil
}

// maxText bounds a file that is read as a whole: a direction of 8,192 numbers for each of 128 blocks is below 32 MiB as JSON.
const maxText = 256 << 20

// readSVec reads the JSON of IBM's activation-steering: directions that were measured at the output of block N, and are added at the input of block N.
func (v *Vector) readSVec(family string) error {
	info, err := os.Stat(v.File)
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	if info.Size() > maxText {
		return v.fault("", fmt.Sprintf("at most %d bytes", maxText), fmt.Sprint(info.Size()))
	}
	data, err := os.ReadFile(v.File)
	if err != nil {
		return fmt.Errorf("steering: read vector: %w", err)
	}
	var file struct {
		Model      string               `json:"model_type"`
		Directions map[string][]float32 `json:"directions"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return v.fault("", "an object with directions by layer, as activation-steering writes it", err.Error())
	}
	if len(file.Directions) == 0 {
		return v.fault("directions", "one direction or more", "none")
	}
	l := loose{layers: map[int][]float32{}}
	for name, d := range file.Directions {
		layer, ok := layerNumber(name)
		if !ok {
			return v.fault("directions", "layers as numbers", strconv.Quote(name))
		}
		l.layers[layer] = d
	}
	v.setHint(file.Model)
	v.Method, v.Point = "pca", hooks.ResidPre
	v.warn("activation-steering measures the direction of layer N at the output of block N and adds it at the input of block N: " +
		"it acts at resid_pre.N here as well; @resid_post.* puts it where it was measured")
	return v.adopt(l, family)
}

// caaName is the name that CAA gives to a file of one direction.
var caaName = regexp.MustCompile(`^vec_layer_(\d+)_`)

// placeByName looks for the block of one direction in the file's name, as CAA writes it, or in the file beside it, as refusal_direction writes it.
func (v *Vector) placeByName(d []float32) (loose, error) {
	if m := caaName.FindStringSubmatch(filepath.Base(v.File)); m != nil {
		if layer, ok := layerNumber(m[1]); ok {
			v.warn("the file's name says layer %d: the output of that block; CAA adds it behind the instruction alone, which is [answer]", layer)
			return loose{layers: map[int][]float32{layer: d}}, nil
		}
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(v.File), "direction_metadata.json"))
	if errors.Is(err, os.ErrNotExist) || filepath.Base(v.File) != "direction.pt" {
		return loose{named: map[string][]float32{"direction": d}}, nil
	}
	var beside struct {
		Layer *int `json:"layer"`
		Pos   int  `json:"pos"`
	}
	if err == nil {
		err = json.Unmarshal(data, &beside)
	}
	if err != nil || beside.Layer == nil {
		return loose{}, v.fault("direction_metadata.json", "layer and pos of the direction", fmt.Sprintf("%v", err))
	}
	v.Point, v.Method = hooks.ResidPre, fmt.Sprintf("diffmean at position %d", beside.Pos)
	v.warn("direction_metadata.json says layer %d: the input of that block", *beside.Layer)
	return loose{layers: map[int][]float32{*beside.Layer: d}}, nil
}
