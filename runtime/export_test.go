// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

// exportCase is an export of the fixtures with the values to hold it against.
type exportCase struct {
	name, path string
	manifest   struct {
		Model  string
		Points map[string]any `json:"hook_points"` // which graph value is each residual
	}
	ref   reference
	limit float64 // of the deviation, in standard deviations
}

// quantised tells whether the export multiplies in 8 bits.
func (c *exportCase) quantised() bool { return strings.HasSuffix(c.name, "int4") }

func exportCases(t *testing.T) []exportCase {
	t.Helper()
	var out []exportCase
	for _, path := range glob(t, filepath.Join(fixture.Path(t, "fixtures/onnx"), "*", "model.onnx")) {
		dir := filepath.Dir(path)
		c := exportCase{name: filepath.Base(dir), path: dir}
		data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &c.manifest); err != nil {
			t.Fatal(err)
		}
		if c.quantised() {
			c.ref = openReference(t, filepath.Join(dir, "dequantised.safetensors"))
			// Activations are rounded to 8 bits: the fixtures' README measured 0.197 at most against the same weights; a quarter more for another processor's sums.
			c.limit = 0.25
		} else {
			c.ref = openReference(t, fixture.Path(t, "fixtures/models/"+c.manifest.Model+"/reference.safetensors"))
			// Float32 in another order: the fixtures' own limit for these models. Measured: 9e-6.
			c.limit = 1e-4
		}
		out = append(out, c)
	}
	return out
}

func TestExportsMatchTransformers(t *testing.T) {
	for _, c := range exportCases(t) {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, c.path, Config{})
			for point := range c.manifest.Points {
				if s, err := hooks.ParseSite(point); err != nil || m.shape.Widths[s] == 0 {
					t.Errorf("%s is in the manifest and was not found: %v", point, m.shape.Missing[s])
				}
			}
			for _, p := range []string{"p0.", "p1."} {
				compareExport(t, m, &c, p)
				if !c.quantised() {
					compareGreedy(t, m, c.ref, p)
				}
			}
		})
	}
}

func compareExport(t *testing.T, m *Model, c *exportCase, prefix string) {
	t.Helper()
	var sites []hooks.Site
	for _, x := range c.ref.file.Tensors {
		name, ok := strings.CutPrefix(x.Name, prefix)
		if s, err := hooks.ParseSite(name); ok && err == nil {
			sites = append(sites, s)
		}
	}
	got, err := m.Trace(t.Context(), c.ref.ids(prefix+"input_ids"), TraceOptions{Sites: sites})
	if err != nil || len(got) < 7 {
		t.Fatalf("%d sites, %v", len(got), err)
	}
	for _, x := range got {
		if d := deviation(x.Data, c.ref.floats(prefix+x.Site.String())); !(d <= c.limit) {
			t.Errorf("%s%s is %.2e standard deviations off, want at most %.1e", prefix, x.Site, d, c.limit)
		}
	}
}

// TestExportsAreSteered adds a vector to residuals: the value there changes by exactly that vector, and the logits change.
func TestExportsAreSteered(t *testing.T) {
	for _, c := range exportCases(t) {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, c.path, Config{})
			residuals := []hooks.Site{hooks.At(hooks.ResidPre, 0), hooks.At(hooks.ResidMid, 0), hooks.At(hooks.ResidPost, 1), hooks.At(hooks.ResidPost, 2)}
			before, v := traceAll(t, m, append(residuals, hooks.Once(hooks.Logits))), direction(m.shape.Width, 4)
			for i, site := range residuals {
				e := hooks.Edit{Name: "v", Site: site, Op: hooks.Add, Directions: [][]float32{v}, Strength: hooks.NewKnob(2)}
				after := traceAll(t, m, []hooks.Site{site, hooks.Once(hooks.Logits)}, plan(hooks.Plan{Edits: []hooks.Edit{e}}))
				for j, x := range after[0].Data {
					if was := before[i].Data[j]; x != was+2*v[j%len(v)] {
						t.Fatalf("%s[%d] = %v, want %v + 2·%v", site, j, x, was, v[j%len(v)])
					}
				}
				if d := deviation(after[1].Data, before[len(residuals)].Data); d < 1e-2 {
					t.Errorf("%s: a vector changes the logits by %.1e standard deviations only", site, d)
				}
			}
		})
	}
}

