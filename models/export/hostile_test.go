// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/models/onnx"
	"google.golang.org/protobuf/encoding/protowire"
)

// open reads bytes as a model and writes its graphs again: whatever the bytes are, the answer is a model or an error.
func openBytes(data []byte) error {
	m := &Model{Path: "model.onnx", Missing: map[Place]string{}, Types: map[onnx.DType]int64{}}
	m.files = files{path: m.Path, others: map[string]*mapped.File{}, names: map[string]string{}}
	if err := m.read(data); err != nil {
		return err
	}
	_, err := m.Main.Build(func(g *onnx.Graph, _ string, _ int, value string, _ int, _ string) string {
		return g.Add("Identity", "", []string{value})
	})
	return err
}

func seeds(t testing.TB) [][]byte {
	t.Helper()
	plain, experts := newDrawing(), newDrawing()
	plain.serial(1)
	x := experts.embed()
	experts.head(experts.node("out", "Add", x, experts.experts("mlp", experts.norm("norm", x))))
	return [][]byte{plain.Marshal(), experts.Marshal(), merged(plain.Marshal())}
}

func TestDamagedFiles(t *testing.T) {
	for _, data := range seeds(t) {
		if err := openBytes(data); err != nil {
			t.Fatalf("the whole file: %v", err)
		}
		failed := 0
		for n := 0; n < len(data); n += 7 {
			if openBytes(data[:n]) != nil {
				failed++
			}
			changed := append([]byte(nil), data...)
			changed[n] ^= byte(1 << (n % 8))
			_ = openBytes(changed) // many changes are harmless; none may crash
		}
		if failed == 0 {
			t.Error("no shortened file is an error")
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(_ *testing.T, data []byte) { _ = openBytes(data) })
}

func TestImpossibleGraphs(t *testing.T) {
	for _, c := range []struct {
		name string
		draw func(d *drawing)
		want string
	}{
		{"circle", func(d *drawing) {
			d.node("a", "Add", d.embed(), "b")
			d.node("b", "Neg", "a")
			d.head("b")
		}, "circle"},
		{"one value twice", func(d *drawing) {
			d.head(d.node("a", "Neg", d.embed()))
			d.node("a", "Neg", "embedded")
		}, `two nodes make the value "a"`},
		{"no tokens", func(d *drawing) { d.serial(1); d.Inputs = nil }, "token ids named input_ids"},
		{"no logits", func(d *drawing) { d.serial(1); d.Outputs = nil }, "one named logits"},
		{"logits of whole numbers", func(d *drawing) { d.serial(1); d.Outputs[0].Type = onnx.Int64 }, "float"},
		{"embeddings as input", func(d *drawing) {
			d.serial(1)
			d.Input("inputs_embeds", onnx.Float, onnx.Dims("b", "s", "w")...)
		}, `"inputs_embeds"`},
		{"mask of four dimensions", func(d *drawing) {
			d.serial(1)
			d.node("masked", "Shape", d.Input("attention_mask", onnx.Float, onnx.Dims("b", "h", "s", "t")...))
		}, "shape [batch, tokens]"},
		{"cache without a shape", func(d *drawing) {
			d.serial(1)
			d.node("present.0.key", "Identity", d.Input("past_key_values.0.key", onnx.Float, onnx.Open()...))
			d.Outputs = append(d.Outputs, onnx.Info{Name: "present.0.key", Type: onnx.Float, Shape: onnx.Open()})
		}, "a shape"},
		{"cache with a dimension nobody knows", func(d *drawing) {
			d.serial(1)
			shape := onnx.Dims("batch", "heads", "past", "dim")
			d.node("present.0.key", "Identity", d.Input("past_key_values.0.key", onnx.Float, shape...))
			d.Outputs = append(d.Outputs, onnx.Info{Name: "present.0.key", Type: onnx.Float, Shape: shape})
		}, "a number as dimension"},
		{"tensor too short for its shape", func(d *drawing) { d.serial(1); d.Constants[0].Info.Shape[0] = onnx.N(1 << 40) }, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrawing()
			c.draw(d)
			m, err := Open(d.write(t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open = %v, want an error with %q", err, c.want)
			}
			if err == nil {
				m.Close()
			}
		})
	}
}

// TestOldOperatorsAreRefused holds the least version of the standard set.
func TestOldOperatorsAreRefused(t *testing.T) {
	d := newDrawing()
	d.serial(1)
	d.From = &onnx.Model{IR: 4, Opsets: []onnx.Opset{{Version: 9}}}
	if _, err := Open(d.write(t)); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("Open = %v", err)
	}
}

