// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/onnx"
	"google.golang.org/protobuf/encoding/protowire"
)

// TestMergedExport runs a decoder whose two graphs stand under an If, as decoder_model_merged.onnx has them: the one for an empty cache reads no cache at all.
func TestMergedExport(t *testing.T) {
	source := fixture.Path(t, "fixtures/onnx/llama-optimum")
	dir := t.TempDir()
	for from, to := range map[string]string{"config.json": "config.json", "model.onnx": "decoder_model_merged.onnx"} {
		data, err := os.ReadFile(filepath.Join(source, from))
		if err != nil {
			t.Fatal(err)
		}
		if from == "model.onnx" {
			data = merged(data)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain, both := open(t, source, Config{}), open(t, dir, Config{Chunk: 3})
	if both.file.Export.First == nil || len(both.shape.Widths) != len(plain.shape.Widths) {
		t.Fatalf("%d sites, want %d", len(both.shape.Widths), len(plain.shape.Widths))
	}
	e := hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, 1), Directions: [][]float32{direction(plain.shape.Width, 1)}}
	seen := 0
	tap := hooks.Tap{Name: "count", Site: e.Site, ReadOnly: true, Func: func(a *hooks.Activation) error { seen += len(a.Tokens); return nil }}
	for name, p := range map[string]hooks.Plan{"none": {}, "edit and tap": {Edits: []hooks.Edit{e}, Taps: []hooks.Tap{tap}}} {
		var got [2][]int32
		for i, m := range []*Model{plain, both} {
			s := newSession(t, m)
			if _, err := s.Attach(plan(p)); err != nil {
				t.Fatal(err)
			}
			o := Options{MaxTokens: 6, IgnoreEOS: true}
			got[i] = append(collect(t, s, prompt, o), collect(t, s, append(slices.Clone(prompt), 4, 5, 6), o)...)
		}
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("hooks %s: %v, want %v", name, got[1], got[0])
		}
	}
	if want := 2 * (len(prompt) + 5 + 3 + 5); seen != want {
		t.Errorf("%d rows were seen, want %d", seen, want)
	}
}

// merged puts a model with a cache into both branches of an If over use_cache_branch. In the second, past keys and values are empty constants.
func merged(model []byte) []byte {
	var graph, rest []byte
	walk(model, func(number protowire.Number, field, value []byte) {
		if number == 7 {
			graph = value
		} else {
			rest = append(rest, field...)
		}
	})
	var branch, outer []byte
	walk(graph, func(number protowire.Number, field, value []byte) {
		switch number {
		case 1:
			branch = append(branch, field...)
		case 12:
			branch, outer = append(branch, field...), append(outer, field...)
		default:
			outer = append(outer, field...)
		}
	})
	first := bytes.ReplaceAll(branch, []byte("past_key_values."), []byte("none_key_values."))
	for i := range 3 {
		for _, part := range []string{"key", "value"} {
			first = message(first, 5, []byte("\x08\x01\x08\x02\x08\x00\x08\x20\x10\x01\x42"+string(rune(18+len(part)))+"none_key_values."+string(rune('0'+i))+"."+part))
		}
	}
	node := []byte("\x0a\x10use_cache_branch")
	walk(graph, func(number protowire.Number, _, value []byte) {
		if number == 12 {
			walk(value, func(number protowire.Number, _, name []byte) {
				if number == 1 {
					node = message(node, 2, name)
				}
			})
		}
	})
	node = message(node, 4, []byte("If"))
	for name, body := range map[string][]byte{"then_branch": branch, "else_branch": first} {
		a := message(message(nil, 1, []byte(name)), 6, message(body, 2, []byte(name)))
		node = message(node, 5, protowire.AppendVarint(protowire.AppendTag(a, 20, protowire.VarintType), 5))
	}
	outer = message(outer, 11, []byte("\x0a\x10use_cache_branch\x12\x0a\x0a\x08\x08\x09\x12\x04\x0a\x02\x08\x01")) // bool [1]
	return message(rest, 7, message(outer, 1, node))
}

