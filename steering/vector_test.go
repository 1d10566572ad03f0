// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/safetensors"
)

const conceptFiles = "fixtures-dictionaries/concepts/"

func layers(from, to int) []int {
	var out []int
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}

func read(t *testing.T, src Source) *Vector {
	t.Helper()
	v, err := ReadVector(src)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestReadFixtures reads real files of three writers: repeng, gguf-py and EasySteer.
func TestReadFixtures(t *testing.T) {
	for _, tc := range []struct {
		file, family, hint, method string
		layers                     []int
		width, warnings            int
		unit                       bool
	}{
		{conceptFiles + "happy-vs-sad.pca_diff.repeng.gguf", "", "llama", "", layers(8, 22), 576, 0, true},
		{conceptFiles + "happy-vs-sad.diffmean.gguf", "", "llama", "", layers(8, 22), 576, 0, false},
		{conceptFiles + "refusal-xstest.diffmean.gguf", "", "llama", "", layers(8, 22), 576, 0, false},
		{conceptFiles + "sentiment-sst.diffmean.gguf", "direction.14", "llama", "", []int{14}, 576, 0, false},
		{conceptFiles + "happy-vs-sad.vectors.safetensors", "diffmean", "", "", layers(8, 22), 576, 1, false},
		{conceptFiles + "happy-vs-sad.vectors.safetensors", "pca_diff", "", "", layers(8, 22), 576, 1, true},
		{conceptFiles + "happy-vs-sad.vectors.safetensors", "logistic.20", "", "", []int{20}, 576, 1, true},
		{"data/ZJU-REAL+EasySteer/vectors/happy_diffmean.gguf", "", "qwen2.5", "diffmean", layers(0, 27), 1536, 1, true},
		{"data/ZJU-REAL+EasySteer/replications/cast/refuse-pca.gguf", "", "", "center", layers(0, 27), 1536, 2, true},
		{"data/ZJU-REAL+EasySteer/replications/refusal_direction/diffmean-1.gguf", "", "", "diffmean", layers(0, 27), 1536, 2, true},
		{"organism/prompts/directions.safetensors", "", "", "", []int{1, 2}, 128, 1, false},
	} {
		t.Run(filepath.Base(tc.file)+":"+tc.family, func(t *testing.T) {
			v := read(t, Source{fixture.Path(t, tc.file), tc.family})
			if diff := cmp.Diff(tc.layers, v.Layers()); diff != "" {
				t.Errorf("Layers(): want - got +\n%s", diff)
			}
			if v.Width() != tc.width || v.Hint != tc.hint || v.Method != tc.method || len(v.Warnings) != tc.warnings {
				t.Errorf("width %d, hint %q, method %q, warnings %q; want %d, %q, %q and %d of them",
					v.Width(), v.Hint, v.Method, v.Warnings, tc.width, tc.hint, tc.method, tc.warnings)
			}
			if v.Op != hooks.Add || v.Point != hooks.ResidPost || v.Alpha != 1 {
				t.Errorf("op %s at %s with %g, want a plain addition", v.Op, v.Point, v.Alpha)
			}
			for _, layer := range v.Layers() {
				// The writers normalise in float32: one unit of 2^-24 a sum.
				if length := dot.Length(v.Direction(layer)); tc.unit && math.Abs(length-1) > 1e-5 {
					t.Errorf("%s has length %g, want 1", v.Tensor(layer), length)
				}
			}
		})
	}
}

// TestFixturesAgree compares one concept across the formats and with the statistics its maker computed.
func TestFixturesAgree(t *testing.T) {
	all := fixture.Path(t, conceptFiles+"happy-vs-sad.vectors.safetensors")
	mean, pca := read(t, Source{all, "diffmean"}), read(t, Source{all, "pca_diff"})
	meanGGUF := read(t, Source{fixture.Path(t, conceptFiles+"happy-vs-sad.diffmean.gguf"), ""})
	pcaGGUF := read(t, Source{fixture.Path(t, conceptFiles+"happy-vs-sad.pca_diff.repeng.gguf"), ""})
	text, err := os.ReadFile(fixture.Path(t, conceptFiles+"happy-vs-sad.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		PerLayer map[string]struct {
			Norm   float64 `json:"diffmean_norm"`
			Cosine float64 `json:"cos_pca_diffmean"`
		} `json:"per_layer"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers(8, 22) {
		if !slices.Equal(mean.Direction(layer), meanGGUF.Direction(layer)) || !slices.Equal(pca.Direction(layer), pcaGGUF.Direction(layer)) {
			t.Errorf("layer %d: GGUF and safetensors differ", layer)
		}
		want := report.PerLayer[strconv.Itoa(layer)]
		length := dot.Length(mean.Direction(layer))
		cosine := dot.Sum64(mean.Direction(layer), pca.Direction(layer)) / length
		// The maker summed in float32.
		if math.Abs(length/want.Norm-1) > 1e-6 || math.Abs(cosine-want.Cosine) > 1e-5 {
			t.Errorf("layer %d: length %g, cosine %g; want %g, %g", layer, length, cosine, want.Norm, want.Cosine)
		}
	}
}

func TestFixtureNeedsAChoice(t *testing.T) {
	path := fixture.Path(t, conceptFiles+"happy-vs-sad.vectors.safetensors")
	for _, family := range []string{"", "direction", "diffmean.23", "diff"} {
		_, err := ReadVector(Source{path, family})
		var vector *VectorError
		if !errors.As(err, &vector) || !strings.Contains(err.Error(), "diffmean, logistic, logistic_w, neg_last, pca_diff, pos_last") {
			t.Errorf("family %q: %v, want a *VectorError that lists the families", family, err)
		}
	}
}

// controlFile is a control vector to be written with a fault in it.
type controlFile struct {
	meta    []gguf.Pair
	tensors []gguf.Tensor
}

func (c *controlFile) set(key string, value any) {
	c.meta = slices.DeleteFunc(c.meta, func(p gguf.Pair) bool { return p.Key == key })
	if value != nil {
		c.meta = append(c.meta, gguf.Pair{Key: key, Value: value})
	}
}

func (c *controlFile) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.gguf")
	if err := gguf.Write(path, c.meta, c.tensors); err != nil {
		t.Fatal(err)
	}
	return path
}

// goodFile has what repeng writes, for blocks 1 and 2 of width 3.
func goodFile() *controlFile {
	return &controlFile{
		meta: []gguf.Pair{
			{Key: "general.architecture", Value: "controlvector"},
			{Key: "controlvector.model_hint", Value: "llama"},
			{Key: "controlvector.layer_count", Value: uint32(2)},
		},
		tensors: []gguf.Tensor{
			gguf.Float32Tensor("direction.1", []float32{1, 0, 0}, 3), gguf.Float32Tensor("direction.2", []float32{0.6, 0.8, 0}, 3),
		},
	}
}

func TestGGUFVariants(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*controlFile)
		warning string // part of the one warning, or "" for none
		check   func(*Vector) bool
	}{
		{"repeng", func(*controlFile) {}, "", func(v *Vector) bool { return v.Hint == "llama" && v.Declared == 2 }},
		{"cvector-generator", func(c *controlFile) { c.set("controlvector.layer_count", int32(2)) }, "one block behind", func(v *Vector) bool { return v.Declared == 2 }},
		{"no hint", func(c *controlFile) { c.set("controlvector.model_hint", nil) }, "does not say", func(v *Vector) bool { return v.Hint == "" }},
		{"hint unknown", func(c *controlFile) { c.set("controlvector.model_hint", "unknown") }, "does not say", func(v *Vector) bool { return v.Hint == "" }},
		{"hint of a model", func(c *controlFile) { c.set("controlvector.model_hint", "a/b-1B") }, "names a model", func(v *Vector) bool { return v.Hint == "a/b-1B" }},
		{"no architecture", func(c *controlFile) { c.set("general.architecture", nil) }, "no general.architecture", func(*Vector) bool { return true }},
		{"another count", func(c *controlFile) { c.set("controlvector.layer_count", uint32(9)) }, "layer_count is 9", func(*Vector) bool { return true }},
		{"no count", func(c *controlFile) { c.set("controlvector.layer_count", nil) }, "", func(v *Vector) bool { return v.Declared == 0 }},
		{"block 0", func(c *controlFile) { c.tensors[0].Name = "direction.0" }, "llama.cpp never applies it", func(v *Vector) bool { return v.Direction(0) != nil }},
		{"glp add", func(c *controlFile) { c.set("glp.mode", "add") }, "", func(v *Vector) bool { return v.Op == hooks.Add }},
		{"glp project", func(c *controlFile) {
			c.set("glp.mode", "project")
			c.set("glp.alpha_default", float32(2))
			c.set("glp.hook_point", "residual_stream_post_layer")
			c.set("glp.spec_version", uint32(1))
			c.set("glp.rank", uint32(1))
			c.set("glp.content_sha256", contentHash(c.tensors))
			c.set("general.base_model.0.name", "tiny")
		}, "", func(v *Vector) bool {
			return v.Op == hooks.Project && v.Alpha == 2 && v.Point == hooks.ResidPost && v.BaseModel == "tiny"
		}},
		{"glp project of another length", func(c *controlFile) {
			c.set("glp.mode", "project")
			c.tensors[1] = gguf.Float32Tensor("direction.2", []float32{6, 8, 0}, 3)
		}, "direction.2 has length 10", func(v *Vector) bool { return v.Op == hooks.Project }},
		{"glp at the mlp", func(c *controlFile) { c.set("glp.hook_point", "ffn_out_pre_residual") }, "", func(v *Vector) bool { return v.Point == hooks.MLPPost }},
		{"glp at attention", func(c *controlFile) { c.set("glp.hook_point", "attn_out_pre_residual") }, "", func(v *Vector) bool { return v.Point == hooks.AttnPost }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := goodFile()
			tc.change(file)
			v := read(t, Source{file.write(t), ""})
			if !tc.check(v) {
				t.Errorf("read as %+v", v)
			}
			if got := strings.Join(v.Warnings, "|"); (tc.warning == "") != (got == "") || !strings.Contains(got, tc.warning) || len(v.Warnings) > 1 {
				t.Errorf("warnings %q, want one with %q", got, tc.warning)
			}
		})
	}
}

func TestGGUFRefuses(t *testing.T) {
	nan := float32(math.NaN())
	rename := func(name string) func(*controlFile) { return func(c *controlFile) { c.tensors[1].Name = name } }
	set := func(key string, value any) func(*controlFile) { return func(c *controlFile) { c.set(key, value) } }
	values := func(x ...float32) func(*controlFile) {
		return func(c *controlFile) { c.tensors[1] = gguf.Float32Tensor("direction.2", x, len(x)) }
	}
	for _, tc := range []struct {
		name   string
		change func(*controlFile)
		say    string
	}{
		{"tail of the name", rename("direction.2abc"), `"direction.2abc": want direction.N`},
		{"leading zero", rename("direction.02"), "want direction.N"},
		{"no number", rename("direction."), "want direction.N"},
		{"negative", rename("direction.-2"), "want direction.N"},
		{"plus", rename("direction.+2"), "want direction.N"},
		{"huge number", rename("direction.99999999999999999999"), "want direction.N"},
		{"another family", rename("diffmean.2"), "want direction.N"},
		{"longer family", rename("my.direction.2"), "want direction.N"},
		{"weights of a model", rename("blk.2.attn_q.weight"), "want direction.N"},
		{"F16", func(c *controlFile) {
			c.tensors[1] = gguf.Tensor{Name: "direction.2", Type: quant.F16, Shape: []int{3}, Data: make([]byte, 6)}
		}, "direction.2: want F32, found F16"},
		{"two dimensions", func(c *controlFile) { c.tensors[1].Shape = []int{1, 3} }, "want 1 dimension, found 2"},
		{"another width", values(1, 2), "width of the directions before it, 3, found 2"},
		{"NaN", values(1, nan, 0), "finite numbers, found NaN at index 1"},
		{"infinity", values(float32(math.Inf(1)), 0, 0), "finite numbers, found +Inf at index 0"},
		{"zero", values(0, 0, 0), "found the zero vector"},
		{"empty", func(c *controlFile) { c.tensors = []gguf.Tensor{gguf.Float32Tensor("direction.2", nil, 0)} }, "one number or more"},
		{"no tensors", func(c *controlFile) { c.tensors = nil }, "no tensors"},
		{"a model", set("general.architecture", "llama"), `general.architecture: want controlvector, found "llama"`},
		{"hint of another type", set("controlvector.model_hint", uint32(3)), "want string"},
		{"count of another type", set("controlvector.layer_count", "two"), "want integer"},
		{"glp mode", set("glp.mode", "rotate"), `glp.mode: want add or project, found "rotate"`},
		{"glp hook point", set("glp.hook_point", "kv"), "glp.hook_point: want residual_stream_post_layer"},
		{"glp version", set("glp.spec_version", uint32(2)), "glp.spec_version: want 1, found 2"},
		{"glp rank", set("glp.rank", uint32(3)), "glp.rank: want 1, found 3"},
		{"glp structure", set("glp.structure", "per-execution-step"), "glp.structure"},
		{"glp alpha", set("glp.alpha_default", nan), "glp.alpha_default: want a finite number"},
		{"glp hash", set("glp.content_sha256", strings.Repeat("0", 64)), "not those that were hashed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := goodFile()
			tc.change(file)
			v, err := ReadVector(Source{file.write(t), ""})
			if err == nil || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("read as %+v, %v; want an error that says %q", v, err, tc.say)
			}
		})
	}
}

func TestDuplicateTensorIsRefused(t *testing.T) {
	data, err := os.ReadFile(goodFile().write(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "twice.gguf")
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), "direction.2", "direction.1", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if v, err := ReadVector(Source{path, ""}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("read as %+v, %v; want an error", v, err)
	}
}

func TestNoVectorFile(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"empty": "", "short": "GG", "text": "hello, this is no vector", "half.gguf": "GGUF\x03\x00"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if v, err := ReadVector(Source{path, ""}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s read as %+v, %v; want an error that names the file", name, v, err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "absent")} {
		if v, err := ReadVector(Source{path, ""}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s read as %+v, %v; want an error that names the file", path, v, err)
		}
	}
}

// TestSafetensorsFamilies has the ways in which a file names its directions.
func TestSafetensorsFamilies(t *testing.T) {
	for _, tc := range []struct {
		name, family string
		tensors      []string
		layers       []int
		single       bool
		say          string
	}{
		{"direction needs no choice", "", []string{"direction.3", "direction.4", "other.3"}, []int{3, 4}, false, ""},
		{"the only family needs no choice", "", []string{"caa.0", "caa.12"}, []int{0, 12}, false, ""},
		{"two families need one", "", []string{"caa.0", "pca.0"}, nil, false, "want a choice as FILE:NAME, found caa, pca"},
		{"a family beside a loose tensor needs one", "", []string{"caa.0", "bias"}, nil, false, "found caa, bias"},
		{"a chosen family", "pca", []string{"caa.0", "pca.5", "pca.6"}, []int{5, 6}, false, ""},
		{"a dotted family", "a.b", []string{"a.b.5", "a.c.5"}, []int{5}, true, ""},
		{"one tensor of a family", "pca.6", []string{"pca.5", "pca.6"}, []int{6}, true, ""},
		{"a loose tensor", "", []string{"v"}, nil, true, ""},
		{"a chosen loose tensor", "v", []string{"v", "w"}, nil, true, ""},
		{"layer in front", "", []string{"layer1.refusal", "layer12.refusal"}, []int{1, 12}, false, ""},
		{"a leading zero is a name", "pca.05", []string{"pca.05", "pca.5"}, nil, true, ""},
		{"two ways at once", "x", []string{"x.1", "layer2.x"}, nil, false, "named one way"},
		{"no such family", "caa", []string{"pca.5"}, nil, false, `want a family or tensor of pca, found "caa"`},
		{"percent signs", "a%d", []string{"a%d.5"}, []int{5}, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "v.safetensors")
			var tensors []safetensors.Tensor
			for i, name := range tc.tensors {
				tensors = append(tensors, safetensors.Float32Tensor(name, []float32{float32(i), 1}, 2))
			}
			if err := safetensors.Write(path, tensors, nil); err != nil {
				t.Fatal(err)
			}
			v, err := ReadVector(Source{path, tc.family})
			if tc.say != "" {
				if err == nil || !strings.Contains(err.Error(), tc.say) {
					t.Errorf("read as %+v, %v; want an error that says %q", v, err, tc.say)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.layers, v.Layers()); diff != "" || (v.Single() != nil) != tc.single {
				t.Errorf("layers: want - got +\n%ssingle %v, want %v", diff, v.Single(), tc.single)
			}
			for _, layer := range v.Layers() {
				if !slices.Contains(tc.tensors, v.Tensor(layer)) {
					t.Errorf("Tensor(%d) = %q, want one of %q", layer, v.Tensor(layer), tc.tensors)
				}
			}
		})
	}
}

func TestSafetensorsRefuses(t *testing.T) {
	float := safetensors.Float32Tensor
	for _, tc := range []struct {
		name    string
		note    map[string]string
		tensors []safetensors.Tensor
		say     string
	}{
		{"two dimensions", nil, []safetensors.Tensor{float("direction.3", make([]float32, 4), 2, 2)}, "direction.3: want 1 dimension, found 2"},
		{"whole numbers", nil, []safetensors.Tensor{{Name: "direction.3", DType: safetensors.I32, Shape: []int{1}, Data: []byte{1, 0, 0, 0}}}, "found I32"},
		{"widths", nil, []safetensors.Tensor{float("direction.3", []float32{1}, 1), float("direction.4", []float32{1, 2}, 2)}, "found 2"},
		{"zero", nil, []safetensors.Tensor{float("v", []float32{0, 0}, 2)}, "zero vector"},
		{"too large for float32", nil, []safetensors.Tensor{{
			Name: "v", DType: safetensors.F64, Shape: []int{1}, Data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e300)),
		}}, "+Inf at index 0"},
		{"mode", map[string]string{"mode": "subtract"}, []safetensors.Tensor{float("v", []float32{1}, 1)}, `mode: want add or project, found "subtract"`},
		{"point", map[string]string{"point": "logits"}, []safetensors.Tensor{float("v", []float32{1}, 1)}, "point: want a point that exists once a block"},
		{"alpha", map[string]string{"alpha": "NaN"}, []safetensors.Tensor{float("v", []float32{1}, 1)}, "alpha: want a finite number"},
		{"nothing", nil, nil, "no tensors"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "v.safetensors")
			if err := safetensors.Write(path, tc.tensors, tc.note); err != nil {
				t.Fatal(err)
			}
			if v, err := ReadVector(Source{path, ""}); err == nil || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("read as %+v, %v; want an error that says %q", v, err, tc.say)
			}
		})
	}
}

func TestNewVector(t *testing.T) {
	for name, blocks := range map[string]map[int][]float32{
		"none": {}, "negative": {-1: {1}}, "widths": {1: {1}, 2: {1, 2}}, "zero": {1: {0}}, "empty": {1: {}}, "NaN": {1: {float32(math.NaN())}},
	} {
		var vector *VectorError
		if v, err := NewVector("x", blocks); !errors.As(err, &vector) {
			t.Errorf("%s: %+v, %v; want a *VectorError", name, v, err)
		}
	}
}

// FuzzVector reads arbitrary bytes as either format: no panic, and what is accepted is fit to be attached and saved.
func FuzzVector(f *testing.F) {
	dir := f.TempDir()
	for name, change := range map[string]func(*controlFile){
		"good":   func(*controlFile) {},
		"block0": func(c *controlFile) { c.tensors[0].Name = "direction.0" },
		"tail":   func(c *controlFile) { c.tensors[0].Name = "direction.1abc" },
		"glp":    func(c *controlFile) { c.set("glp.mode", "project"); c.set("glp.alpha_default", float32(2)) },
	} {
		file := goodFile()
		change(file)
		path := filepath.Join(dir, name)
		if err := gguf.Write(path, file.meta, file.tensors); err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "")
		f.Add(data[:len(data)-20], "direction.2")
	}
	tensors := []safetensors.Tensor{safetensors.Float32Tensor("pca.3", []float32{1, 2}, 2), safetensors.Float32Tensor("v", []float32{1, 2}, 2)}
	path := filepath.Join(dir, "s")
	if err := safetensors.Write(path, tensors, map[string]string{"mode": "add"}); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, "pca")
	f.Add(data, "")
	f.Fuzz(func(t *testing.T, data []byte, family string) {
		path := filepath.Join(t.TempDir(), "v")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		v, err := ReadVector(Source{path, family})
		if err != nil {
			return
		}
		for _, item := range v.Describe().Directions {
			if !(item.Norm > 0) || math.IsInf(item.Norm, 0) {
				t.Errorf("accepted a direction of length %g", item.Norm)
			}
		}
		if err := v.Save(path + ".safetensors"); err != nil {
			t.Errorf("what was read cannot be saved: %v", err)
		}
	})
}
