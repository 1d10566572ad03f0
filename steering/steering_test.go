// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
)

// shape is a model with the sites that tests steer at; resid_mid is missing everywhere.
func shape(family string, layers, width int) *hooks.Shape {
	sh := &hooks.Shape{Model: "tiny", Family: family, Layers: layers, Width: width, Widths: map[hooks.Site]int{}, Missing: map[hooks.Site]string{}}
	sh.Widths[hooks.Once(hooks.FinalNorm)] = width
	sh.Widths[hooks.Once(hooks.Logits)] = 99
	for i := range layers {
		for _, p := range []hooks.Point{hooks.ResidPre, hooks.AttnPost, hooks.MLPPost, hooks.ResidPost} {
			sh.Widths[hooks.At(p, i)] = width
		}
		sh.Widths[hooks.At(hooks.MLPAct, i)] = 4 * width
		sh.Missing[hooks.At(hooks.ResidMid, i)] = "the block is parallel"
	}
	return sh
}

func load(t *testing.T, spec string) *Steering {
	t.Helper()
	s, err := Load(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Steering)
}

// threeFile writes directions e0, e1, e2 of width 3 for blocks 1, 2, 3.
func threeFile(t *testing.T, change func(*controlFile)) string {
	t.Helper()
	file := goodFile()
	file.tensors = nil
	for i := range 3 {
		d := make([]float32, 3)
		d[i] = 1
		file.tensors = append(file.tensors, gguf.Float32Tensor(fmt.Sprintf("direction.%d", i+1), d, 3))
	}
	file.set("controlvector.layer_count", uint32(3))
	if change != nil {
		change(file)
	}
	return file.write(t)
}

func TestSites(t *testing.T) {
	path := threeFile(t, nil)
	for _, tc := range []struct{ spec, want string }{
		{"vector:%s", "direction.1 -> resid_post.1; direction.2 -> resid_post.2; direction.3 -> resid_post.3"},
		{"vector:%s@resid_post.2", "direction.2 -> resid_post.2"},
		{"vector:%s@resid_post.-3", "direction.3 -> resid_post.3"},
		{"vector:%s@blocks.2-3.hook_resid_pre", "direction.2 -> resid_pre.2; direction.3 -> resid_pre.3"},
		{"vector:%s@resid_post.*", "direction.1 -> resid_post.1; direction.2 -> resid_post.2; direction.3 -> resid_post.3"},
		{"vector:%s@resid_post.2,mlp_post.1,resid_post.*", "direction.1 -> mlp_post.1; direction.1 -> resid_post.1; direction.2 -> resid_post.2; direction.3 -> resid_post.3"},
		{"vector:%s:direction.2", "direction.2 -> resid_post.2"},
		{"project:%s:direction.2@resid_pre.4-5", "direction.2 -> resid_pre.4; direction.2 -> resid_pre.5"},
		{"project:%s:direction.2@final_norm", "direction.2 -> final_norm"},
		{"rotate:%[1]s,%[1]s:direction.2=30@resid_post.1,resid_post.3", "direction.1, direction.2 -> resid_post.1; direction.3, direction.2 -> resid_post.3"},
	} {
		t.Run(tc.spec, func(t *testing.T) {
			s := load(t, fmt.Sprintf(tc.spec, path))
			places, err := s.Sites(shape("llama", 6, 3))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range places {
				got = append(got, p.String())
			}
			if strings.Join(got, "; ") != tc.want {
				t.Errorf("Sites() = %s\nwant      %s", strings.Join(got, "; "), tc.want)
			}
			plan, err := s.Bind(shape("llama", 6, 3))
			if err != nil || len(plan.Edits) != len(places) || len(plan.Taps) != 0 {
				t.Errorf("Bind() = %d edits, %d taps, %v; want %d edits", len(plan.Edits), len(plan.Taps), err, len(places))
			}
		})
	}
}

