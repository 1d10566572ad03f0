// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/safetensors"
)

// open opens a file for the test's length.
func open(tb testing.TB, path string) *File {
	tb.Helper()
	f, err := Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// must unwraps a getter whose key the test knows to be there.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return v
	}
}

// everyKind is metadata with all that a file can hold.
func everyKind() []Pair {
	return []Pair{
		{"general.architecture", "test"},
		{"u8", uint8(255)},
		{"i8", int8(-128)},
		{"u16", uint16(65535)},
		{"i16", int16(-32768)},
		{"u32", uint32(math.MaxUint32)},
		{"i32", int32(math.MinInt32)},
		{"u64", uint64(math.MaxUint64)},
		{"i64", int64(math.MinInt64)},
		{"f32", float32(0.5)},
		{"f64", math.Pi},
		{"true", true},
		{"false", false},
		{"empty", ""},
		{"unicode", "Größe ☃"},
		{"a.u8", []uint8{1, 2}},
		{"a.i8", []int8{-1, 2}},
		{"a.u16", []uint16{1, 2}},
		{"a.i16", []int16{-1, 2}},
		{"a.u32", []uint32{1, 2}},
		{"a.i32", []int32{-1, 2}},
		{"a.u64", []uint64{1, 1 << 63}},
		{"a.i64", []int64{-1, 2}},
		{"a.f32", []float32{1, 2.5}},
		{"a.f64", []float64{1, 2.5}},
		{"a.bool", []bool{true, false}},
		{"a.string", []string{"a", "", "ccc"}},
		{"a.none", []string{}},
		{"a.array", []any{[]int32{1, 2}, []string{"x"}, []any{[]bool{true}}}},
	}
}

