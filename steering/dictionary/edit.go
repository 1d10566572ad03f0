// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Op is what an edit does to the value z of a feature.
type Op uint8

// The operations, with V the edit's value.
const (
	Set     Op = iota // V
	Add               // z + V
	Scale             // z · V
	AtLeast           // max(z, V)
	AtMost            // min(z, V)
)

var opSigns = [...]string{"=", "+=", "*=", ">=", "<="}

// Edit changes one feature, whether it was active (z ≠ 0) or not (z = 0).
type Edit struct {
	Feature int
	Op      Op
	Value   float32
}

// String returns the edit as ParseEdit reads it.
func (e Edit) String() string {
	return fmt.Sprintf("%d%s%s", e.Feature, opSigns[e.Op], strconv.FormatFloat(float64(e.Value), 'g', -1, 32))
}

// ParseEdit reads FEATURE=V, FEATURE+=V, FEATURE*=V, FEATURE>=V or FEATURE<=V.
func ParseEdit(s string) (Edit, error) {
	const want = "FEATURE=V, +=V, *=V, >=V or <=V"
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return Edit{}, fmt.Errorf("dictionary: edit %q: want %s, found no =", s, want)
	}
	op := Set
	for i := Add; i <= AtMost; i++ {
		if before, ok := strings.CutSuffix(name, opSigns[i][:1]); ok {
			name, op = before, i
			break
		}
	}
	f, err := strconv.Atoi(strings.TrimSpace(name))
	if err != nil || f < 0 {
		return Edit{}, fmt.Errorf("dictionary: edit %q: want %s with a whole number as feature, found %q", s, want, name)
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(value), 32)
	if err != nil || v-v != 0 {
		return Edit{}, fmt.Errorf("dictionary: edit %q: want %s with a finite number, found %q", s, want, value)
	}
	return Edit{f, op, float32(v)}, nil
}

func (e Edit) apply(z float32) float32 {
	switch e.Op {
	case Set:
		return e.Value
	case Add:
		return z + e.Value
	case Scale:
		return z * e.Value
	case AtLeast:
		return max(z, e.Value)
	}
	return min(z, e.Value)
}

// Edits is a list of edits in the order in which they are applied: by feature, and for one feature as they were given.
type Edits []Edit

// Edits checks that the dictionary has the features and brings the edits in order.
func (d *Dictionary) Edits(list ...Edit) (Edits, error) {
	for _, e := range list {
		if e.Feature < 0 || e.Feature >= d.Form.N {
			return nil, fmt.Errorf("dictionary: %s: edit %s: want a feature between 0 and %d, found %d", d.Name, e, d.Form.N-1, e.Feature)
		}
		if e.Op > AtMost || e.Value-e.Value != 0 {
			return nil, fmt.Errorf("dictionary: %s: edit of feature %d: want a known operation and a finite value, found %d and %v", d.Name, e.Feature, e.Op, e.Value)
		}
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b Edit) int { return a.Feature - b.Feature })
	return sorted, nil
}

// Edit adds to h what the edits change: h += outScale · Σ (z' - z) · Dec[f]. h is the activation at the dictionary's output
// site, Form.Out numbers; x the activation that was encoded and may be h itself; code its code, in the order of indices.
// A feature that already has the wanted value leaves h bit for bit as it is.
func (d *Dictionary) Edit(h []float32, code []Feature, x []float32, edits Edits) {
	d.EditBy(1, h, code, x, edits)
}

// EditBy is Edit with the change multiplied by a factor.
func (d *Dictionary) EditBy(factor float32, h []float32, code []Feature, x []float32, edits Edits) {
	if len(h) != d.Form.Out {
		panic("dictionary: Edit: h has another length than Form.Out")
	}
	scale := 0.0
	for i := 0; i < len(edits); {
		f := edits[i].Feature
		z := value(code, f)
		changed := z
		for ; i < len(edits) && edits[i].Feature == f; i++ {
			changed = edits[i].apply(changed)
		}
		if changed == z {
			continue
		}
		if scale == 0 { // asked for before h is written: h may be x
			scale, _ = d.Form.undo(x)
		}
		addScaled(h, float32((float64(changed)-float64(z))*scale*float64(factor)), d.Row(f))
	}
}

// value finds a feature in a code, 0 where it is not active.
func value(code []Feature, f int) float32 {
	i, ok := slices.BinarySearchFunc(code, f, func(z Feature, f int) int { return int(z.Index) - f })
	if !ok {
		return 0
	}
	return code[i].Value
}