func TestBindRefuses(t *testing.T) {
	path := threeFile(t, nil)
	is := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	var (
		mismatch *MismatchError
		edit     *hooks.EditError
		site     *hooks.SiteError
		place    *PlaceError
	)
	for _, tc := range []struct {
		name, spec string
		shape      *hooks.Shape
		kind       func(error) bool
		say        string
	}{
		{"another architecture", "vector:%s", shape("qwen3", 6, 3), is(&mismatch), `architecture "llama", the model's is "qwen3"`},
		{"another architecture with sites", "vector:%s@resid_post.1", shape("gpt2", 6, 3), is(&mismatch), "gpt2"},
		{"too few blocks", "vector:%s", shape("llama", 3, 3), is(&mismatch), "direction.3, the model has blocks 0 to 2"},
		{"width", "vector:%s", shape("llama", 6, 4), is(&edit), "resid_post.1: want a direction of the site's width 4, found one of width 3"},
		{"width of a site", "vector:%s@mlp_act.1", shape("llama", 6, 3), is(&edit), "mlp_act.1: want a direction of the site's width 12"},
		{"missing site", "vector:%s@resid_mid.1", shape("llama", 6, 3), is(&site), "the block is parallel"},
		{"site beyond the model", "vector:%s@resid_post.6", shape("llama", 6, 3), is(&site), "blocks 0 to 5"},
		{"site without a direction", "vector:%s@resid_post.4", shape("llama", 6, 3), is(&place), "resid_post.4: want a direction of that layer, found direction of layers 1-3"},
		{"range with a gap", "vector:%s@resid_post.3-4", shape("llama", 6, 3), is(&place), "resid_post.4"},
		{"site without a layer", "vector:%s@final_norm", shape("llama", 6, 3), is(&place), "final_norm"},
		{"parallel plane", "rotate:%[1]s,%[1]s=30", shape("llama", 6, 3), is(&edit), "parallel"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(t, fmt.Sprintf(tc.spec, path)).Bind(tc.shape)
			if err == nil || !tc.kind(err) || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("Bind() = %v (%T), want another type or that it says %q", err, err, tc.say)
			}
		})
	}
}

