// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/gguf"
)

// Save writes the vector to a file whose extension says how: .gguf as llama.cpp and repeng read control vectors, or .safetensors.
// GGUF has no place for block 0 (llama.cpp refuses the whole file) or for a direction without a layer: both are refused.
func (v *Vector) Save(path string) error {
	var err error
	switch filepath.Ext(path) {
	case ".gguf":
		err = v.saveGGUF(path)
	case ".safetensors":
		err = v.saveSafetensors(path)
	default:
		err = v.fault("", "a file to save that ends in .gguf or .safetensors", strconv.Quote(path))
	}
	if err != nil {
		return fmt.Errorf("steering: save vector %s: %w", v.Name, err)
	}
	return nil
}

func (v *Vector) saveGGUF(path string) error {
	layers := v.Layers()
	switch {
	case len(layers) == 0:
		return v.fault(v.Family, "a direction with a layer (GGUF names them direction.N)", "one without")
	case layers[0] == 0:
		return v.fault(v.Tensor(0), "blocks of 1 or more in GGUF, since llama.cpp refuses a file with direction.0", "block 0")
	case glpName(v.Point) == "":
		return v.fault("", "a point that GGUF has a name for (the residual, or what attention or the MLP adds to it)", string(v.Point))
	}
	var tensors []gguf.Tensor
	for _, layer := range layers {
		tensors = append(tensors, gguf.Float32Tensor(fmt.Sprintf("direction.%d", layer), v.written(layer), v.width))
	}
	return gguf.Write(path, v.metadata(tensors), tensors)
}

// metadata lists what repeng writes and, where the vector says more than "add", the glp keys that carry it.
func (v *Vector) metadata(tensors []gguf.Tensor) []gguf.Pair {
	out := []gguf.Pair{
		{Key: "general.architecture", Value: "controlvector"},
		{Key: "controlvector.model_hint", Value: v.Hint},
		{Key: "controlvector.layer_count", Value: uint32(len(tensors))},
	}
	if v.Method != "" {
		out = append(out, gguf.Pair{Key: "controlvector.method", Value: v.Method})
	}
	if v.BaseModel != "" {
		out = append(out, gguf.Pair{Key: "general.base_model.count", Value: uint32(1)}, gguf.Pair{Key: "general.base_model.0.name", Value: v.BaseModel})
	}
	for _, key := range slices.Sorted(maps.Keys(v.Notes)) {
		out = append(out, gguf.Pair{Key: noteOwn + key, Value: v.Notes[key]})
	}
	if v.ModelHash != "" {
		out = append(out, gguf.Pair{Key: keyModelHash, Value: v.ModelHash})
	}
	if v.Op == hooks.Add && v.Point == hooks.ResidPost && v.Alpha == 1 {
		return out
	}
	return append(out,
		gguf.Pair{Key: "glp.spec_version", Value: uint32(1)},
		gguf.Pair{Key: "glp.mode", Value: v.mode()},
		gguf.Pair{Key: "glp.hook_point", Value: glpName(v.Point)},
		gguf.Pair{Key: "glp.alpha_default", Value: v.Alpha},
		gguf.Pair{Key: "glp.rank", Value: uint32(1)},
		gguf.Pair{Key: "glp.orthonormal", Value: true},
		gguf.Pair{Key: "glp.content_sha256", Value: contentHash(tensors)},
	)
}

// written is a direction as it goes into a GGUF file: of unit length where it is projected out, since other readers do not divide by its length.
func (v *Vector) written(layer int) []float32 {
	d := v.blocks[layer]
	if v.Op != hooks.Project {
		return d
	}
	length := dot.Length(d)
	out := make([]float32, len(d))
	for i, x := range d {
		out[i] = float32(float64(x) / length)
	}
	return out
}

// contentHash is glp.content_sha256: the hash of the directions' bytes in rising order of layers.
func contentHash(rising []gguf.Tensor) string {
	h := sha256.New()
	for _, t := range rising {
		h.Write(t.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}
