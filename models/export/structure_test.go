// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/onnx"
)

// found opens a model and returns the value of each site.
func found(t *testing.T, path string) (*Model, map[Place]site) {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	out := map[Place]site{}
	for _, s := range m.Main.sites {
		out[s.place] = s
	}
	return m, out
}

func TestSitesOfShapes(t *testing.T) {
	serial := map[string]string{
		"resid_pre": "embedded", "attn_z": "b0.attn.z", "attn_out": "b0.attn", "attn_post": "b0.attn", "resid_mid": "b0.mid", "mlp_in": "b0.norm2",
		"mlp_act": "b0.mlp.act", "mlp_out": "b0.mlp", "mlp_post": "b0.mlp", "resid_post": "b0.out",
	}
	with := func(changes map[string]string) map[string]string {
		out := map[string]string{}
		for k, v := range serial {
			out[k] = v
		}
		for k, v := range changes {
			out[k] = v
		}
		return out
	}
	for _, c := range []struct {
		name    string
		draw    func(d *drawing)
		want    map[string]string // values of block 0; "" is missing
		reasons map[string]string
	}{
		{"serial", func(d *drawing) { d.serial(2) }, serial, map[string]string{"router_logits": "dense"}},
		{"scaled embeddings and casts on the stream", func(d *drawing) {
			x := d.node("scaled", "Mul", d.embed(), d.number("factor", 3))
			cast := d.node("cast", "Cast", x)
			d.attr("to", 1)
			x = d.node("b0.mid", "Add", cast, d.attention("b0.attn", d.norm("b0.norm1", cast)))
			d.head(d.node("b0.out", "Add", d.mlp("b0.mlp", d.norm("b0.norm2", x)), x))
		}, with(map[string]string{"resid_pre": "scaled"}), nil},
		{"norms behind the layers and a factor", func(d *drawing) {
			x := d.embed()
			a := d.node("b0.attn.weighed", "Mul", d.norm("b0.attn.normed", d.attention("b0.attn", d.norm("b0.norm1", x))), d.number("factor", 0.5))
			x = d.node("b0.mid", "Add", x, a)
			d.head(d.node("b0.out", "Add", x, d.norm("b0.mlp.normed", d.mlp("b0.mlp", d.norm("b0.norm2", x)))))
		}, with(map[string]string{"attn_post": "b0.attn.weighed", "mlp_post": "b0.mlp.normed"}), nil},
		{"layers that read the stream itself", func(d *drawing) {
			x := d.embed()
			x = d.node("b0.mid", "Add", x, d.norm("b0.attn.normed", d.attention("b0.attn", x)))
			d.head(d.node("b0.out", "Add", x, d.norm("b0.mlp.normed", d.mlp("b0.mlp", x))))
		}, with(map[string]string{"attn_post": "b0.attn.normed", "mlp_post": "b0.mlp.normed", "mlp_in": "b0.mid"}), nil},
		{"norms on the stream", func(d *drawing) {
			x := d.embed()
			x = d.norm("b0.normed", d.node("b0.sum1", "Add", x, d.attention("b0.attn", x)))
			x = d.norm("b0.end", d.node("b0.sum2", "Add", x, d.mlp("b0.mlp", x)))
			x = d.node("b1.sum", "Add", x, d.attention("b1.attn", x))
			d.head(x)
		}, with(map[string]string{"resid_mid": "b0.normed", "resid_post": "b0.end", "mlp_in": "b0.normed"}), nil},
		{"parallel with one norm", func(d *drawing) {
			x := d.embed()
			n := d.norm("b0.norm", x)
			d.head(d.node("b0.out", "Add", d.node("b0.both", "Add", d.attention("b0.attn", n), d.mlp("b0.mlp", n)), x))
		}, with(map[string]string{"resid_mid": "", "mlp_in": "b0.norm"}), map[string]string{"resid_mid": "parallel"}},
		{"parallel with two norms", func(d *drawing) {
			x := d.embed()
			a := d.node("b0.first", "Add", x, d.attention("b0.attn", d.norm("b0.norm1", x)))
			d.head(d.node("b0.out", "Add", d.mlp("b0.mlp", d.norm("b0.norm2", x)), a))
		}, with(map[string]string{"resid_mid": ""}), map[string]string{"resid_mid": "parallel"}},
		{"experts", func(d *drawing) {
			x := d.embed()
			x = d.node("b0.mid", "Add", x, d.attention("b0.attn", d.norm("b0.norm1", x)))
			d.head(d.node("b0.out", "Add", x, d.experts("b0.mlp", d.norm("b0.norm2", x))))
		}, with(map[string]string{"mlp_act": "", "router_logits": "b0.mlp.router", "expert_ids": "b0.mlp.chosen"}), map[string]string{"mlp_act": "mixture of experts"}},
		{"no attention", func(d *drawing) {
			x := d.embed()
			d.head(d.node("b0.out", "Add", x, d.mlp("b0.mlp", d.norm("b0.norm2", x))))
		}, map[string]string{"resid_post": "", "mlp_in": ""}, nil},
		{"attention only", func(d *drawing) {
			x := d.embed()
			d.head(d.node("b0.mid", "Add", x, d.attention("b0.attn", d.norm("b0.norm1", x))))
		}, map[string]string{"resid_mid": "b0.mid", "resid_post": "b0.mid", "mlp_in": "", "attn_z": "b0.attn.z"}, map[string]string{"mlp_in": "nothing else"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrawing()
			c.draw(d)
			m, sites := found(t, d.write(t))
			for point, want := range c.want {
				if got := sites[Place{point, 0}].value; got != want {
					t.Errorf("%s is %q, want %q (%s)", point, got, want, m.Missing[Place{point, 0}])
				}
			}
			for point, want := range c.reasons {
				if got := m.Missing[Place{point, 0}]; !strings.Contains(got, want) {
					t.Errorf("%s is missing because %q, want %q", point, got, want)
				}
			}
			if s := sites[Place{"logits", Once}]; s.value != "logits" || s.width != d.vocab || m.Main.Rows != Chosen {
				t.Errorf("logits are %q of width %d, rows %d", s.value, s.width, m.Main.Rows)
			}
			if s := sites[Place{"final_norm", Once}]; s.value != "final" {
				t.Errorf("final_norm is %q", s.value)
			}
		})
	}
}