func TestPatternWithoutAnyDirection(t *testing.T) {
	v, err := NewVector("deep", map[int][]float32{8: {1, 2, 3}, 9: {1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Spec{Kind: KindVector, Sites: "resid_post.*"}, v)
	if err != nil {
		t.Fatal(err)
	}
	var place *PlaceError
	if _, err := s.Bind(shape("llama", 6, 3)); !errors.As(err, &place) || place.Has != "direction of layers 8-9" {
		t.Errorf("Bind() = %v, want a *PlaceError", err)
	}
}

func TestArchitectures(t *testing.T) {
	for _, tc := range []struct {
		hint, family string
		equal        bool
	}{
		{"llama", "llama", true},
		{"mistral", "llama", true},
		{"smollm2", "llama", true},
		{"qwen2.5", "qwen2", true},
		{"qwen2_moe", "qwen2moe", true},
		{"qwen2", "qwen2moe", false},
		{"qwen2.5", "qwen3", false},
		{"gemma3_text", "gemma3", true},
		{"gpt_neox", "gptneox", true},
		{"Phi-3", "phi3", true},
		{"gpt2", "llama", false},
		{"deepseek_v4", "llama", false},
		{"deepseek_v4", "deepseek-v4", true},
		{"org/model-1B", "llama", true},
		{"unknown", "llama", true},
		{"", "llama", true},
	} {
		v := newVector("v", "")
		v.setHint(tc.hint)
		var mismatch *MismatchError
		if err := v.checkModel(shape(tc.family, 2, 3)); (err == nil) != tc.equal || (err != nil && !errors.As(err, &mismatch)) {
			t.Errorf("hint %q on a model of family %q: %v, want it accepted: %v", tc.hint, tc.family, err, tc.equal)
		}
	}
}

// act runs a plan's edits at one site on one row, as their taps do.
func act(t *testing.T, h hooks.Hook, site hooks.Site, row []float32) []float32 {
	t.Helper()
	plan, err := h.Bind(shape("llama", 6, len(row)))
	if err != nil {
		t.Fatal(err)
	}
	out, acted := slices.Clone(row), false
	for _, e := range plan.Edits {
		if e.Site != site {
			continue
		}
		acted = true
		if err := e.Tap().Func(&hooks.Activation{Site: site, Width: len(row), Data: out, Rows: []bool{true}}); err != nil {
			t.Fatal(err)
		}
	}
	if !acted {
		t.Fatalf("no edit at %s", site)
	}
	return out
}

// TestLoadedSpecsAct has the whole way from a spec to a row; the row is (3, 4, 12) and the directions are the axes.
func TestLoadedSpecsAct(t *testing.T) {
	add := threeFile(t, nil)
	project := threeFile(t, func(c *controlFile) { c.set("glp.mode", "project"); c.set("glp.alpha_default", float32(2)) })
	for _, tc := range []struct {
		spec, site string
		want       []float32
	}{
		{"vector:" + add, "resid_post.1", []float32{4, 4, 12}},
		{"vector:" + add + "*2.5", "resid_post.2", []float32{3, 6.5, 12}},
		{"vector:" + add + "*0", "resid_post.2", []float32{3, 4, 12}},
		{"vector:" + add + ":direction.3*-12@resid_pre.0", "resid_pre.0", []float32{3, 4, 0}},
		{"norm:" + add + ":direction.3*-7@resid_post.5", "resid_post.5", []float32{3 * 13 / 7.0710678, 4 * 13 / 7.0710678, 5 * 13 / 7.0710678}},
		{"project:" + add, "resid_post.2", []float32{3, 0, 12}},
		{"project+:" + add, "resid_post.3", []float32{3, 4, 0}},
		{"clamp:" + add + "=-1..1", "resid_post.3", []float32{3, 4, 1}},
		{"clamp:" + add + "*0.5=0..2", "resid_post.3", []float32{3, 4, 7}},
		{"rotate:" + add + ":direction.1," + add + ":direction.2=90@resid_post.0", "resid_post.0", []float32{0, 5, 12}},
		{"vector:" + project, "resid_post.1", []float32{-3, 4, 12}},
		{"vector:" + project + "*1", "resid_post.1", []float32{0, 4, 12}},
		{"clamp:" + project + "=-1..1", "resid_post.1", []float32{1, 4, 12}},
	} {
		t.Run(filepath.Base(tc.spec), func(t *testing.T) {
			site, err := hooks.ParseSite(tc.site)
			if err != nil {
				t.Fatal(err)
			}
			got := act(t, load(t, tc.spec), site, []float32{3, 4, 12})
			for i := range got {
				// Values of a dozen in float32: one rounding is 1e-6.
				if d := got[i] - tc.want[i]; d > 3e-6 || d < -3e-6 {
					t.Errorf("%s: (3 4 12) became %v, want %v", tc.spec, got, tc.want)
					break
				}
			}
		})
	}
	if _, err := Load("norm:" + project); err == nil || !strings.Contains(err.Error(), "use project:") {
		t.Errorf("norm: of a file to be projected: %v, want an error", err)
	}
	if w := load(t, "vector:"+project).Warnings(); len(w) != 1 || !strings.Contains(w[0], "glp.mode=project") {
		t.Errorf("Warnings() = %q, want one about glp.mode", w)
	}
}

func TestConstructors(t *testing.T) {
	at, v, w := hooks.At(hooks.ResidPost, 2), []float32{0, 0, 2}, []float32{0, 5, 1}
	for _, tc := range []struct {
		name string
		hook *Steering
		want []float32
	}{
		{"Add", Add(at, v, -6), []float32{3, 4, 0}},
		{"Add at a negative layer", Add(hooks.At(hooks.ResidPost, -4), v, -6), []float32{3, 4, 0}},
		{"KeepNorm", KeepNorm(at, []float32{-3, -4, 0}, 1), []float32{0, 0, 13}},
		{"Project", Project(at, v), []float32{3, 4, 0}},
		{"ProjectPositive", ProjectPositive(at, []float32{0, 0, -1}), []float32{3, 4, 12}},
		{"Clamp", Clamp(at, v, -1, 1), []float32{3, 4, 1}},
		{"Rotate", Rotate(at, v, w, 180), []float32{3, 0, -12.649111}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := act(t, tc.hook, at, []float32{3, 4, 12})
			for i := range got {
				if d := got[i] - tc.want[i]; d > 3e-6 || d < -3e-6 {
					t.Errorf("(3 4 12) became %v, want %v", got, tc.want)
					break
				}
			}
		})
	}
	var edit *hooks.EditError
	if _, err := Add(at, []float32{0, 0, 0}, 1).Bind(shape("llama", 6, 3)); !errors.As(err, &edit) {
		t.Errorf("the zero vector: %v, want a *hooks.EditError", err)
	}
}

func TestOneKnobForAllEdits(t *testing.T) {
	s := load(t, "vector:"+threeFile(t, nil)+"*2[decode]")
	plan, err := s.Bind(shape("llama", 6, 3))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Strength().Value(); got != 2 {
		t.Errorf("Strength() = %g, want 2", got)
	}
	s.Strength().Set(-0.5)
	for _, e := range plan.Edits {
		if e.Strength.Value() != -0.5 || e.Where.Phases != hooks.Decode || e.Name != "v" {
			t.Errorf("edit %s at %s: strength %g, rows %s; want v, -0.5 and [decode]", e.Name, e.Site, e.Strength.Value(), e.Where)
		}
	}
	spec := s.Spec()
	if !strings.HasSuffix(spec.String(), "*-0.5[decode]") {
		t.Errorf("Spec() = %s, want the strength of now", spec.String())
	}
	again := load(t, spec.String())
	if diff := cmp.Diff(spec, again.Spec()); diff != "" {
		t.Errorf("Spec() loaded again: want - got +\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	path := fixture.Path(t, conceptFiles+"happy-vs-sad.vectors.safetensors")
	for _, tc := range []struct{ spec, want string }{
		{"vector:" + path + ":diffmean", "happy-vs-sad.vectors:diffmean"},
		{"vector:" + path + ":diffmean.14", "happy-vs-sad.vectors:diffmean.14"},
		{"vector:" + fixture.Path(t, conceptFiles+"happy-vs-sad.diffmean.gguf"), "happy-vs-sad.diffmean"},
		{"rotate:" + path + ":diffmean," + path + ":pca_diff=20", "happy-vs-sad.vectors:diffmean+happy-vs-sad.vectors:pca_diff"},
	} {
		if got := load(t, tc.spec).Name(); got != tc.want {
			t.Errorf("Name() of %s = %q, want %q", tc.spec, got, tc.want)
		}
	}
	v, _ := NewVector("two words", map[int][]float32{1: {1}})
	if s, err := New(Spec{Kind: KindVector}, v); err != nil || s.Name() != "two-words" {
		t.Errorf("Name() = %q, %v, want two-words", s.Name(), err)
	}
}

func TestNewRefuses(t *testing.T) {
	v, err := NewVector("v", map[int][]float32{1: {1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() (*Steering, error){
		"unknown kind":    func() (*Steering, error) { return New(Spec{Kind: "sae"}, v) },
		"no vector":       func() (*Steering, error) { return New(Spec{Kind: KindVector}) },
		"too many":        func() (*Steering, error) { return New(Spec{Kind: KindVector}, v, v) },
		"one for rotate":  func() (*Steering, error) { return New(Spec{Kind: KindRotate, Strength: ptr(3)}, v) },
		"rotate to where": func() (*Steering, error) { return New(Spec{Kind: KindRotate}, v, v) },
	} {
		if s, err := call(); err == nil {
			t.Errorf("%s: %v, want an error", name, s)
		}
	}
	if _, err := Load("vector:" + filepath.Join(t.TempDir(), "absent.gguf")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v, want os.ErrNotExist", err)
	}
}

func TestSaveReadsBack(t *testing.T) {
	whole, err := NewVector("whole", map[int][]float32{1: {1, 2, 2}, 2: {-1, 0.1, 3e-9}, 11: {5, 5, 5}})
	if err != nil {
		t.Fatal(err)
	}
	whole.Hint, whole.Method, whole.BaseModel = "qwen2", "diffmean", "tiny"
	project, err := NewVector("project", map[int][]float32{3: {0.6, 0, 0.8}})
	if err != nil {
		t.Fatal(err)
	}
	project.Hint, project.Op, project.Alpha, project.Point = "llama", hooks.Project, 1.5, hooks.MLPPost
	for _, v := range []*Vector{whole, project} {
		for _, ext := range []string{".gguf", ".safetensors"} {
			t.Run(v.Name+ext, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), v.Name+ext)
				if err := v.Save(path); err != nil {
					t.Fatal(err)
				}
				got := read(t, Source{path, ""})
				want := *v
				want.File, want.Declared = path, got.Declared
				if diff := cmp.Diff(&want, got, cmp.AllowUnexported(Vector{})); diff != "" {
					t.Errorf("read back: want - got +\n%s", diff)
				}
			})
		}
	}
}

// TestSavedGGUFHasTheLayoutOfRepeng compares a file that repeng wrote with what Save makes of it.
func TestSavedGGUFHasTheLayoutOfRepeng(t *testing.T) {
	original := fixture.Path(t, conceptFiles+"happy-vs-sad.pca_diff.repeng.gguf")
	path := filepath.Join(t.TempDir(), "saved.gguf")
	if err := read(t, Source{original, ""}).Save(path); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d bytes differ from repeng's %d", len(got), len(want))
	}
}

func TestSaveRefuses(t *testing.T) {
	zero, err := NewVector("zero", map[int][]float32{0: {1}})
	if err != nil {
		t.Fatal(err)
	}
	single := newVector("single", "")
	single.blockless, single.width = []float32{1}, 1
	act, err := NewVector("act", map[int][]float32{2: {1}})
	if err != nil {
		t.Fatal(err)
	}
	act.Point = hooks.MLPAct
	for _, v := range []*Vector{zero, single, act} {
		dir := t.TempDir()
		var vector *VectorError
		if err := v.Save(filepath.Join(dir, "v.gguf")); !errors.As(err, &vector) {
			t.Errorf("%s as GGUF: %v, want a *VectorError", v.Name, err)
		}
		if err := v.Save(filepath.Join(dir, "v.npz")); !errors.As(err, &vector) {
			t.Errorf("%s as npz: %v, want a *VectorError", v.Name, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s: %v was left behind", v.Name, left)
		}
		if err := v.Save(filepath.Join(dir, "v.safetensors")); err != nil {
			t.Errorf("%s as safetensors: %v", v.Name, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	v := read(t, Source{threeFile(t, func(c *controlFile) {
		c.tensors[1] = gguf.Float32Tensor("direction.2", []float32{3, 4, 0}, 3)
		c.tensors[2].Name = "direction.5"
	}), ""})
	d := v.Describe()
	if d.Mode != "add" || d.Hint != "llama" || d.Width != 3 || d.Declared != 3 || len(d.Directions) != 3 {
		t.Fatalf("Describe() = %+v", d)
	}
	second, third := d.Directions[1], d.Directions[2]
	if second.Tensor != "direction.2" || second.Site != "resid_post.2" || second.Norm != 5 || second.Cosine == nil || *second.Cosine != 0.6 {
		t.Errorf("second direction: %+v, want length 5 and cosine 0.6", second)
	}
	if third.Cosine != nil {
		t.Errorf("cosine across a gap: %v, want none", *third.Cosine)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"model_hint":"llama"`, `"cosine_to_previous":0.6`, `"site":"resid_post.5"`, `"layer_count":3`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("JSON %s lacks %s", text, part)
		}
	}
}
