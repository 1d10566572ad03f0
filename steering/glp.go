// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/gguf"
)

// glpPoint maps glp.hook_point to a point; what a module adds to the residual is the point behind any post-norm.
func glpPoint(name string) (hooks.Point, bool) {
	for _, p := range []hooks.Point{hooks.ResidPost, hooks.MLPPost, hooks.AttnPost} {
		if glpName(p) == name {
			return p, true
		}
	}
	return "", false
}

// glpName is the name that glp.hook_point has for a point, or "".
func glpName(p hooks.Point) string {
	switch p {
	case hooks.ResidPost:
		return "residual_stream_post_layer"
	case hooks.MLPPost:
		return "ffn_out_pre_residual"
	case hooks.AttnPost:
		return "attn_out_pre_residual"
	}
	return ""
}

// readGLP honours the glp keys, which say what is to be done with the directions; a file without them is added.
// Whatever it does not know it refuses: under the wrong operation a direction gives no error, just other text.
func (v *Vector) readGLP(meta keys) error {
	mode, err := meta.text("glp.mode")
	if err != nil {
		return err
	}
	if err := v.setMode("glp.mode", mode); err != nil {
		return err
	}
	if err := v.readHookPoint(meta); err != nil {
		return err
	}
	for _, key := range []string{"glp.spec_version", "glp.rank"} {
		n, ok, err := gguf.Optional(meta.file.Int(key))
		if err != nil {
			return fmt.Errorf("steering: %w", err)
		}
		if ok && n != 1 {
			return v.fault(key, "1", fmt.Sprint(n))
		}
	}
	structure, err := meta.text("glp.structure")
	if err != nil {
		return err
	}
	if structure != "" && structure != "per-layer" {
		return v.fault("glp.structure", "per-layer", strconv.Quote(structure))
	}
	alpha, ok, err := gguf.Optional(meta.file.Float("glp.alpha_default"))
	if err != nil {
		return fmt.Errorf("steering: %w", err)
	}
	if ok && !(math.Abs(alpha) <= math.MaxFloat32) {
		return v.fault("glp.alpha_default", "a finite number", fmt.Sprint(alpha))
	}
	if ok {
		v.Alpha = float32(alpha)
	}
	return nil
}

func (v *Vector) setMode(key, mode string) error {
	switch mode {
	case "", "add":
		v.Op = hooks.Add
	case "project":
		v.Op = hooks.Project
	default:
		return v.fault(key, "add or project", strconv.Quote(mode))
	}
	return nil
}

func (v *Vector) readHookPoint(meta keys) error {
	name, err := meta.text("glp.hook_point")
	if err != nil || name == "" {
		return err
	}
	p, ok := glpPoint(name)
	if !ok {
		return v.fault("glp.hook_point", "residual_stream_post_layer, ffn_out_pre_residual or attn_out_pre_residual", strconv.Quote(name))
	}
	v.Point = p
	return nil
}

// checkHash compares the directions with glp.content_sha256, where the file has it.
func (v *Vector) checkHash(meta keys, f *gguf.File, layers map[int]string) error {
	want, err := meta.text("glp.content_sha256")
	if err != nil || want == "" {
		return err
	}
	var rising []gguf.Tensor
	for _, layer := range slices.Sorted(maps.Keys(layers)) {
		t, _ := f.Tensor(layers[layer])
		rising = append(rising, t)
	}
	got := contentHash(rising)
	if got != want {
		return v.fault("glp.content_sha256", want, got+": the directions are not those that were hashed")
	}
	return nil
}
