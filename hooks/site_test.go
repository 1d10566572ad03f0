// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"errors"
	"testing"
)

// TestSiteSpellings is the table of names: short, TransformerLens, site.
func TestSiteSpellings(t *testing.T) {
	for _, tc := range []struct {
		short, lens string
		site        Site
	}{
		{"embeddings", "hook_embed", Once(Embeddings)},
		{"resid_pre.0", "blocks.0.hook_resid_pre", At(ResidPre, 0)},
		{"attn_z.3", "blocks.3.attn.hook_z", At(AttnZ, 3)},
		{"attn_out.3", "blocks.3.attn.hook_out", At(AttnOut, 3)},
		{"attn_post.3", "blocks.3.hook_attn_out", At(AttnPost, 3)},
		{"resid_mid.12", "blocks.12.hook_resid_mid", At(ResidMid, 12)},
		{"mlp_in.1", "blocks.1.mlp.hook_in", At(MLPIn, 1)},
		{"mlp_act.1", "blocks.1.mlp.hook_post", At(MLPAct, 1)},
		{"router_logits.7", "", At(RouterLogits, 7)},
		{"expert_ids.7", "", At(ExpertIDs, 7)},
		{"router_weights.7", "", At(RouterWeights, 7)},
		{"mlp_out.1", "blocks.1.mlp.hook_out", At(MLPOut, 1)},
		{"mlp_post.1", "blocks.1.hook_mlp_out", At(MLPPost, 1)},
		{"resid_post.10", "blocks.10.hook_resid_post", At(ResidPost, 10)},
		{"resid_post.-1", "blocks.-1.hook_resid_post", At(ResidPost, -1)},
		{"final_norm", "", Once(FinalNorm)},
		{"logits", "", Once(Logits)},
	} {
		t.Run(tc.short, func(t *testing.T) {
			got, err := ParseSite(tc.short)
			if err != nil || got != tc.site {
				t.Fatalf("ParseSite(%q) = %v, %v, want %v", tc.short, got, err, tc.site)
			}
			if got.String() != tc.short {
				t.Errorf("String() = %q, want %q", got.String(), tc.short)
			}
			if got.TransformerLens() != tc.lens {
				t.Errorf("TransformerLens() = %q, want %q", got.TransformerLens(), tc.lens)
			}
			if tc.lens == "" {
				return
			}
			if got, err := ParseSite(tc.lens); err != nil || got != tc.site {
				t.Errorf("ParseSite(%q) = %v, %v, want %v", tc.lens, got, err, tc.site)
			}
		})
	}
}

func TestParseSiteRefuses(t *testing.T) {
	for _, name := range []string{
		"", ".", "resid_post", "resid_post.", "resid_post.x", "resid_post.1.2", "resid_post.1-2", "resid_post.*", "Resid_post.1",
		"logits.1", "embeddings.0", "blocks..hook_resid_post", "blocks.1", "blocks.1.hook_resid_pos", "hook_resid_post", "resid_post.99999999999999999999",
	} {
		if got, err := ParseSite(name); err == nil {
			t.Errorf("ParseSite(%q) = %v, want an error", name, got)
		}
	}
	_, err := ParseSite("residpost.1")
	var site *SiteError
	if !errors.As(err, &site) || site.Name != "residpost.1" {
		t.Errorf("ParseSite(residpost.1): %v, want a *SiteError with the name", err)
	}
}

func TestPointsInForwardOrder(t *testing.T) {
	points := Points()
	if len(points) != 17 {
		t.Fatalf("len(Points()) = %d, want 17", len(points))
	}
	for i := 1; i < len(points); i++ {
		a, b := at(points[i-1]), at(points[i])
		if Compare(a, b) >= 0 {
			t.Errorf("Compare(%s, %s) = %d, want < 0", a, b, Compare(a, b))
		}
	}
	if Compare(At(ResidPost, 0), At(ResidPre, 1)) >= 0 || Compare(Once(FinalNorm), At(ResidPost, 1000)) <= 0 || Compare(Once(Embeddings), At(ResidPre, 0)) >= 0 {
		t.Error("blocks do not follow each other in forward order")
	}
}

func at(p Point) Site {
	if p.PerLayer() {
		return At(p, 5)
	}
	return Once(p)
}

func FuzzParseSite(f *testing.F) {
	for _, seed := range []string{"resid_post.10", "blocks.-1.hook_resid_post", "logits", "hook_embed", "*.3", "*.", "resid_post.-5--1", "blocks.*.hook_z"} {
		f.Add(seed)
	}
	sh := testShape()
	f.Fuzz(func(t *testing.T, name string) {
		if s, err := ParseSite(name); err == nil {
			if again, err := ParseSite(s.String()); s.Layer != NoLayer && (err != nil || again != s) {
				t.Errorf("ParseSite(%q) = %v, %v, want %v as from %q", s, again, err, s, name)
			}
		}
		if sites, err := sh.Select(name); err == nil && len(sites) == 0 {
			t.Errorf("Select(%q) chose nothing and did not say so", name)
		}
	})
}