func message(b []byte, number protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v)
}

// walk visits the fields of a message; value is that of fields of bytes.
func walk(b []byte, visit func(number protowire.Number, field, value []byte)) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(b[n:])
		}
		n += protowire.ConsumeFieldValue(number, kind, b[n:])
		visit(number, b[:n], value)
		b = b[n:]
	}
}

// TestHalfPrecisionExport steers a graph whose values are float16: hooks see float32, and whole numbers stay exact.
func TestHalfPrecisionExport(t *testing.T) {
	const width, vocab = 4, 8
	var g onnx.Graph
	half := func(name string, rows, cols int, value func(i int) uint16) string {
		var data []byte
		for i := range rows * cols {
			data = binary.LittleEndian.AppendUint16(data, value(i))
		}
		return g.Constant(name, onnx.Float16, data, onnx.N(rows), onnx.N(cols))
	}
	one := func(i int) uint16 { return 0x3c00 } // 1
	identity := func(i int) uint16 {
		if i/vocab == i%vocab {
			return 0x4000 // 2
		}
		return 0
	}
	x := g.Add("Gather", "", []string{half("table", vocab, width, one), g.Input("input_ids", onnx.Int64, onnx.Dims("batch", "tokens")...)})
	g.Output(g.Add("MatMul", "", []string{x, half("head", width, vocab, identity)}), "logits", onnx.Float16, append(onnx.Dims("batch", "tokens"), onnx.N(vocab))...)
	path := filepath.Join(t.TempDir(), "half.onnx")
	if err := os.WriteFile(path, g.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
	m := open(t, path, Config{})
	e := hooks.Edit{Name: "v", Site: hooks.Once(hooks.Embeddings), Directions: [][]float32{{0, 1, 2, 3}}, Strength: hooks.NewKnob(4)}
	got, err := m.Trace(t.Context(), []int32{1, 5}, TraceOptions{
		Sites: []hooks.Site{e.Site, hooks.Once(hooks.Logits)}, Hooks: []hooks.Hook{plan(hooks.Plan{Edits: []hooks.Edit{e}})},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]float32{{1, 5, 9, 13, 1, 5, 9, 13}, {2, 10, 18, 26, 0, 0, 0, 0, 2, 10, 18, 26, 0, 0, 0, 0}} {
		if !slices.Equal(got[i].Data, want) {
			t.Errorf("%s = %v, want %v", got[i].Site, got[i].Data, want)
		}
	}
	s := newSession(t, m)
	if _, err := s.Attach(plan(hooks.Plan{Edits: []hooks.Edit{e}})); err != nil {
		t.Fatal(err)
	}
	if ids := collect(t, s, []int32{1, 5}, Options{MaxTokens: 3}); !slices.Equal(ids, []int32{3, 3, 3}) {
		t.Errorf("greedy = %v, want the direction's largest element", ids)
	}
}

// TestLinkedExport runs a model from a folder of links, as the cache of Hugging Face has them: graph and weights are links to files of other names elsewhere.
func TestLinkedExport(t *testing.T) {
	source := fixture.Path(t, "fixtures/onnx/qwen2-optimum")
	root := t.TempDir()
	blobs, snapshot := filepath.Join(root, "blobs"), filepath.Join(root, "snapshots", "a")
	for _, dir := range []string{blobs, snapshot} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"config.json", "model.onnx", "model.onnx_data"} {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		blob := filepath.Join(blobs, "blob"+string(rune('0'+i)))
		if err := os.WriteFile(blob, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..", "..", "blobs", filepath.Base(blob)), filepath.Join(snapshot, name)); err != nil {
			t.Fatal(err)
		}
	}
	ref := openReference(t, fixture.Path(t, "fixtures/models/qwen2/reference.safetensors"))
	compareGreedy(t, open(t, snapshot, Config{}), ref, "p0.")
	compareGreedy(t, open(t, filepath.Join(snapshot, "model.onnx"), Config{}), ref, "p0.")
}