func traceAll(t *testing.T, m *Model, sites []hooks.Site, list ...hooks.Hook) []Captured {
	t.Helper()
	got, err := m.Trace(t.Context(), prompt, TraceOptions{Sites: sites, Hooks: list})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestEditsOfExports holds the graph's arithmetic against Go's at every kind of site that is not a residual.
func TestEditsOfExports(t *testing.T) {
	for _, name := range []string{"gpt2-optimum", "llama-genai-fp32", "qwen2-genai-int4"} {
		m := open(t, fixture.Path(t, "fixtures/onnx/"+name), Config{})
		for i, site := range []hooks.Site{
			hooks.Once(hooks.Embeddings), hooks.At(hooks.AttnZ, 0), hooks.At(hooks.AttnOut, 1), hooks.At(hooks.AttnPost, 1), hooks.At(hooks.MLPIn, 2),
			hooks.At(hooks.MLPAct, 1), hooks.At(hooks.MLPOut, 0), hooks.At(hooks.MLPPost, 2), hooks.Once(hooks.FinalNorm), hooks.Once(hooks.Logits),
		} {
			width, err := m.shape.SiteWidth(site)
			if err != nil {
				t.Fatal(err)
			}
			all := edits(site, width)
			compareEdit(t, m, all[i%len(all)])
		}
	}
	// Operators of an older standard set (11).
	m := open(t, fixture.Path(t, "data/microsoft+onnxruntime-genai/test/models/hf-internal-testing/tiny-random-gpt2-fp32"), Config{})
	for _, e := range edits(hooks.At(hooks.ResidMid, 1), m.shape.Width) {
		compareEdit(t, m, e)
	}
}

func compareEdit(t *testing.T, m *Model, e hooks.Edit) {
	t.Helper()
	inGraph := trace(t, m, e.Site, plan(hooks.Plan{Edits: []hooks.Edit{e}}))
	inGo := trace(t, m, e.Site, plan(hooks.Plan{Taps: []hooks.Tap{e.Tap()}}))
	// Both start from the same bits; 1e-5 of the activation's norm is about a hundred roundings of a float32.
	if d := distance(inGraph, inGo) / norm(inGo); !(d <= 1e-5) {
		t.Errorf("%s: %s at %s: graph and Go are %.1e of the norm apart", m.shape.Model, e.Name, e.Site, d)
	}
	// A component that is negative in every row is left by project+, one within the bounds by clamp.
	if e.Op != hooks.ProjectPositive && e.Op != hooks.Clamp && sameBits(trace(t, m, e.Site), inGraph) {
		t.Errorf("%s: %s at %s changes nothing", m.shape.Model, e.Name, e.Site)
	}
}

// TestObservingExportsChangesNothing watches every site at once, in a prompt and while tokens are generated.
func TestObservingExportsChangesNothing(t *testing.T) {
	for _, c := range exportCases(t) {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, c.path, Config{})
			seen := 0
			var taps []hooks.Tap
			for s := range m.shape.Widths {
				taps = append(taps, hooks.Tap{Name: "watch", Site: s, ReadOnly: true, Func: func(*hooks.Activation) error { seen++; return nil }})
			}
			plain, watched := trace(t, m, hooks.Once(hooks.Logits)), trace(t, m, hooks.Once(hooks.Logits), plan(hooks.Plan{Taps: taps}))
			if !sameBits(plain, watched) {
				t.Errorf("logits differ by %.1e standard deviations while every site is watched", deviation(watched, plain))
			}
			if seen != len(taps) {
				t.Errorf("%d taps were called, want %d", seen, len(taps))
			}
			s := newSession(t, m)
			if _, err := s.Attach(plan(hooks.Plan{Taps: taps})); err != nil {
				t.Fatal(err)
			}
			o := Options{MaxTokens: 8, IgnoreEOS: true}
			if got, want := collect(t, s, prompt, o), collect(t, newSession(t, m), prompt, o); !slices.Equal(got, want) {
				t.Errorf("watched tokens %v, want %v", got, want)
			}
		})
	}
}

// TestExportsKeepTheirCache continues from half a prompt, from a shorter one, and beyond the first room of the cache, in chunks of several sizes.
func TestExportsKeepTheirCache(t *testing.T) {
	o := Options{MaxTokens: 6, IgnoreEOS: true}
	for _, name := range []string{"llama-optimum", "llama-genai-fp32", "llama-optimum-nopast"} {
		t.Run(name, func(t *testing.T) {
			path := fixture.Path(t, "fixtures/onnx/"+name)
			m := open(t, path, Config{})
			for _, n := range []int{1, 9, 280} { // 280 grows the cache beyond its first capacity
				want := collect(t, newSession(t, m), long(n), o)
				s := newSession(t, m)
				collect(t, s, long(n)[:(n+1)/2], Options{MaxTokens: 3, IgnoreEOS: true})
				if got := collect(t, s, long(n), o); !slices.Equal(got, want) {
					t.Errorf("%d tokens continued from half of them: %v, want %v", n, got, want)
				}
				if got := collect(t, s, long(n), o); !slices.Equal(got, want) {
					t.Errorf("%d tokens asked again: %v, want %v", n, got, want)
				}
				small := open(t, path, Config{Chunk: 40})
				if got := collect(t, newSession(t, small), long(n), o); !slices.Equal(got, want) {
					t.Errorf("%d tokens in chunks of 40: %v, want %v", n, got, want)
				}
			}
		})
	}
}

