// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/hooks"
)

// shapeOf is a model of four blocks of width 3 that has every point.
func shapeOf(family string) *hooks.Shape {
	sh := &hooks.Shape{Model: "tiny", Family: family, Layers: 4, Width: 3, Widths: map[hooks.Site]int{}}
	for i := range sh.Layers {
		for _, p := range hooks.Points() {
			if p.PerLayer() {
				sh.Widths[hooks.At(p, i)] = sh.Width
			}
		}
	}
	return sh
}

// TestReadsFilesOfOtherTools reads files that NumPy wrote, and files in torch's format that Python's own pickle and zip modules wrote.
func TestReadsFilesOfOtherTools(t *testing.T) {
	for _, c := range []struct {
		spec string
		want map[string][][]float32 // by site
		warn string
	}{
		{"vector:cast.svec", map[string][][]float32{"resid_pre.1": {{1, 2, 3}}, "resid_pre.2": {{4, 5, 6}}}, "measures the direction of layer N at the output"},
		{"vector:cast.svec@resid_post.2", map[string][][]float32{"resid_post.2": {{4, 5, 6}}}, ""},
		{"vector:cast.svec:direction.1@resid_post.3", map[string][][]float32{"resid_post.3": {{1, 2, 3}}}, ""},
		{"vector:repe.npy", map[string][][]float32{"resid_post.3": {{-1, -2, -3}}, "resid_post.2": {{4, 5, 6}}}, ""},
		{"vector:repe.npy@resid_post.3", map[string][][]float32{"resid_post.3": {{-1, -2, -3}}}, ""},
		{"vector:rows.npy", map[string][][]float32{"resid_post.0": {{1, 2, 3}}, "resid_post.1": {{4, 5, 6}}}, "row N of the file"},
		{"rotate:angular.npy=30", map[string][][]float32{
			"mlp_in.0": {{1, 0, 0}, {.5, 2, 0}}, "mlp_in.1": {{1, 0, 0}, {.5, 2, 0}}, "mlp_in.2": {{1, 0, 0}, {.5, 2, 0}},
			"attn_in.1": {{1, 0, 0}, {.5, 2, 0}}, "attn_in.2": {{1, 0, 0}, {.5, 2, 0}},
		}, ""},
		{"vector:angular.npy:second_direction@resid_post.1", map[string][][]float32{"resid_post.1": {{.5, 2, 0}}}, ""},
		{"vector:steering-vectors.pt", map[string][][]float32{"mlp_out.1": {{1, 2, 3}}, "mlp_out.2": {{4, 5, 6}}}, ""},
		{"vector:vec_layer_2_tiny.pt[answer]", map[string][][]float32{"resid_post.2": {{1, 2, 3}}}, "says layer 2"},
		{"vector:loose.pt@resid_pre.1-2", map[string][][]float32{"resid_pre.1": {{1, 2, 3}}, "resid_pre.2": {{1, 2, 3}}}, ""},
		{"vector:layers.pt", map[string][][]float32{"resid_post.0": {{1, 2, 3}}, "resid_post.3": {{4, 5, 6}}}, ""},
		{"vector:mean_diffs.pt:pos-2.1", map[string][][]float32{"resid_pre.1": {{4, 5, 6}}}, ""},
		{"vector:mean_diffs.pt:pos-1@resid_pre.3", map[string][][]float32{"resid_pre.3": {{22, 23, 24}}}, ""},
		{"vector:refusal/direction.pt", map[string][][]float32{"resid_pre.1": {{0, 3, 4}}}, "says layer 1"},
		{"ablate:refusal/direction.pt@resid_pre.0", map[string][][]float32{"resid_pre.0": {{0, 3, 4}}}, ""},
	} {
		kind, file, _ := strings.Cut(c.spec, ":")
		h, err := Load(kind + ":testdata/vectors/" + file)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		places, err := h.Sites(shapeOf("llama"))
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		got := map[string][][]float32{}
		for _, p := range places {
			got[p.Site.String()] = p.directions
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.spec, d)
		}
		if c.warn != "" && !slices.ContainsFunc(h.Warnings(), func(w string) bool { return strings.Contains(w, c.warn) }) {
			t.Errorf("%s: warnings %q, want one that says %q", c.spec, h.Warnings(), c.warn)
		}
	}
}

func TestRefusesFilesOfOtherTools(t *testing.T) {
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ spec, say string }{
		{"vector:" + write("a.svec", `{"directions": {}}`), "one direction or more"},
		{"vector:" + write("b.svec", `{"directions": {"last": [1]}}`), "layers as numbers"},
		{"vector:" + write("c.svec", `{"directions": {"1": [0, 0]}}`), "the zero vector"},
		{"vector:" + write("d.svec", `{"directions": {"1": [1], "2": [1, 2]}}`), "the width of the directions before it"},
		{"vector:" + write("e.svec", `{"directions": 3}`), "an object with directions by layer"},
		{"vector:testdata/vectors/mean_diffs.pt", "pos-1, pos-2"},
		{"vector:testdata/vectors/angular.npy", "first_direction, second_direction"},
		{"vector:testdata/vectors/layers.pt:direction.2", "direction.N with N of [0 3]"},
	} {
		if _, err := Load(c.spec); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want it to say %q", c.spec, err, c.say)
		}
	}
	h, err := Load("vector:testdata/vectors/cast.svec")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Bind(shapeOf("gpt2")); err == nil || !strings.Contains(err.Error(), "llama") {
		t.Errorf("another architecture: %v, want it refused", err)
	}
	short := shapeOf("llama")
	short.Layers = 1
	if h, err = Load("vector:testdata/vectors/repe.npy"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Bind(short); err == nil || !strings.Contains(err.Error(), "the model has 1 blocks") {
		t.Errorf("a model with fewer blocks: %v, want it refused", err)
	}
}

// FuzzReadVector holds that no file makes the reader panic, and that what it accepts has finite directions of one width.
func FuzzReadVector(f *testing.F) {
	entries, err := filepath.Glob("testdata/vectors/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range entries {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "v")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := ReadVector(Source{Path: path})
		if err != nil {
			return
		}
		for _, layer := range v.Layers() {
			if d := v.Direction(layer); len(d) != v.Width() || !(dot.Length(d) > 0) {
				t.Errorf("layer %d: %s", layer, fmt.Sprint(d))
			}
		}
	})
}
