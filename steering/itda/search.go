// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"cmp"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Match is an atom whose source holds what was looked for.
type Match struct {
	Index int
	dictionary.Atom
	InToken bool // the text ends in the atom's own token rather than before it
}

// Search returns the atoms whose source text holds a text, whatever its case: those first in whose own token it ends, of these the shorter tokens, then by index.
func Search(d *dictionary.Dictionary, text string) []Match {
	want := strings.ToLower(text)
	var out []Match
	for i, a := range d.Atoms {
		whole := strings.ToLower(a.Context + a.Token)
		at := strings.LastIndex(whole, want)
		if at < 0 {
			continue
		}
		out = append(out, Match{i, a, at+len(want) > len(strings.ToLower(a.Context))})
	}
	slices.SortStableFunc(out, func(a, b Match) int {
		switch {
		case a.InToken != b.InToken && a.InToken:
			return -1
		case a.InToken != b.InToken:
			return 1
		case a.InToken:
			return cmp.Compare(len(a.Token), len(b.Token))
		}
		return 0
	})
	return out
}