// TestHooksActAgainWithoutACache holds a graph that runs the whole sequence for every token against the same model with a cache, under hooks that act
// on some rows only.
func TestHooksActAgainWithoutACache(t *testing.T) {
	cached := open(t, fixture.Path(t, "fixtures/onnx/llama-optimum"), Config{})
	whole := open(t, fixture.Path(t, "fixtures/onnx/llama-optimum-nopast"), Config{})
	if notes := whole.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "no cache") || len(cached.Notes()) != 0 {
		t.Errorf("notes: %q without a cache, %q with one", notes, cached.Notes())
	}
	site := hooks.At(hooks.ResidPost, 0)
	v := direction(whole.shape.Width, 3)
	for name, where := range map[string]hooks.Where{"prefill": {Phases: hooks.Prefill}, "decode": {Phases: hooks.Decode}, "rows": {From: 3, To: 9}, "all": {}} {
		e := hooks.Edit{Name: "v", Site: site, Directions: [][]float32{v}, Where: where, Strength: hooks.NewKnob(1.5)}
		for kind, p := range map[string]hooks.Plan{"edit": {Edits: []hooks.Edit{e}}, "tap": {Taps: []hooks.Tap{e.Tap()}}} {
			var got [2][]int32
			var seen [2][]hooks.Activation
			for i, m := range []*Model{cached, whole} {
				s := newSession(t, m)
				watch := hooks.Tap{Name: "watch", Site: site, ReadOnly: true, Func: func(a *hooks.Activation) error {
					seen[i] = append(seen[i], hooks.Activation{Phase: a.Phase, First: a.First, Data: slices.Clone(a.Data), Tokens: slices.Clone(a.Tokens)})
					return nil
				}}
				for _, h := range []hooks.Plan{p, {Taps: []hooks.Tap{watch}}} {
					if _, err := s.Attach(plan(h)); err != nil {
						t.Fatal(err)
					}
				}
				got[i] = collect(t, s, prompt, Options{MaxTokens: 8, IgnoreEOS: true})
			}
			if !slices.Equal(got[0], got[1]) || len(seen[0]) != len(seen[1]) {
				t.Fatalf("%s, %s: %v in %d passes with a cache, %v in %d without", kind, name, got[0], len(seen[0]), got[1], len(seen[1]))
			}
			for j, a := range seen[0] {
				b := seen[1][j]
				// Float32 in another order: the fixtures' own limit.
				if d := deviation(b.Data, a.Data); a.First != b.First || a.Phase != b.Phase || !slices.Equal(a.Tokens, b.Tokens) || !(d <= 1e-4) {
					t.Errorf("%s, %s: pass %d at %d, %d without a cache; %.1e standard deviations apart", kind, name, j, a.First, b.First, d)
				}
			}
		}
	}
}

func TestMissingSitesOfExportsHaveReasons(t *testing.T) {
	for _, c := range exportCases(t) {
		m := open(t, c.path, Config{})
		for _, p := range hooks.Points() {
			for i := range m.shape.Layers {
				s := hooks.At(p, i)
				if !p.PerLayer() {
					s = hooks.Once(p)
				}
				if width, reason := m.shape.Widths[s], m.shape.Missing[s]; (width > 0) == (reason != "") {
					t.Errorf("%s: %s has width %d, missing because %q", c.name, s, width, reason)
				}
			}
		}
	}
}

// TestGenaiSamples runs the decoder with which onnxruntime-genai tests itself; the tokens are those that its test expects (test/c_api_tests.cpp, GreedySearchGptFp32CAPI).
func TestGenaiSamples(t *testing.T) {
	m := open(t, fixture.Path(t, "data/microsoft+onnxruntime-genai/test/models/hf-internal-testing/tiny-random-gpt2-fp32"), Config{})
	for _, c := range []struct{ prompt, want []int32 }{
		{[]int32{0, 0, 0, 52}, []int32{204, 204, 204, 204, 204, 204}},
		{[]int32{0, 0, 195, 731}, []int32{731, 114, 114, 114, 114, 114}},
	} {
		if got := collect(t, newSession(t, m), c.prompt, Options{MaxTokens: len(c.want), IgnoreEOS: true}); !slices.Equal(got, c.want) {
			t.Errorf("%v continues with %v, want %v", c.prompt, got, c.want)
		}
	}
	if n := len(m.shape.Widths); n != 5*10+3 {
		t.Errorf("%d sites were found, want 10 in each of 5 blocks and 3", n)
	}
}
