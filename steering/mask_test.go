// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/experts"
)

// mixtureShape is a model of two blocks with four experts each, of which a token uses two.
func mixtureShape() *hooks.Shape {
	sh := &hooks.Shape{Model: "tiny", Layers: 2, Widths: map[hooks.Site]int{}, Routers: map[int]*hooks.Router{}}
	for i := range sh.Layers {
		sh.Widths[hooks.At(hooks.RouterLogits, i)], sh.Widths[hooks.At(hooks.ExpertIDs, i)], sh.Widths[hooks.At(hooks.RouterWeights, i)] = 4, 2, 2
		sh.Routers[i] = &hooks.Router{Experts: 4, Used: 2}
	}
	return sh
}

func TestMasking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my mask.json")
	if err := os.WriteFile(path, []byte(`{"layer":1,"expert":3,"mode":"force-max"} {"layer":1,"expert":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ spec, name, sites string }{
		{"experts:off-drop=0/1,-1/2*0.5[decode]", "off-drop=0/1,-1/2", "off-drop=0/1 -> router_logits.0, off-drop=-1/2 -> router_logits.1"},
		{"experts:" + path, "my-mask", "force-max=1/3;off-drop=1/2 -> router_logits.1"},
		{"experts:off-drop=0/0,0/1,1/0,1/1,1/2", "off-drop:5", "off-drop=0/0,0/1 -> router_logits.0, off-drop=1/0,1/1,1/2 -> router_logits.1"},
	} {
		h, err := Load(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		places, err := h.Sites(mixtureShape())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range places {
			got = append(got, p.String())
		}
		if sites := strings.Join(got, ", "); h.Name() != c.name || sites != c.sites {
			t.Errorf("%s: name %s, sites %s, want %s, %s", c.spec, h.Name(), sites, c.name, c.sites)
		}
		spec := h.Spec()
		again, err := Load(spec.String())
		if err != nil {
			t.Fatalf("%s: its spec %s: %v", c.spec, spec.String(), err)
		}
		if a, b := h.(*Masking).Mask().String(), again.(*Masking).Mask().String(); a != b || again.Strength().Value() != h.Strength().Value() {
			t.Errorf("%s: its spec %s is another mask: %s, %s", c.spec, spec.String(), a, b)
		}
	}
}

func TestMaskingBinds(t *testing.T) {
	h, err := Load("experts:off-drop=0/1;force-max=0/2*0.5[decode]")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := h.Bind(mixtureShape())
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Edits) != 2 || plan.Edits[0].Op != hooks.Raise || plan.Edits[1].Op != hooks.Route {
		t.Fatalf("edits: %+v", plan.Edits)
	}
	h.Strength().Set(0.25)
	for _, e := range plan.Edits {
		if e.Strength.Value() != 0.25 || e.Where.Phases != hooks.Decode {
			t.Errorf("edit %s: strength %g in %v", e.Op, e.Strength.Value(), e.Where)
		}
	}
}

func TestMaskingRefuses(t *testing.T) {
	var mask *hooks.MaskError
	var site *hooks.SiteError
	for spec, as := range map[string]any{"experts:off-drop=0/4": &mask, "experts:off-drop=2/0": &site} {
		h, err := Load(spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Bind(mixtureShape()); !errors.As(err, as) {
			t.Errorf("%s: %v, want a %T", spec, err, as)
		}
	}
	broken := filepath.Join(t.TempDir(), "m.json")
	if err := os.WriteFile(broken, []byte(`{"layer":1}{`), 0o600); err != nil {
		t.Fatal(err)
	}
	var file *experts.FileError
	if _, err := Load("experts:" + broken); !errors.As(err, &file) || file.Path != broken {
		t.Errorf("a broken file: %v, want a *experts.FileError with its path", err)
	}
	if _, err := Load("experts:off-drop=0/1@resid_post.1"); err == nil || !strings.Contains(err.Error(), "@SITES") {
		t.Errorf("a mask with sites: %v", err)
	}
}

func TestWatchedExperts(t *testing.T) {
	h, err := Load("experts:watch[decode]")
	if err != nil {
		t.Fatal(err)
	}
	places, err := h.Sites(mixtureShape())
	if err != nil || len(places) != 2 {
		t.Errorf("sites: %v, %v, want one a block", places, err)
	}
	plan, err := h.Bind(mixtureShape())
	if err != nil || len(plan.Taps) != 4 || plan.Taps[0].Where.Phases != hooks.Decode {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	dense := &hooks.Shape{Model: "dense", Layers: 1}
	if _, err := h.Sites(dense); err == nil {
		t.Error("experts of a dense model are watched")
	}
}
