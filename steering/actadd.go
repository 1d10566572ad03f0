// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/safetensors"
)

// Align says which positions of a prompt the rows of an ActAdd meet.
type Align string

// The alignments. In the middle the rows stand as far from the front as from the back, one nearer to the front where that cannot be.
const (
	AlignFront  Align = ""
	AlignMiddle Align = "mid"
	AlignBack   Align = "back"
)

// ActAdd adds the activations of one prompt, less those of another, to those of a third, position by position, while that prompt is run (activation addition,
// arXiv 2308.10248). What is generated is not touched. A prompt that is shorter than the rows is an error of the run.
type ActAdd struct {
	spec Spec
	name string
	rows map[int][][]float32 // by block
	knob *hooks.Knob
}

// actAddFamily is what the tensors of a file are called: actadd.6, positions x width.
const actAddFamily = "actadd"

// NewActAdd returns a hook that adds strength times rows at a site, which exists once a block.
func NewActAdd(site hooks.Site, rows [][]float32, strength float32, align Align) (*ActAdd, error) {
	if !site.Point.PerLayer() || len(rows) == 0 {
		return nil, fmt.Errorf("steering: actadd: want rows for a site that exists once a block, found %d for %s", len(rows), site)
	}
	for _, row := range rows {
		if len(row) != len(rows[0]) {
			return nil, fmt.Errorf("steering: actadd: want rows of one width, found %d and %d", len(rows[0]), len(row))
		}
	}
	spec := Spec{Kind: KindActAdd, Strength: &strength, Sites: site.String(), Align: align}
	return &ActAdd{spec: spec, name: string(KindActAdd), rows: map[int][][]float32{site.Layer: rows}, knob: hooks.NewKnob(strength)}, nil
}

func loadActAdd(spec *Spec) (_ *ActAdd, err error) {
	src := spec.Sources[0]
	f, err := safetensors.Open(src.Path)
	if err != nil {
		return nil, fmt.Errorf("steering: read actadd: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := &ActAdd{spec: *spec, name: vectorName(src), rows: map[int][][]float32{}, knob: hooks.NewKnob(1)}
	if spec.Strength != nil {
		h.knob.Set(*spec.Strength)
	}
	family := src.Family
	if family == "" {
		family = actAddFamily
	}
	for _, t := range f.Tensors {
		name, ok := splitTensor(t.Name)
		if !ok || name.family != family {
			continue
		}
		if len(t.Shape) != 2 || t.Shape[0] == 0 || t.Shape[1] == 0 {
			return nil, &VectorError{File: src.Path, Tensor: t.Name, Want: "positions x width", Got: fmt.Sprintf("shape %v", t.Shape)}
		}
		numbers, err := f.Float32(t.Name)
		if err != nil {
			return nil, fmt.Errorf("steering: read actadd: %w", err)
		}
		h.rows[name.layer] = slices.Collect(slices.Chunk(numbers, t.Shape[1]))
	}
	if len(h.rows) == 0 {
		return nil, &VectorError{File: src.Path, Want: "tensors " + family + ".N of positions x width, as trimtab fit actadd writes them", Got: "none"}
	}
	return h, nil
}

// SaveActAdd writes rows by block to a safetensors file that actadd: reads.
func SaveActAdd(path string, rows map[int][][]float32) error {
	var tensors []safetensors.Tensor
	for _, layer := range slices.Sorted(maps.Keys(rows)) {
		list := rows[layer]
		tensors = append(tensors, safetensors.Float32Tensor(actAddFamily+"."+strconv.Itoa(layer), slices.Concat(list...), len(list), len(list[0])))
	}
	return safetensors.Write(path, tensors, nil)
}

// Name returns a short name without spaces, made from the file's.
func (h *ActAdd) Name() string { return h.name }

// Strength returns the knob that multiplies the rows.
func (h *ActAdd) Strength() *hooks.Knob { return h.knob }

// Warnings is empty.
func (h *ActAdd) Warnings() []string { return nil }

// Spec returns the spec the hook was made from, with the strength where the knob stands now.
func (h *ActAdd) Spec() Spec {
	spec := h.spec
	now := h.knob.Value()
	spec.Strength = &now
	return spec
}

// Sites returns the inputs of the blocks that the file has rows for, or those of them that the spec names.
func (h *ActAdd) Sites(sh *hooks.Shape) ([]Place, error) {
	var sites []hooks.Site
	if h.spec.Sites == "" {
		for _, layer := range slices.Sorted(maps.Keys(h.rows)) {
			site, err := sh.Resolve(hooks.At(hooks.ResidPre, layer))
			if err != nil {
				return nil, fmt.Errorf("steering: %s: %w", h.name, err)
			}
			sites = append(sites, site)
		}
	} else {
		var err error
		if sites, err = sh.Select(h.spec.Sites); err != nil {
			return nil, fmt.Errorf("steering: %s: %w", h.name, err)
		}
	}
	var out []Place
	for _, site := range sites {
		rows := h.at(site)
		if rows == nil {
			return nil, &PlaceError{Vector: h.name, Site: site.String(), Has: fmt.Sprintf("rows of layers %s", ranges(slices.Sorted(maps.Keys(h.rows))))}
		}
		if len(rows[0]) != sh.Widths[site] {
			return nil, &hooks.EditError{Edit: h.name, Site: site, Want: fmt.Sprintf("rows of the site's width %d", sh.Widths[site]), Got: fmt.Sprintf("ones of width %d", len(rows[0]))}
		}
		out = append(out, Place{Site: site, Tensors: []string{actAddFamily + "." + strconv.Itoa(site.Layer)}})
	}
	return out, nil
}

// at returns the rows for a site: those of its block, or the only ones there are.
func (h *ActAdd) at(site hooks.Site) [][]float32 {
	if len(h.rows) == 1 && h.spec.Sites != "" {
		for _, rows := range h.rows {
			return rows
		}
	}
	return h.rows[site.Layer]
}

// Bind returns a tap a site.
func (h *ActAdd) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	places, err := h.Sites(sh)
	if err != nil {
		return hooks.Plan{}, err
	}
	var plan hooks.Plan
	for _, p := range places {
		rows := h.at(p.Site)
		where := h.spec.Where
		where.Phases = hooks.Prefill
		plan.Taps = append(plan.Taps, hooks.Tap{Name: h.name, Site: p.Site, Where: where, Strength: h.knob, Func: func(a *hooks.Activation) error {
			return h.add(a, rows)
		}})
	}
	return plan, nil
}

func (h *ActAdd) add(a *hooks.Activation, rows [][]float32) error {
	c := h.knob.Value()
	end := a.First + len(a.Rows) + a.Rest
	if c == 0 {
		return nil
	}
	if end < len(rows) {
		return fmt.Errorf("want a prompt of at least %d tokens, as many as the rows that are added, found %d", len(rows), end)
	}
	from := 0
	switch h.spec.Align {
	case AlignMiddle:
		from = (end - len(rows)) / 2
	case AlignBack:
		from = end - len(rows)
	}
	for i := range a.Rows {
		at := a.First + i - from
		if at < 0 || at >= len(rows) || !a.Rows[i] {
			continue
		}
		row := a.Row(i)
		for j, x := range rows[at] {
			row[j] += c * x
		}
	}
	return nil
}
