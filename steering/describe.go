// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
)

// Description is what there is to know about a vector without a model at hand.
type Description struct {
	Name       string                 `json:"name"`
	File       string                 `json:"file,omitempty"`
	Mode       string                 `json:"mode"` // add or project
	Hint       string                 `json:"model_hint,omitempty"`
	BaseModel  string                 `json:"base_model,omitempty"`
	Method     string                 `json:"method,omitempty"`
	Width      int                    `json:"width"`
	Alpha      float32                `json:"alpha"`                 // strength where a spec gives none
	Declared   int                    `json:"layer_count,omitempty"` // as the file declares it
	Directions []DirectionDescription `json:"directions"`
	Notes      map[string]string      `json:"notes,omitempty"` // where the directions come from
	Warnings   []string               `json:"warnings,omitempty"`
}

// DirectionDescription is one direction of a Description.
type DirectionDescription struct {
	Tensor string   `json:"tensor"`
	Site   string   `json:"site,omitempty"` // where it acts without @SITES; empty where it needs them
	Norm   float64  `json:"norm"`
	Cosine *float64 `json:"cosine_to_previous,omitempty"` // with the direction listed before it, where that is the block before
}

// Describe measures every direction: its length, and the cosine with that of the block before.
func (v *Vector) Describe() Description {
	d := Description{
		Name: v.Name, File: v.File, Mode: v.mode(), Hint: v.Hint, BaseModel: v.BaseModel, Method: v.Method,
		Width: v.width, Alpha: v.Alpha, Declared: v.Declared, Notes: v.Notes, Warnings: v.Warnings,
	}
	if v.blockless != nil {
		d.Directions = append(d.Directions, DirectionDescription{Tensor: v.Family, Norm: dot.Length(v.blockless)})
	}
	for _, layer := range v.Layers() {
		one := v.blocks[layer]
		item := DirectionDescription{Tensor: v.Tensor(layer), Site: v.Site(layer).String(), Norm: dot.Length(one)}
		if before := v.blocks[layer-1]; before != nil {
			cosine := dot.Sum64(one, before) / (dot.Length(one) * dot.Length(before))
			item.Cosine = &cosine
		}
		d.Directions = append(d.Directions, item)
	}
	return d
}

// mode is what the vector's file asks for, in the words of glp.mode.
func (v *Vector) mode() string {
	if v.Op == hooks.Project {
		return "project"
	}
	return "add"
}

// String prints the description for a terminal, one direction a line.
func (d Description) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %d directions of width %d", d.Name, d.Mode, len(d.Directions), d.Width)
	for _, item := range []struct{ label, value string }{{"measured on", d.Hint}, {"base model", d.BaseModel}, {"method", d.Method}} {
		if item.value != "" {
			fmt.Fprintf(&b, ", %s %s", item.label, item.value)
		}
	}
	if d.Alpha != 1 {
		fmt.Fprintf(&b, ", strength %s unless told", number(d.Alpha))
	}
	b.WriteByte('\n')
	for _, item := range d.Directions {
		site := item.Site
		if site == "" {
			site = "needs @SITES"
		}
		fmt.Fprintf(&b, "%s -> %s  norm %.4g", item.Tensor, site, item.Norm)
		if item.Cosine != nil {
			fmt.Fprintf(&b, "  cosine to the block before %.3f", *item.Cosine)
		}
		b.WriteByte('\n')
	}
	for _, key := range slices.Sorted(maps.Keys(d.Notes)) {
		fmt.Fprintf(&b, "%s: %s\n", key, d.Notes[key])
	}
	for _, w := range d.Warnings {
		b.WriteString("warning: " + w + "\n")
	}
	return b.String()
}
