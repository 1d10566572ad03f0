// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/experts"
)

// Masking is a [hooks.Hook] that switches, forces and scales experts; it may be attached to several sessions, which then share its strength: 1 is the mask as
// it was asked for, 0 is none. Factors move in proportion, choices hold at any strength above 0.001.
type Masking struct {
	spec Spec
	name string
	mask experts.Mask
	knob *hooks.Knob
}

// loadExperts reads a mask over experts.
func loadExperts(s *Spec) (Hook, error) {
	if s.Sites != "" {
		return nil, fmt.Errorf("steering: %s: want no @SITES behind a mask, which names its layers itself", s)
	}
	switch {
	case s.Text == expertsWatch:
		return &watching{experts.Watch{Where: s.Where}, *s, hooks.NewKnob(1)}, nil
	case s.Text != "":
		mask, err := experts.Parse(s.Text)
		if err != nil {
			return nil, fmt.Errorf("steering: %w", err)
		}
		return newMasking(s, mask, maskName(mask)), nil
	}
	file, err := experts.ReadFile(s.Sources[0].Path)
	if err != nil {
		return nil, fmt.Errorf("steering: %w", err)
	}
	name := strings.TrimSuffix(filepath.Base(s.Sources[0].Path), filepath.Ext(s.Sources[0].Path))
	return newMasking(s, file.Mask(), strings.Join(strings.Fields(name), "-")), nil
}

// NewMasking returns the hook of a mask that is written out in its spec, strength 1 on all rows.
func NewMasking(mask experts.Mask) *Masking {
	return newMasking(&Spec{Kind: KindExperts, Text: mask.String()}, mask, maskName(mask))
}

// With returns the hook of another mask with the same rows and strength.
func (m *Masking) With(mask experts.Mask) *Masking {
	spec := m.Spec()
	spec.Sources, spec.Text = nil, mask.String()
	return newMasking(&spec, mask, maskName(mask))
}

func newMasking(s *Spec, mask experts.Mask, name string) *Masking {
	strength := float32(1)
	if s.Strength != nil {
		strength = *s.Strength
	}
	return &Masking{*s, name, mask, hooks.NewKnob(strength)}
}

// maskName is the modes and, of a short mask, the experts.
func maskName(mask experts.Mask) string {
	if len(mask) <= 4 {
		return mask.String()
	}
	modes := map[experts.Mode]bool{}
	var names []string
	for _, e := range mask {
		if !modes[e.Mode] {
			modes[e.Mode] = true
			names = append(names, string(e.Mode))
		}
	}
	return fmt.Sprintf("%s:%d", strings.Join(names, "+"), len(mask))
}

// Name returns the file's name without its extension, or the mask itself where it is short.
func (m *Masking) Name() string { return m.name }

// Mask returns what is done to which expert; it must not be written.
func (m *Masking) Mask() experts.Mask { return m.mask }

// Strength returns the knob of all edits of the mask.
func (m *Masking) Strength() *hooks.Knob { return m.knob }

// Spec returns the spec with the strength where the knob stands now.
func (m *Masking) Spec() Spec {
	spec := m.spec
	if now := m.knob.Value(); now != 1 || spec.Strength != nil {
		spec.Strength = &now
	}
	return spec
}

// Warnings is empty.
func (m *Masking) Warnings() []string { return nil }

// Sites returns the routers that the mask acts on, each with what it does there.
func (m *Masking) Sites(sh *hooks.Shape) ([]Place, error) {
	edits, err := m.edits(sh)
	if err != nil {
		return nil, err
	}
	var out []Place
	for _, e := range edits {
		if len(out) > 0 && out[len(out)-1].Site == e.Site {
			continue // the soft and the hard modes of one block
		}
		var here experts.Mask
		for _, x := range m.mask {
			if x.Layer == e.Site.Layer || x.Layer+sh.Layers == e.Site.Layer {
				here = append(here, x)
			}
		}
		out = append(out, Place{Site: e.Site, Tensors: []string{here.String()}})
	}
	return out, nil
}

func (m *Masking) edits(sh *hooks.Shape) ([]hooks.Edit, error) {
	edits, err := m.mask.Edits(sh, m.name, m.knob, m.spec.Where)
	if err != nil {
		return nil, fmt.Errorf("steering: %s: %w", m.name, err)
	}
	return edits, nil
}

// Bind returns the edits of each router, or an error: a *hooks.SiteError for a block without experts, a *hooks.MaskError for an expert that there is not,
// a *hooks.EditError for a mode that an export's fused router cannot do.
func (m *Masking) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	edits, err := m.edits(sh)
	return hooks.Plan{Edits: edits}, err
}

// expertsWatch is the text of a spec that only reads.
const expertsWatch = "watch"

// watching reports the experts that tokens choose.
type watching struct {
	experts.Watch
	spec Spec
	knob *hooks.Knob
}

func (w *watching) Name() string          { return "experts" }
func (w *watching) Spec() Spec            { return w.spec }
func (w *watching) Strength() *hooks.Knob { return w.knob }
func (w *watching) Warnings() []string    { return nil }

// Sites returns where choices are read.
func (w *watching) Sites(sh *hooks.Shape) ([]Place, error) {
	plan, err := w.Bind(sh)
	if err != nil {
		return nil, fmt.Errorf("steering: experts: %w", err)
	}
	var out []Place
	for _, t := range plan.Taps {
		if t.Site.Point == hooks.RouterWeights {
			out = append(out, Place{Site: t.Site, Tensors: []string{"watch"}})
		}
	}
	return out, nil
}
