// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models"
)

// onnxFiles is a repository of ONNX exports as transformers.js and optimum leave it.
func onnxFiles() map[string][]byte {
	return map[string][]byte{
		"README.md": nil, "config.json": []byte(`{}`), "tokenizer.json": []byte(`{"model":{}}`),
		"onnx/model.onnx": weights(10), "onnx/model.onnx_data": weights(1000), "onnx/model.onnx_data_1": weights(900),
		"onnx/model_q4.onnx": weights(11), "onnx/model_q4.onnx_data": weights(300), "onnx/model_q4f16.onnx": weights(12),
		"onnx/decoder_with_past_model.onnx": weights(5),
	}
}

// genaiFiles is a repository of folders for onnxruntime-genai.
func genaiFiles() map[string][]byte {
	out := map[string][]byte{"README.md": nil, "config.json": []byte(`{}`)}
	for _, dir := range []string{"cpu_and_mobile/cpu-int4-rtn-block-32", "cuda/cuda-fp16"} {
		for name, n := range map[string]int{genaiName: 0, "config.json": 0, "tokenizer.json": 0, "tokenizer_config.json": 0, "phi3.onnx": 30, "phi3.onnx.data": 700, "LICENSE": 3} {
			data := []byte(`{"dir":"` + dir + `","name":"` + name + `"}`)
			if n > 0 {
				data = weights(n + len(dir)) // blobs of different contents
			}
			out[dir+"/"+name] = data
		}
	}
	return out
}

func TestResolveExport(t *testing.T) {
	const cpu = "cpu_and_mobile/cpu-int4-rtn-block-32"
	alone := map[string][]byte{genaiName: []byte("{}"), "model.onnx": weights(5), "model.onnx.data": weights(6), "tokenizer.json": []byte(`{"model":{}}`), "x.bin": weights(2)}
	one := map[string][]byte{"only/some.onnx": weights(9), "README.md": nil}
	for _, tt := range []struct {
		name, want, open string
		files            map[string][]byte
		fetched          []string
		err              string
	}{
		{name: "the usual", files: onnxFiles(), open: "onnx/model.onnx", fetched: []string{"config.json", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1", "tokenizer.json"}},
		{name: "a tag", files: onnxFiles(), want: ":q4", open: "onnx/model_q4.onnx", fetched: []string{"config.json", "onnx/model_q4.onnx", "onnx/model_q4.onnx_data", "tokenizer.json"}},
		{name: "a file", files: onnxFiles(), want: ":model_q4f16.onnx", open: "onnx/model_q4f16.onnx", fetched: []string{"config.json", "onnx/model_q4f16.onnx", "tokenizer.json"}},
		{name: "a folder", files: genaiFiles(), want: ":" + cpu, open: cpu, fetched: []string{
			cpu + "/config.json", cpu + "/" + genaiName, cpu + "/phi3.onnx", cpu + "/phi3.onnx.data", cpu + "/tokenizer.json", cpu + "/tokenizer_config.json",
		}},
		{name: "a folder's tag", files: genaiFiles(), want: ":cpu-int4-rtn-block-32", open: cpu},
		{name: "at the top", files: alone, open: "", fetched: []string{genaiName, "model.onnx", "model.onnx.data", "tokenizer.json"}},
		{name: "the only one", files: one, open: "only/some.onnx", fetched: []string{"only/some.onnx"}},
		{name: "several folders", files: genaiFiles(), err: "want one of several ONNX exports named, as in some-org/some-model:" + cpu},
		{name: "no such", files: onnxFiles(), want: ":q8", err: `want one ONNX export for "q8", found onnx/model.onnx, onnx/model_q4.onnx, onnx/model_q4f16.onnx`},
		{name: "nothing", files: map[string][]byte{"README.md": nil}, err: "a GGUF file or an ONNX export, found none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.files)
			path, err := Resolve(t.Context(), testRepo+tt.want, Options{pause: time.Millisecond})
			if tt.err != "" {
				var choice *ChoiceError
				if !errors.As(err, &choice) || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want a ChoiceError with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(snapshotFolder(), filepath.FromSlash(tt.open)); path != want {
				t.Errorf("path %s, want %s", path, want)
			}
			if tt.fetched != nil {
				if d := cmp.Diff(tt.fetched, newStore(cacheFolder(), testRepo).files(testCommit)); d != "" {
					t.Errorf("files: %s", d)
				}
			}
			before := len(s.requests)
			if again := resolve(t, testRepo+tt.want, Options{pause: time.Millisecond}); again != path || len(s.requests) != before {
				t.Errorf("second call: path %s after %d requests, want %s after none", again, len(s.requests)-before, path)
			}
		})
	}
}

// TestResolvedExportsOpen opens real exports where the cache has them: files are links to blobs, weights too.
func TestResolvedExportsOpen(t *testing.T) {
	for _, c := range []struct{ export, under, graph string }{
		{"qwen2-optimum", "onnx/", "onnx/model.onnx"}, {"qwen3-genai-int4", "cpu/", "cpu"}, {"llama-genai-fp32", "", ""},
	} {
		source := fixture.Path(t, "fixtures/onnx/"+c.export)
		files := map[string][]byte{}
		entries, err := os.ReadDir(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(source, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			under := c.under
			if e.Name() == configName && c.export == "qwen2-optimum" {
				under = ""
			}
			files[under+e.Name()] = data
		}
		newServer(t, files)
		path := resolve(t, testRepo, Options{pause: time.Millisecond})
		info, err := os.Lstat(filepath.Join(snapshotFolder(), filepath.FromSlash(c.graph)))
		if err != nil || info.Mode()&fs.ModeSymlink == 0 && !info.IsDir() {
			t.Errorf("%s: %v, %v, want a link or a folder", c.export, info, err)
		}
		m, err := models.Open(path)
		if err != nil {
			t.Errorf("%s: %v", c.export, err)
			continue
		}
		if m.Export == nil || m.Layers != 3 || m.Vocab < 256 {
			t.Errorf("%s: %d layers, vocabulary %d", c.export, m.Layers, m.Vocab)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
