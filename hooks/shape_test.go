// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// testShape is a model of 12 blocks of width 8 without resid_mid.
func testShape() *Shape {
	sh := &Shape{Model: "tiny", Family: "llama", Layers: 12, Width: 8, Widths: map[Site]int{}, Missing: map[Site]string{}}
	sh.Widths[Once(Embeddings)] = 8
	sh.Widths[Once(Logits)] = 32
	for i := range sh.Layers {
		sh.Widths[At(ResidPre, i)] = 8
		sh.Widths[At(MLPAct, i)] = 16
		sh.Widths[At(ResidPost, i)] = 8
		sh.Missing[At(ResidMid, i)] = "the block is parallel"
	}
	sh.Widths[At(ExpertIDs, 3)] = 2
	return sh
}

func TestSelect(t *testing.T) {
	for _, tc := range []struct{ list, want string }{
		{"resid_post.10", "resid_post.10"},
		{"resid_post.-1", "resid_post.11"},
		{"blocks.-1.hook_resid_post", "resid_post.11"},
		{"resid_post.3-5", "resid_post.3 resid_post.4 resid_post.5"},
		{"resid_post.5-5", "resid_post.5"},
		{"resid_post.-3--1", "resid_post.9 resid_post.10 resid_post.11"},
		{"resid_post.10--1", "resid_post.10 resid_post.11"},
		{"blocks.3-4.hook_resid_pre", "resid_pre.3 resid_pre.4"},
		{"mlp_act.*", "mlp_act.0 mlp_act.1 mlp_act.2 mlp_act.3 mlp_act.4 mlp_act.5 mlp_act.6 mlp_act.7 mlp_act.8 mlp_act.9 mlp_act.10 mlp_act.11"},
		{"*.3", "resid_pre.3 expert_ids.3 mlp_act.3 resid_post.3"},
		{"resid_*.0-1", "resid_pre.0 resid_post.0 resid_pre.1 resid_post.1"},
		{"resid_p?e.-1", "resid_pre.11"},
		{"logits, resid_post.1,embeddings", "embeddings resid_post.1 logits"},
		{"resid_post.1,resid_post.0-1,blocks.1.hook_resid_post", "resid_post.0 resid_post.1"},
		{"hook_embed", "embeddings"},
	} {
		t.Run(tc.list, func(t *testing.T) {
			sites, err := testShape().Select(tc.list)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range sites {
				names = append(names, s.String())
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("Select(%q) = %s, want %s", tc.list, got, tc.want)
			}
		})
	}
	if sites, err := testShape().Select("blocks.*.hook_resid_post"); err != nil || len(sites) != 12 {
		t.Errorf("Select(blocks.*.hook_resid_post) = %v, %v, want 12 sites", sites, err)
	}
}

func TestSelectRefuses(t *testing.T) {
	for _, tc := range []struct{ list, say string }{
		{"", "no such point"},
		{"resid_post.12", "blocks 0 to 11"},
		{"resid_post.-13", "blocks 0 to 11"},
		{"resid_post.10-12", "between 0 and 11"},
		{"resid_post.5-3", "rising order"},
		{"resid_post.3-x", "want layers"},
		{"resid_post.3-", "want layers"},
		{"resid_mid.3", "the block is parallel"},
		{"resid_mid.*", "selects no site"},
		{"attn_z.1", "no such site"},
		{"logits.*", "no such point"},
		{"res*d[.1", "syntax error"},
		{"*.", "want layers"},
		{"resid_post.1,,", "no such point"},
		{"residpost.*", "known points: embeddings, resid_pre.LAYER"},
	} {
		t.Run(tc.list, func(t *testing.T) {
			sites, err := testShape().Select(tc.list)
			if err == nil {
				t.Fatalf("Select(%q) = %v, want an error that says %q", tc.list, sites, tc.say)
			}
			if !strings.Contains(err.Error(), tc.say) {
				t.Errorf("Select(%q): %v, want it to say %q", tc.list, err, tc.say)
			}
		})
	}
}

func TestResolveNamesTheModel(t *testing.T) {
	_, err := testShape().Resolve(At(ResidMid, -2))
	var site *SiteError
	if !errors.As(err, &site) || site.Name != "resid_mid.10" || site.Model != "tiny" || site.Reason != "the block is parallel" {
		t.Errorf("Resolve(resid_mid.-2): %#v, want the resolved name, the model and the reason", err)
	}
	if width, err := testShape().SiteWidth(At(MLPAct, -1)); err != nil || width != 16 {
		t.Errorf("SiteWidth(mlp_act.-1) = %d, %v, want 16", width, err)
	}
}

func TestWhere(t *testing.T) {
	type row = Row
	all := []row{{0, Prefill, true}, {3, Prefill, false}, {7, Prefill, false}, {8, Decode, false}, {9, Decode, true}}
	for _, tc := range []struct {
		where Where
		text  string
		want  []bool
	}{
		{Where{}, "", []bool{true, true, true, true, true}},
		{Where{Phases: Prefill | Decode}, "", []bool{true, true, true, true, true}},
		{Where{Phases: Prefill}, "[prefill]", []bool{true, true, true, false, false}},
		{Where{Phases: Decode}, "[decode]", []bool{false, false, false, true, true}},
		{Where{From: 3, To: 8}, "[pos=3-7]", []bool{false, true, true, false, false}},
		{Where{From: 3}, "[pos=3-]", []bool{false, true, true, true, true}},
		{Where{From: 0, To: 1}, "[pos=0]", []bool{true, false, false, false, false}},
		{Where{Special: true}, "[special]", []bool{true, false, false, false, true}},
		{Where{Phases: Decode, From: 9, To: 10, Special: true}, "[decode,pos=9,special]", []bool{false, false, false, false, true}},
	} {
		t.Run(tc.text, func(t *testing.T) {
			var got []bool
			for _, r := range all {
				got = append(got, tc.where.Selects(r))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%+v selects %v, want %v", tc.where, got, tc.want)
			}
			if tc.where.String() != tc.text {
				t.Errorf("String() = %q, want %q", tc.where.String(), tc.text)
			}
		})
	}
}