// TestRoundTrip writes every kind of value and several shapes, reads them, and reads them again after Close.
func TestRoundTrip(t *testing.T) {
	for name, alignment := range map[string]uint32{"default alignment": 0, "alignment 1": 1, "alignment 64": 64, "alignment 4096": 4096} {
		t.Run(name, func(t *testing.T) {
			meta := everyKind()
			wantAlign := 32
			if alignment > 0 {
				meta = append(meta, Pair{alignmentKey, alignment})
				wantAlign = int(alignment)
			}
			tensors := []Tensor{
				Float32Tensor("matrix", []float32{1, 2, 3, 4, 5, 6}, 2, 3),
				Float32Tensor("scalar", []float32{7}),
				Float32Tensor("none", nil, 0, 5),
				{Name: "blocks", Type: quant.Q8_0, Shape: []int{2, 1, 32}, Data: bytes.Repeat([]byte{1}, 68)},
				{Name: "ids", Type: quant.I32, Shape: []int{1}, Data: []byte{1, 0, 0, 0}},
			}
			path := filepath.Join(t.TempDir(), "x.gguf")
			if err := Write(path, meta, tensors); err != nil {
				t.Fatal(err)
			}
			f := open(t, path)
			if f.Version != 3 || f.Alignment != wantAlign {
				t.Errorf("version %d, alignment %d, want 3, %d", f.Version, f.Alignment, wantAlign)
			}
			if len(f.Tensors) != len(tensors) {
				t.Fatalf("%d tensors, want %d", len(f.Tensors), len(tensors))
			}
			for i, want := range tensors {
				got := f.Tensors[i]
				if got.Name != want.Name || got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
					t.Errorf("tensor %d = %v, want %v", i, got, want)
				}
			}
			if v, err := f.Float32("matrix", 2, -1); err != nil || !slices.Equal(v, []float32{1, 2, 3, 4, 5, 6}) {
				t.Errorf("Float32(matrix) = %v, %v", v, err)
			}
			if _, err := f.Float32("ids"); err == nil || !strings.Contains(err.Error(), `tensor "ids": quant: I32: want a type with float values`) {
				t.Errorf("Float32(ids) = %v, want an error about its type", err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			var got []Pair // after Close: metadata is the caller's to keep
			for _, key := range f.Meta.Keys() {
				v, ok := f.Meta.Value(key)
				if !ok {
					t.Errorf("Value(%q) absent", key)
				}
				got = append(got, Pair{key, v.Any()})
			}
			if diff := cmp.Diff(meta, got); diff != "" {
				t.Errorf("metadata differs (-written +read):\n%s", diff)
			}
		})
	}
}

// TestGetters asks every getter for every kind.
func TestGetters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := Write(path, everyKind(), nil); err != nil {
		t.Fatal(err)
	}
	m := open(t, path).Meta
	u32, i64 := uint32(math.MaxUint32), int64(math.MinInt64) // variables, so that this compiles where int has 32 bits
	for name, c := range map[string]struct {
		get  func() (any, error)
		want any
		err  string
	}{
		"string":               {func() (any, error) { return m.String("unicode") }, "Größe ☃", ""},
		"int from u8":          {func() (any, error) { return m.Int("u8") }, 255, ""},
		"int from i8":          {func() (any, error) { return m.Int("i8") }, -128, ""},
		"int from u16":         {func() (any, error) { return m.Int("u16") }, 65535, ""},
		"int from i16":         {func() (any, error) { return m.Int("i16") }, -32768, ""},
		"int from u32":         {func() (any, error) { return m.Int("u32") }, int(u32), ""},
		"int from i32":         {func() (any, error) { return m.Int("i32") }, math.MinInt32, ""},
		"int from i64":         {func() (any, error) { return m.Int("i64") }, int(i64), ""},
		"int from huge u64":    {func() (any, error) { return m.Int("u64") }, 0, `key "u64": want integer in range, found 18446744073709551615`},
		"int from float":       {func() (any, error) { return m.Int("f32") }, 0, `key "f32": want integer, found float32`},
		"int from bool":        {func() (any, error) { return m.Int("true") }, 0, `key "true": want integer, found bool`},
		"int from array":       {func() (any, error) { return m.Int("a.i32") }, 0, `key "a.i32": want integer, found array of int32`},
		"int from nothing":     {func() (any, error) { return m.Int("no") }, 0, `key "no": want integer, found nothing`},
		"float from f32":       {func() (any, error) { return m.Float("f32") }, 0.5, ""},
		"float from f64":       {func() (any, error) { return m.Float("f64") }, math.Pi, ""},
		"float from u8":        {func() (any, error) { return m.Float("u8") }, 0.0, `key "u8": want float, found uint8`},
		"bool":                 {func() (any, error) { return m.Bool("true") }, true, ""},
		"bool from u8":         {func() (any, error) { return m.Bool("u8") }, false, `key "u8": want bool, found uint8`},
		"strings":              {func() (any, error) { return m.Strings("a.string") }, []string{"a", "", "ccc"}, ""},
		"no strings":           {func() (any, error) { return m.Strings("a.none") }, []string{}, ""},
		"strings from string":  {func() (any, error) { return m.Strings("unicode") }, []string(nil), `key "unicode": want array of string, found string`},
		"strings from numbers": {func() (any, error) { return m.Strings("a.i32") }, []string(nil), `key "a.i32": want array of string, found array of int32`},
		"ints":                 {func() (any, error) { return m.Ints("a.i8") }, []int{-1, 2}, ""},
		"ints from huge u64":   {func() (any, error) { return m.Ints("a.u64") }, []int(nil), `key "a.u64": want array of integers in range, found one beyond`},
		"ints from floats":     {func() (any, error) { return m.Ints("a.f32") }, []int(nil), `want array of integer, found array of float32`},
		"ints from arrays":     {func() (any, error) { return m.Ints("a.array") }, []int(nil), `found array of array`},
		"floats from f32":      {func() (any, error) { return m.Floats("a.f32") }, []float32{1, 2.5}, ""},
		"floats from f64":      {func() (any, error) { return m.Floats("a.f64") }, []float32{1, 2.5}, ""},
		"floats from ints":     {func() (any, error) { return m.Floats("a.u8") }, []float32(nil), `want array of float, found array of uint8`},
		"bools":                {func() (any, error) { return m.Bools("a.bool") }, []bool{true, false}, ""},
		"bools from nothing":   {func() (any, error) { return m.Bools("no") }, []bool(nil), `want array of bool, found nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.get()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var key *KeyError
			switch {
			case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !errors.As(err, &key)):
				t.Errorf("error = %v, want a KeyError with %q", err, c.err)
			case errors.Is(err, ErrAbsent) != strings.Contains(c.err, "found nothing"):
				t.Errorf("errors.Is(%v, ErrAbsent) = %v", err, errors.Is(err, ErrAbsent))
			}
		})
	}
	if v, ok, err := Optional(m.Int("no")); v != 0 || ok || err != nil {
		t.Errorf("Optional of an absent key = %v, %v, %v, want 0, false, nil", v, ok, err)
	}
	if v, ok, err := Optional(m.Int("u8")); v != 255 || !ok || err != nil {
		t.Errorf("Optional of a key = %v, %v, %v, want 255, true, nil", v, ok, err)
	}
	if _, ok, err := Optional(m.Int("f32")); ok || err == nil {
		t.Errorf("Optional of a wrong type = %v, %v, want false and an error", ok, err)
	}
	if v, _ := m.Value("a.f64"); v.String() != "[2]float64" {
		t.Errorf("String() = %q, want [2]float64", v.String())
	}
}

func TestWriteRefuses(t *testing.T) {
	f32 := func(shape ...int) Tensor { return Float32Tensor("t", make([]float32, 4), shape...) }
	for name, c := range map[string]struct {
		meta    []Pair
		tensors []Tensor
		want    string
	}{
		"int":                 {meta: []Pair{{"k", 1}}, want: `key "k": want a number of fixed width`},
		"nil":                 {meta: []Pair{{"k", nil}}, want: `key "k": want a value, found nil`},
		"list of int":         {meta: []Pair{{"k", []int{1}}}, want: "found int"},
		"list of nil":         {meta: []Pair{{"k", []any{nil}}}, want: "want arrays in an array of arrays, found invalid"},
		"mixed list":          {meta: []Pair{{"k", []any{"x"}}}, want: "want arrays in an array of arrays, found string"},
		"key twice":           {meta: []Pair{{"k", "a"}, {"k", "b"}}, want: `key "k": want a new name`},
		"empty key":           {meta: []Pair{{"", "a"}}, want: "want a new name"},
		"int alignment":       {meta: []Pair{{alignmentKey, int32(32)}}, want: "found int32 32"},
		"alignment 24":        {meta: []Pair{{alignmentKey, uint32(24)}}, want: "power of two"},
		"alignment of 1 GiB":  {meta: []Pair{{alignmentKey, uint32(1 << 30)}}, want: "power of two up to 1048576, found uint32 1073741824"},
		"tensor twice":        {tensors: []Tensor{f32(4), f32(4)}, want: `tensor "t": want a new name`},
		"wrong shape":         {tensors: []Tensor{f32(5)}, want: `tensor "t": want 20 bytes in whole rows of F32 [5], found 16`},
		"negative shape":      {tensors: []Tensor{f32(-2, -2)}, want: "lengths of 0 and more"},
		"five dimensions":     {tensors: []Tensor{f32(4, 1, 1, 1, 1)}, want: "at most 4 dimensions"},
		"rows of half blocks": {tensors: []Tensor{{Name: "t", Type: quant.Q4_0, Shape: []int{2, 16}, Data: make([]byte, 18)}}, want: "whole rows of Q4_0"},
		"unknown type":        {tensors: []Tensor{{Name: "t", Type: 5, Shape: []int{4}, Data: make([]byte, 4)}}, want: "type 5"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := Write(filepath.Join(dir, "x.gguf"), c.meta, c.tensors)
			var format *FormatError
			if err == nil || !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Write = %v, want a FormatError with %q", err, c.want)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("a refused Write left %v", left)
			}
		})
	}
}

// ggufs lists the reference files below a folder of shared/.
func ggufs(t *testing.T, folder string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(fixture.Path(t, folder), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".gguf") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("no GGUF files below %s: %v", folder, err)
	}
	return paths
}

// TestRewriteOthers reads files that other programs wrote (llama.cpp's converter and quantiser, Python's gguf, repeng,
// EasySteer) and writes them again: byte for byte the same file, so that what reads theirs reads ours.
func TestRewriteOthers(t *testing.T) {
	for _, folder := range []string{"fixtures/gguf", "fixtures/quants", "fixtures-dictionaries/concepts", "data/ZJU-REAL+EasySteer", "data/ggerganov+llama.cpp/models"} {
		for _, path := range ggufs(t, folder) {
			t.Run(filepath.Join(filepath.Base(filepath.Dir(path)), filepath.Base(path)), func(t *testing.T) {
				f := open(t, path)
				var meta []Pair
				for _, key := range f.Meta.Keys() {
					v, _ := f.Meta.Value(key)
					meta = append(meta, Pair{key, v.Any()})
				}
				copied := filepath.Join(t.TempDir(), "x.gguf")
				if err := Write(copied, meta, f.Tensors); err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if len(f.Tensors) == 0 { // Python leaves out the padding when nothing follows
					want = append(want, make([]byte, -len(want)&31)...)
				}
				got, err := os.ReadFile(copied)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("written again, %d bytes differ from the original %d", len(got), len(want))
				}
			})
		}
	}
}

// TestModelFixtures compares the quantised files with the report of the program that made them, and the F32 ones with
// the weights they were made from.
func TestModelFixtures(t *testing.T) {
	for _, path := range ggufs(t, "fixtures/gguf") {
		dir, model := filepath.Dir(path), filepath.Base(filepath.Dir(path))
		t.Run(filepath.Join(model, filepath.Base(path)), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, "gguf_report.json"))
			if err != nil {
				t.Fatal(err)
			}
			var report struct {
				Files map[string]struct {
					Types map[string]int `json:"tensor_types"`
				} `json:"files"`
			}
			if err := json.Unmarshal(text, &report); err != nil {
				t.Fatal(err)
			}
			f := open(t, path)
			got := map[string]int{}
			for _, x := range f.Tensors {
				got[x.Type.String()]++
			}
			name := strings.ToUpper(strings.TrimSuffix(filepath.Base(path), ".gguf"))
			if diff := cmp.Diff(report.Files[name].Types, got); diff != "" {
				t.Errorf("tensor types (-report +read):\n%s", diff)
			}
			if name == "F32" {
				compareEmbedding(t, f, model)
			}
		})
	}
}

// compareEmbedding holds the token embedding, which converters leave as it is, to the Hugging Face folder's.
func compareEmbedding(t *testing.T, f *File, model string) {
	t.Helper()
	s, err := safetensors.Open(fixture.Path(t, "fixtures/models/"+model))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want, ok := s.Tensor("model.embed_tokens.weight")
	got, ok2 := f.Tensor("token_embd.weight")
	if !ok || !ok2 || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("token_embd.weight %v differs from the folder's %v", got.Shape, want.Shape)
	}
}

// TestControlVectors checks files of three writers; sums were taken with numpy in float64.
func TestControlVectors(t *testing.T) {
	for _, c := range []struct {
		path, hint string
		layers     int
		first      string
		width      int
		sum        float64
	}{
		{"fixtures-dictionaries/concepts/happy-vs-sad.diffmean.gguf", "llama", 15, "direction.8", 576, 0.19068593},
		{"fixtures-dictionaries/concepts/happy-vs-sad.pca_diff.repeng.gguf", "llama", 15, "direction.8", 576, 1.0450836},
		{"data/ZJU-REAL+EasySteer/vectors/happy_diffmean.gguf", "qwen2.5", 28, "direction.0", 1536, 0.47360587},
		{"data/ZJU-REAL+EasySteer/replications/cast/refuse-pca.gguf", "unknown", 28, "direction.0", 1536, 0.006629944},
	} {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			f := open(t, fixture.Path(t, c.path))
			if got := must[string](t)(f.Meta.String("general.architecture")); got != "controlvector" {
				t.Errorf("architecture = %q", got)
			}
			if got := must[string](t)(f.Meta.String("controlvector.model_hint")); got != c.hint {
				t.Errorf("model_hint = %q, want %q", got, c.hint)
			}
			if got := must[int](t)(f.Meta.Int("controlvector.layer_count")); got != c.layers || len(f.Tensors) != c.layers {
				t.Errorf("layer_count = %d, %d tensors, want %d", got, len(f.Tensors), c.layers)
			}
			sum := 0.0
			for _, v := range must[[]float32](t)(f.Float32(c.first, c.width)) {
				sum += float64(v)
			}
			if math.Abs(sum-c.sum) > 1e-4 { // the reference sums were rounded to float32 on the way
				t.Errorf("sum of %s = %v, want %v", c.first, sum, c.sum)
			}
			if f.Tensors[0].Name != c.first {
				t.Errorf("first tensor %q, want %q", f.Tensors[0].Name, c.first)
			}
		})
	}
}

// TestVocabularies counts what llama.cpp's vocabulary-only files hold; the numbers are those models' published ones.
func TestVocabularies(t *testing.T) {
	for _, c := range []struct {
		file, architecture string
		tokens             int
		at                 int
		token              string
	}{
		{"gpt-2", "gpt2", 50257, 50256, "<|endoftext|>"},
		{"gpt-neox", "gptneox", 50432, 0, "<|endoftext|>"},
		{"llama-spm", "llama", 32000, 1, "<s>"},
		{"phi-3", "phi3", 32064, 32000, "<|endoftext|>"},
		{"bert-bge", "bert", 30522, 101, "[CLS]"},
	} {
		t.Run(c.file, func(t *testing.T) {
			f := open(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-"+c.file+".gguf"))
			if len(f.Tensors) != 0 {
				t.Errorf("%d tensors, want none", len(f.Tensors))
			}
			if got := must[string](t)(f.Meta.String("general.architecture")); got != c.architecture {
				t.Errorf("architecture = %q, want %q", got, c.architecture)
			}
			tokens := must[[]string](t)(f.Meta.Strings("tokenizer.ggml.tokens"))
			types := must[[]int](t)(f.Meta.Ints("tokenizer.ggml.token_type"))
			if len(tokens) != c.tokens || len(types) != c.tokens || tokens[c.at] != c.token {
				t.Errorf("%d tokens, %d types, want %d; token %d = %q, want %q", len(tokens), len(types), c.tokens, c.at, tokens[c.at], c.token)
			}
		})
	}
}

// TestSmolLM2 opens a published model whole.
func TestSmolLM2(t *testing.T) {
	f := open(t, fixture.SmolLM2(t))
	m := f.Meta
	for key, want := range map[string]int{
		"llama.block_count": 30, "llama.embedding_length": 576, "llama.feed_forward_length": 1536, "llama.attention.head_count": 9,
		"llama.attention.head_count_kv": 3, "llama.context_length": 8192, "llama.vocab_size": 49152,
	} {
		if got := must[int](t)(m.Int(key)); got != want {
			t.Errorf("%s = %d, want %d", key, got, want)
		}
	}
	if got := must[float64](t)(m.Float("llama.rope.freq_base")); got != 1e5 {
		t.Errorf("rope.freq_base = %v, want 1e5", got)
	}
	if tokens, merges := must[[]string](t)(m.Strings("tokenizer.ggml.tokens")), must[[]string](t)(m.Strings("tokenizer.ggml.merges")); len(tokens) != 49152 || tokens[1] != "<|im_start|>" || len(merges) != 48900 {
		t.Errorf("%d tokens, token 1 = %q, %d merges", len(tokens), tokens[1], len(merges))
	}
	types := map[quant.Type]int{}
	elements := 0
	for _, x := range f.Tensors {
		types[x.Type]++
		elements += x.Len()
	}
	// 30 layers of 9 tensors, the embedding and the last norm; the published 134.5 million parameters.
	if want := map[quant.Type]int{quant.F32: 61, quant.Q4_1: 210, quant.Q8_0: 1}; !cmp.Equal(want, types) || elements != 134515008 {
		t.Errorf("tensors %v of %d elements, want %v of 134515008", types, elements, want)
	}
	if _, err := f.Float32("token_embd.weight", 49152, 576); err != nil {
		t.Error(err)
	}
	for want, shape := range map[string][]int{"want shape [576 49152], found [49152 576]": {576, 49152}, "want shape [3], found": {3}} {
		if _, err := f.Float32("token_embd.weight", shape...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Float32 with another shape = %v, want %q", err, want)
		}
	}
	if _, err := f.Float32("output.weight"); err == nil || !strings.Contains(err.Error(), `tensor "output.weight": want it in the file, found 272 others`) {
		t.Errorf("Float32 of an absent tensor = %v", err)
	}
	if _, ok := f.Tensor("output.weight"); ok {
		t.Error("Tensor(output.weight) is there, want none: the head is tied")
	}
}

func TestWriteToNowhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "x.gguf")
	if err := Write(path, nil, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "gguf: ") {
		t.Errorf("Write into a folder that is not there = %v", err)
	}
}

func TestCloseTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := Write(path, nil, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close(), (*File)(nil).Close()); err != nil {
		t.Error(err)
	}
}

func BenchmarkOpen(b *testing.B) {
	path := fixture.SmolLM2(b)
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Meta.Strings("tokenizer.ggml.tokens"); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
