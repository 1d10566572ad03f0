// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// Mode is what a mask does to an expert.
type Mode string

// The modes. Shares are those that multiply the chosen experts' outputs; a model that divides them by their sum does so again where the mode says so.
const (
	OffDrop    Mode = "off-drop"    // chosen as before, share 0, the others divided again; the slot stays empty (MoTE)
	OffReplace Mode = "off-replace" // never chosen, as if the router had no row for it: the next best takes the slot
	ForceOn    Mode = "force-on"    // always chosen, with the share that the model's own formula gives it
	Scale      Mode = "scale"       // share multiplied by a factor, the others as they were
	ForceMax   Mode = "force-max"   // router logit raised to the token's largest + 0.01 (SteerMoE); read as soft+ too
	Soft       Mode = "soft-"       // router logit lowered to the token's smallest - 0.01 (SteerMoE)
)

// Modes lists every mode.
func Modes() []Mode { return []Mode{OffDrop, OffReplace, ForceOn, Scale, ForceMax, Soft} }

// ParseMode reads a mode by its name.
func ParseMode(name string) (Mode, error) {
	if name == "soft+" {
		return ForceMax, nil
	}
	if !slices.Contains(Modes(), Mode(name)) {
		return "", fmt.Errorf("experts: mode %q: want one of %v, soft+", name, Modes())
	}
	return Mode(name), nil
}

// Expert names one routed expert; a layer below 0 counts from the last block.
type Expert struct {
	Layer  int `json:"layer"`
	Expert int `json:"expert"`
}

// String prints LAYER/EXPERT, as the grammar reads it.
func (e Expert) String() string { return fmt.Sprintf("%d/%d", e.Layer, e.Expert) }

// Entry is what a mask does to one expert. Value is the factor of Scale and 0 in other modes.
type Entry struct {
	Expert
	Mode  Mode    `json:"mode"`
	Value float32 `json:"value,omitempty"`
}

// Mask is what is to be done to experts; each may stand in it once.
type Mask []Entry

// Of returns a mask of one mode.
func Of(mode Mode, value float32, list []Expert) Mask {
	m := make(Mask, len(list))
	for i, e := range list {
		m[i] = Entry{e, mode, value}
	}
	return m
}

// Experts lists what the mask names, in its order.
func (m Mask) Experts() []Expert {
	out := make([]Expert, len(m))
	for i, e := range m {
		out[i] = e.Expert
	}
	return out
}

// String prints off-drop=3/17,5/2; the lists of several modes are joined by semicolons.
func (m Mask) String() string {
	var parts []string
	for i := 0; i < len(m); {
		head := string(m[i].Mode)
		if m[i].Mode == Scale {
			head += "*" + strconv.FormatFloat(float64(m[i].Value), 'g', -1, 32)
		}
		var list []string
		j := i
		for ; j < len(m) && m[j].Mode == m[i].Mode && m[j].Value == m[i].Value; j++ {
			list = append(list, m[j].Expert.String())
		}
		parts = append(parts, head+"="+strings.Join(list, ","))
		i = j
	}
	return strings.Join(parts, ";")
}

// Edits returns the edits of a mask on a model, by block in forward order: what a router does and, for the soft modes, what is done to its logits first.
// A *hooks.SiteError says that a block has no experts, a *hooks.MaskError that one has no such expert or that it stands twice in the mask. Whether what is
// left is enough for the router is checked when the edits are attached, together with those of other masks.
func (m Mask) Edits(sh *hooks.Shape, name string, knob *hooks.Knob, where hooks.Where) ([]hooks.Edit, error) {
	blocks, err := m.resolve(sh)
	if err != nil {
		return nil, err
	}
	var out []hooks.Edit
	for _, b := range blocks {
		out = append(out, b.edits(sh.Routers[b.layer].Experts, hooks.Edit{
			Name: name, Site: hooks.At(hooks.RouterLogits, b.layer), Strength: knob, Where: where,
		})...)
	}
	for i := range out {
		if err := out[i].Check(sh); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// block is the entries of one block.
type block struct {
	layer   int
	entries []Entry
}

// resolve groups a mask by block and refuses experts that the model lacks.
func (m Mask) resolve(sh *hooks.Shape) ([]block, error) {
	var out []block
	for _, e := range m {
		site, err := sh.Resolve(hooks.At(hooks.RouterLogits, e.Layer))
		if err != nil {
			return nil, fmt.Errorf("experts: mask %s: %w", e.Expert, err)
		}
		router := sh.Routers[site.Layer]
		if router == nil {
			return nil, &hooks.MaskError{Model: sh.Model, Layer: site.Layer, Want: "a router whose choice is known", Got: "one of an export that does not say"}
		}
		if e.Expert.Expert < 0 || e.Expert.Expert >= router.Experts {
			return nil, &hooks.MaskError{
				Model: sh.Model, Layer: site.Layer, Got: fmt.Sprintf("expert %d", e.Expert.Expert),
				Want: fmt.Sprintf("an expert between 0 and %d (shared experts have no number and stay on)", router.Experts-1),
			}
		}
		at, found := slices.BinarySearchFunc(out, site.Layer, func(b block, layer int) int { return cmp.Compare(b.layer, layer) })
		if !found {
			out = slices.Insert(out, at, block{layer: site.Layer})
		}
		if slices.ContainsFunc(out[at].entries, func(o Entry) bool { return o.Expert.Expert == e.Expert.Expert }) {
			return nil, &hooks.MaskError{Model: sh.Model, Layer: site.Layer, Want: "each expert once in a mask", Got: fmt.Sprintf("expert %d twice", e.Expert.Expert)}
		}
		out[at].entries = append(out[at].entries, e)
	}
	return out, nil
}

func (b *block) edits(experts int, like hooks.Edit) []hooks.Edit {
	choice, before, after := hooks.RouteDirections(experts)
	raise := make([]float32, experts)
	soft, hard := false, false
	for _, e := range b.entries {
		i := e.Expert.Expert
		switch e.Mode {
		case OffDrop:
			before[i] = 0
		case OffReplace:
			choice[i] = hooks.Closed
		case ForceOn:
			choice[i] = hooks.Forced
		case Scale:
			after[i] = e.Value
		case ForceMax:
			raise[i] = 1
		case Soft:
			raise[i] = -1
		}
		isSoft := e.Mode == ForceMax || e.Mode == Soft
		soft, hard = soft || isSoft, hard || !isSoft
	}
	var out []hooks.Edit
	if soft {
		like.Op, like.Directions = hooks.Raise, [][]float32{raise}
		out = append(out, like)
	}
	if hard {
		like.Op, like.Directions = hooks.Route, [][]float32{choice, before, after}
		out = append(out, like)
	}
	return out
}