// TestRouterIsKnown: masks need to know how many experts a token uses, and what chooses them.
func TestRouterIsKnown(t *testing.T) {
	d := newDrawing()
	x := d.embed()
	x = d.node("b0.mid", "Add", x, d.attention("b0.attn", d.norm("b0.norm1", x)))
	d.head(d.node("b0.out", "Add", x, d.experts("b0.mlp", d.norm("b0.norm2", x))))
	m, _ := found(t, d.write(t))
	if got, want := m.Routers()[0], (Router{Experts: 4, Used: 2, Node: "TopK"}); got != want {
		t.Errorf("router of block 0 = %+v, want %+v", got, want)
	}
}

// TestSharedInputIsSplit holds that what stands at mlp_in is seen by the feed-forward layer alone where attention reads the same norm.
func TestSharedInputIsSplit(t *testing.T) {
	d := newDrawing()
	x := d.embed()
	n := d.norm("norm", x)
	d.head(d.node("out", "Add", d.node("both", "Add", d.attention("attn", n), d.mlp("mlp", n)), x))
	m, _ := found(t, d.write(t))
	b, err := m.Main.Build(func(g *onnx.Graph, point string, _ int, value string, _ int, _ string) string {
		if point != "mlp_in" {
			return value
		}
		return g.Add("Edit", "test", []string{value})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range b.Nodes {
		reads := slices.Contains(n.Inputs, "norm")
		switch {
		case strings.HasPrefix(n.Outputs[0], "attn.") && n.Op == "MatMul" && strings.HasSuffix(n.Outputs[0], ".q") && !reads:
			t.Errorf("attention reads %v", n.Inputs)
		case (n.Outputs[0] == "mlp.gate" || n.Outputs[0] == "mlp.up") && reads:
			t.Errorf("the feed-forward layer reads %v", n.Inputs)
		}
	}
}

// TestManifestNamesTheSameValues compares what is found in the fixtures with what was measured there: the values that equal the reference.
func TestManifestNamesTheSameValues(t *testing.T) {
	manifests, err := filepath.Glob(filepath.Join(fixture.Path(t, "fixtures/onnx"), "*", "manifest.json"))
	if err != nil || len(manifests) < 10 {
		t.Fatalf("%d manifests, %v", len(manifests), err)
	}
	for _, path := range manifests {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			var about struct {
				Points map[string]struct {
					Value *string
					Also  []string
					Made  string   `json:"made_by"`
					Sum   []string `json:"inputs_summed"`
				} `json:"hook_points"`
			}
			data, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(data, &about)
			}
			if err != nil || len(about.Points) < 7 {
				t.Fatalf("%d points, %v", len(about.Points), err)
			}
			m, sites := found(t, filepath.Dir(path))
			for _, s := range sites {
				p, ok := about.Points[s.place.name()]
				switch {
				case !ok:
				case p.Value != nil && s.value != *p.Value && !slices.Contains(p.Also, s.value):
					t.Errorf("%s is %s, want %s", s.place.name(), s.value, *p.Value)
				case p.Value == nil && !slices.Equal(m.Main.node(s.value).Inputs, p.Sum):
					t.Errorf("%s is the sum of %q, want %q", s.place.name(), m.Main.node(s.value).Inputs, p.Sum)
				}
				delete(about.Points, s.place.name())
			}
			if len(about.Points) > 0 {
				t.Errorf("not found: %v", about.Points)
			}
		})
	}
}

// TestSamplesOfGenai reads the decoders that onnxruntime-genai tests itself with: stubs, which have no stream to find, and one real model.
func TestSamplesOfGenai(t *testing.T) {
	const dir = "data/microsoft+onnxruntime-genai/test/models/"
	for _, c := range []struct {
		path     string
		sites    int
		failure  string
		reason   string // why resid_post.0 is missing
		families string
	}{
		{"hf-internal-testing/tiny-random-gpt2-fp32", 5*10 + 3, "", "", "gpt2"},
		{"hf-internal-testing/tiny-random-lfm2-fp32", 2, "", "no sum of the graph adds what attention computes", "lfm2"},
		{"engine/dummy-decoder", 0, "", "no way was found from a table read by token ids to the logits", "gpt2"},
		{"engine/synthetic-paged", 0, `"cumulative_sequence_lengths"`, "", ""},
	} {
		t.Run(c.path, func(t *testing.T) {
			m, err := Open(fixture.Path(t, dir+c.path))
			if c.failure != "" {
				if err == nil || !strings.Contains(err.Error(), c.failure) {
					t.Errorf("Open = %v, want an error with %s", err, c.failure)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if n := len(m.Sites()); n != c.sites || m.Family != c.families {
				t.Errorf("%d sites of %s, want %d of %s", n, m.Family, c.sites, c.families)
			}
			if got := m.Missing[Place{"resid_post", 0}]; !strings.Contains(got, c.reason) || (c.reason == "") != (got == "") {
				t.Errorf("resid_post.0 is missing because %q, want %q", got, c.reason)
			}
		})
	}
}

// name is the site as hooks spells it.
func (p Place) name() string {
	if p.Layer == Once {
		return p.Point
	}
	return p.Point + "." + string(rune('0'+p.Layer))
}
