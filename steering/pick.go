// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// tensorName is a tensor's name taken apart into a family and a block.
type tensorName struct {
	family string
	layer  int
	format string // prints the name of the family's tensor of one block
}

// splitTensor reads FAMILY.N and layerN.FAMILY; other names stand for themselves. N has no sign and no leading zero.
func splitTensor(name string) (tensorName, bool) {
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		if layer, ok := layerNumber(name[dot+1:]); ok {
			return tensorName{name[:dot], layer, escape(name[:dot]) + ".%d"}, true
		}
	}
	head, family, found := strings.Cut(name, ".")
	if digits, isLayer := strings.CutPrefix(head, "layer"); found && isLayer && family != "" {
		if layer, ok := layerNumber(digits); ok {
			return tensorName{family, layer, "layer%d." + escape(family)}, true
		}
	}
	return tensorName{}, false
}

func layerNumber(digits string) (int, bool) {
	n, err := strconv.ParseUint(digits, 10, 16)
	return int(n), err == nil && strconv.Itoa(int(n)) == digits
}

func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// pick decides which of a file's tensors make the vector: layers by name, or one whole name.
func (v *Vector) pick(names []string, want string) (map[string]int, error) {
	if slices.Contains(names, want) {
		return v.pickOne(want), nil
	}
	families, loose := map[string]tensorName{}, []string{}
	for _, name := range names {
		t, ok := splitTensor(name)
		if !ok {
			loose = append(loose, name)
			continue
		}
		if other, seen := families[t.family]; seen && other.format != t.format {
			return nil, v.fault(name, "the family's tensors named one way", fmt.Sprintf(other.format, other.layer))
		}
		families[t.family] = t
	}
	choices := append(slices.Sorted(maps.Keys(families)), loose...)
	if _, ok := families["direction"]; ok && want == "" {
		want = "direction"
	}
	if want == "" && len(choices) == 1 {
		want = choices[0]
	}
	if slices.Contains(loose, want) {
		return v.pickOne(want), nil
	}
	if t, ok := families[want]; ok {
		return v.pickFamily(names, t), nil
	}
	if want != "" {
		return nil, v.fault("", "a family or tensor of "+list(choices), strconv.Quote(want))
	}
	return nil, v.fault("", "a choice as FILE:NAME", list(choices))
}

// noLayer marks a tensor that belongs to no block.
const noLayer = -1

func (v *Vector) pickOne(name string) map[string]int {
	t, ok := splitTensor(name)
	if !ok {
		v.Family = name
		return map[string]int{name: noLayer}
	}
	v.Family, v.tensorFormat = t.family, t.format
	return map[string]int{name: t.layer}
}

// pickFamily takes the tensors that are named as t is.
func (v *Vector) pickFamily(names []string, t tensorName) map[string]int {
	v.Family, v.tensorFormat = t.family, t.format
	chosen := map[string]int{}
	for _, name := range names {
		if other, ok := splitTensor(name); ok && other.format == t.format {
			chosen[name] = other.layer
		}
	}
	return chosen
}

// list names up to eight things.
func list(names []string) string {
	if len(names) == 0 {
		return "no tensors"
	}
	more := ""
	if len(names) > 8 {
		names, more = names[:8], fmt.Sprintf(" and %d more", len(names)-8)
	}
	return strings.Join(names, ", ") + more
}
