// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
)

func TestWhere(t *testing.T) {
	place := func(layer int, tensors ...string) steering.Place {
		return steering.Place{Site: hooks.At(hooks.ResidPost, layer), Tensors: tensors}
	}
	for _, tc := range []struct {
		name   string
		places []steering.Place
		want   string
	}{
		{"one", []steering.Place{place(14, "direction.14")}, "direction.14 -> resid_post.14"},
		{"a run", []steering.Place{place(9, "v.9"), place(10, "v.10"), place(11, "v.11")}, "v.9 -> resid_post.9 ... v.11 -> resid_post.11 (3 blocks)"},
		{"a gap", []steering.Place{place(3, "v.3"), place(5, "v.5")}, "v.3 -> resid_post.3, v.5 -> resid_post.5"},
		{"one direction at many", []steering.Place{place(3, "v.7"), place(4, "v.7")}, "v.7 -> resid_post.3 ... v.7 -> resid_post.4 (2 blocks)"},
		{"shifted directions are all shown", []steering.Place{place(3, "v.4"), place(4, "v.5")}, "v.4 -> resid_post.3, v.5 -> resid_post.4"},
		{"two directions", []steering.Place{place(3, "a.3", "b.3"), place(4, "a.4", "b.4")}, "a.3, b.3 -> resid_post.3 ... a.4, b.4 -> resid_post.4 (2 blocks)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := (&Loaded{Places: tc.places}).Where(); got != tc.want {
				t.Errorf("Where() = %s, want %s", got, tc.want)
			}
		})
	}
}