// external writes a model whose table lies in another file.
func external(t *testing.T, dir, location string, offset, length string) string {
	t.Helper()
	d := newDrawing()
	d.serial(1)
	data := d.Constants[0].Data
	d.Constants = d.Constants[1:]
	if err := os.WriteFile(filepath.Join(dir, "weights"), append(make([]byte, 64), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	entry := func(b []byte, key, value string) []byte {
		e := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
		e = protowire.AppendString(protowire.AppendTag(e, 2, protowire.BytesType), value)
		return protowire.AppendBytes(protowire.AppendTag(b, 13, protowire.BytesType), e)
	}
	var tensor []byte
	for _, n := range []int{d.vocab, d.width} {
		tensor = protowire.AppendVarint(protowire.AppendTag(tensor, 1, protowire.VarintType), uint64(n))
	}
	tensor = protowire.AppendVarint(protowire.AppendTag(tensor, 2, protowire.VarintType), 1)
	tensor = protowire.AppendString(protowire.AppendTag(tensor, 8, protowire.BytesType), "table")
	tensor = entry(entry(entry(tensor, "location", location), "offset", offset), "length", length)
	tensor = protowire.AppendVarint(protowire.AppendTag(tensor, 14, protowire.VarintType), 1)
	d.Stored = [][]byte{tensor}
	path := filepath.Join(dir, "model.onnx")
	if err := os.WriteFile(path, d.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExternalData(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(outside, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, location, offset, length, want string }{
		{"whole", "weights", "64", "512", ""},
		{"folder above", "../weights", "64", "512", "a file of the model's folder"},
		{"absolute", outside, "64", "512", "a file of the model's folder"},
		{"link that leads out", "link", "64", "512", "a file of the model's folder"},
		{"no such file", "nothing", "64", "512", "no such file"},
		{"beyond the end", "weights", "65", "512", "512 from byte 65"},
		{"beyond every end", "weights", "9223372036854775807", "512", "from byte 9223372036854775807"},
		{"negative", "weights", "-1", "512", "-1"},
		{"another length", "weights", "64", "508", "508"},
		{"no number", "weights", "x", "512", `"x"`},
		{"the folder itself", ".", "0", "512", "regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			m, err := Open(external(t, dir, c.location, c.offset, c.length))
			if c.want == "" {
				if err != nil || m.Width != 8 {
					t.Fatalf("Open = %v", err)
				}
				m.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open = %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestLinkedFolder is the cache of Hugging Face: model and weights are links into a folder of blobs.
func TestLinkedFolder(t *testing.T) {
	root := t.TempDir()
	blobs, snapshot := filepath.Join(root, "blobs"), filepath.Join(root, "snapshots", "a")
	for _, dir := range []string{blobs, snapshot} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	external(t, blobs, "weights", "64", "512")
	for from, to := range map[string]string{"model.onnx": "c0ffee", "weights": "beef"} {
		if err := errors.Join(os.Rename(filepath.Join(blobs, from), filepath.Join(blobs, to)), os.Symlink(filepath.Join("..", "..", "blobs", to), filepath.Join(snapshot, from))); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Open(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Real != filepath.Join(blobs, "c0ffee") || len(m.Sites()) == 0 {
		t.Errorf("the model is %s with %d sites", m.Real, len(m.Sites()))
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // "" is an error
	}{
		{"model", map[string]string{"model.onnx": "", "decoder_model_merged.onnx": ""}, "model.onnx"},
		{"merged", map[string]string{"decoder_model.onnx": "", "decoder_with_past_model.onnx": "", "decoder_model_merged.onnx": ""}, "decoder_model_merged.onnx"},
		{"the only one", map[string]string{"x.onnx": ""}, "x.onnx"},
		{"several", map[string]string{"x.onnx": "", "y.onnx": ""}, ""},
		{"subfolder", map[string]string{"config.json": "{}", "onnx/model.onnx": "", "onnx/model_q4.onnx": ""}, "onnx/model.onnx"},
		{"named by genai", map[string]string{"model.onnx": "", "genai_config.json": `{"model":{"decoder":{"filename":"y.onnx"}}}`}, "y.onnx"},
		{"outside, by genai", map[string]string{"model.onnx": "", "genai_config.json": `{"model":{"decoder":{"filename":"../y.onnx"}}}`}, ""},
		{"not named by genai", map[string]string{"model.onnx": "", "genai_config.json": `{}`}, ""},
		{"no JSON", map[string]string{"genai_config.json": `{`}, ""},
		{"nothing", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				p := filepath.Join(dir, filepath.FromSlash(name))
				if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Find(dir)
			if want := filepath.Join(dir, filepath.FromSlash(c.want)); c.want == "" && err == nil || c.want != "" && (err != nil || got != want) {
				t.Errorf("Find = %q, %v, want %q", got, err, c.want)
			}
			if c.files == nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("an empty folder: %v", err)
			}
		})
	}
}
