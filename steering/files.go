// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"os"
	"slices"

	"github.com/trimtab/trimtab/steering/rules"
)

// Files returns every file and folder that a hook was read from: those of its spec, and what those name in turn. A folder stands for all that lies in it.
func Files(h Hook) []string {
	var out []string
	add := func(path string) {
		if path != "" && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	spec := h.Spec()
	for _, src := range spec.Sources {
		add(src.Path)
		if spec.dictionary() {
			add(src.Family) // labels
		}
	}
	if deeper, ok := h.(interface{ Files() []string }); ok {
		for _, path := range deeper.Files() {
			add(path)
		}
	}
	return out
}

// Files returns what the program names: its concepts, the dictionary of those, and the files of its actions.
func (r *Reasoning) Files() []string {
	var out []string
	if r.program.Concepts != "" {
		out = append(out, from(r.folder, r.program.Concepts))
	}
	switch {
	case r.program.Dictionary != "":
		out = append(out, from(r.folder, r.program.Dictionary))
	case r.set.DictionaryPath() != "":
		out = append(out, r.set.DictionaryPath())
	}
	for i := range r.program.Rules {
		for _, a := range r.program.Rules[i].Actions {
			if (a.Kind == rules.AddVector || a.Kind == rules.SetFeature) && a.File != "" {
				out = append(out, from(r.folder, a.File))
			}
		}
	}
	return slices.DeleteFunc(out, func(path string) bool {
		_, err := os.Stat(path)
		return err != nil // concepts that were made in memory
	})
}
