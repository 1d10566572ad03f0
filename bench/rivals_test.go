// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// modules puts Python modules in front of the real ones.
func modules(t *testing.T, texts map[string]string) {
	t.Helper()
	t.Setenv(PythonVariable, python(t))
	dir := t.TempDir()
	t.Setenv("PYTHONPATH", dir)
	for name, text := range texts {
		put(t, filepath.Join(dir, name+".py"), text, 0o600)
	}
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// absent are modules that cannot be imported.
func absent() map[string]string {
	out := map[string]string{}
	for _, m := range []string{"llama_cpp", "onnxruntime_genai", "transformers", "torch"} {
		out[m] = "raise ImportError('not here')\n"
	}
	return out
}

func finding(t *testing.T, path string, further ...string) *suite {
	t.Helper()
	c := Config{Peers: true, PeerModels: further}.withDefaults()
	c.Model.Threads = 3
	s := &suite{ctx: t.Context(), c: c, path: path, report: &Report{}, vocab: 100}
	if err := s.find(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPeersThatAreNotInstalled(t *testing.T) {
	modules(t, absent())
	t.Setenv("PATH", t.TempDir())
	export := t.TempDir()
	put(t, filepath.Join(export, "genai_config.json"), "{}", 0o600)
	s := finding(t, "m.gguf", export)
	if len(s.rivals) != 0 || len(s.report.Notes) != 3 {
		t.Fatalf("%d rivals, notes %q: want none, and why for each", len(s.rivals), s.report.Notes)
	}
	for i, want := range []string{"pip install llama-cpp-python", "pip install onnxruntime-genai", "pip install transformers torch"} {
		if !strings.Contains(s.report.Notes[i], want) || !strings.Contains(s.report.Notes[i], PythonVariable) {
			t.Errorf("note %q, want %q", s.report.Notes[i], want)
		}
	}
	s = finding(t, t.TempDir()) // no model of any kind
	if len(s.rivals) != 0 || len(s.report.Notes) != 3 || !strings.Contains(s.report.Notes[0], "--peer-model") {
		t.Errorf("notes %q", s.report.Notes)
	}
}

func TestLlamaCPP(t *testing.T) {
	list := absent()
	list["llama_cpp"] = fakeModule
	modules(t, list)
	s := finding(t, "m.gguf", filepath.Join("else", "m.Q4_0.gguf"), "broken.gguf")
	var names []string
	for _, r := range s.rivals {
		names = append(names, r.name)
	}
	want := []string{
		"llama.cpp", "llama.cpp (flash attention)", "llama.cpp, m.Q4_0.gguf", "llama.cpp (flash attention), m.Q4_0.gguf", "llama.cpp, broken.gguf",
		"llama.cpp (flash attention), broken.gguf",
	}
	if !slices.Equal(names, want) || !slices.Equal(s.report.Machine.Peers, []string{"llama.cpp (1.2.3)"}) {
		t.Fatalf("rivals %q, peers %q", names, s.report.Machine.Peers)
	}
	p, end := s.startOne(&s.rivals[1], peerNeeds{Context: 64, Sequences: 2, Vector: true})
	if p == nil {
		t.Fatal(s.report.Notes)
	}
	for name, step := range map[string]Contestant{"prefill": p.prefill([]int32{4, 5}), "crowd": p.(*script).crowd([]int32{4, 5}, 2, 1, 4)} {
		if x, err := step.Step(t.Context()); err != nil || x.Wall <= 0 || step.Peer != llamaCPP {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
	if now, before, err := p.(*script).memory(); err != nil || now.Resident < before.Resident/2 {
		t.Errorf("memory %+v, before %+v, %v", now, before, err)
	}
	var err error
	if end(&err); err != nil {
		t.Error(err)
	}
	notes := len(s.report.Notes)
	if p, _ := s.startOne(&s.rivals[4], peerNeeds{Context: 64}); p != nil || len(s.report.Notes) != notes+1 || !strings.Contains(s.report.Notes[notes], "cannot load") {
		t.Errorf("a file that cannot be loaded: %v, notes %q", p, s.report.Notes)
	}
}

// fakeModule has what peers/llamacpp.py uses of llama_cpp, and checks how it is used: two sequences share a prompt, then run a token each.
const fakeModule = `
import ctypes
__version__ = "1.2.3"
llama_token = ctypes.c_int32
def llama_log_callback(f): return f
def llama_log_set(f, data): pass
def llama_backend_init(): pass
class Params: pass
def llama_model_default_params(): return Params()
def llama_context_default_params(): return Params()
def llama_model_load_from_file(path, p):
    assert p.n_gpu_layers == 0
    return None if path == b"broken.gguf" else "model"
def llama_init_from_model(model, p):
    assert (p.n_ctx, p.n_seq_max, p.n_threads, p.n_threads_batch, p.flash_attn_type) == (128, 2, 3, 3, 1)
    return "context"
class Batch:
    def __init__(self, n):
        self.token, self.pos, self.n_seq_id, self.logits, self.seq_id = {}, {}, {}, {}, [{} for _ in range(n)]
def llama_batch_init(n, embd, seqs):
    assert (n, embd, seqs) == (2, 0, 1)
    return Batch(n)
def llama_model_n_embd(model): return 4
def llama_model_n_layer(model): return 3
def llama_set_adapter_cvec(ctx, data, n, width, first, last):
    assert (ctx, n, width, first, last) == ("context", 12, 4, 1, 3) and any(data)
    return 0
def llama_get_memory(ctx): return "memory"
shared = [False]
def llama_memory_seq_rm(memory, seq, begin, end): assert memory == "memory" and end == -1
def llama_memory_seq_cp(memory, source, to, begin, end):
    assert (memory, source, to, begin, end) == ("memory", 0, 1, -1, -1)
    shared[0] = True
def llama_batch_get_one(array, n): return list(array)
def llama_decode(ctx, batch):
    if isinstance(batch, Batch):
        assert shared[0] and batch.n_tokens == 2 and batch.pos[0] == batch.pos[1] >= 2 and [s[0] for s in batch.seq_id] == [0, 1]
    else:
        assert batch == [4, 5]
    return 0
def llama_get_logits_ith(ctx, i): return [1.0]
`

// TestLlamaBench puts a command of that name into PATH, which answers as the real one does and writes down how it is called.
func TestLlamaBench(t *testing.T) {
	list := absent()
	modules(t, list)
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	put(t, filepath.Join(dir, "llama-bench"), "#!/bin/sh\necho \"$*\" >> "+log+"\necho '[{\"build_commit\": \"x\", \"avg_ns\": 4000}]'\n", 0o700)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	s := finding(t, "m.gguf")
	if len(s.rivals) != 2 || s.rivals[1].name != "llama-bench (flash attention)" {
		t.Fatalf("%d rivals, notes %q", len(s.rivals), s.report.Notes)
	}
	p, _ := s.startOne(&s.rivals[1], peerNeeds{})
	for _, c := range []Contestant{p.decode(make([]int32, 32), 8, 64), p.prefill(make([]int32, 512))} {
		if x, err := c.Step(t.Context()); err != nil || x != (Sample{Wall: 4 * time.Microsecond, CPU: 12 * time.Microsecond}) {
			t.Errorf("a step took %+v, %v", x, err)
		}
	}
	same(t, strings.Join(commands(t, log), "\n"), "-m m.gguf -t 3 -ngl 0 -fa 1 -r 1 -o json -p 0 -n 8 -d 32\n-m m.gguf -t 3 -ngl 0 -fa 1 -r 1 -o json -p 512 -n 0")
	put(t, filepath.Join(dir, "llama-bench"), "#!/bin/sh\necho '[]'\n", 0o700)
	if _, err := p.prefill([]int32{1}).Step(t.Context()); err == nil || !strings.Contains(err.Error(), "avg_ns") {
		t.Errorf("an answer without a test: %v", err)
	}
}

func TestFilesOfPeers(t *testing.T) {
	export, folder := t.TempDir(), t.TempDir()
	put(t, filepath.Join(export, "genai_config.json"), "{}", 0o600)
	put(t, filepath.Join(export, "config.json"), "{}", 0o600)
	put(t, filepath.Join(folder, "config.json"), "{}", 0o600)
	want := map[string][]string{llamaCPP: {"a.gguf", "b.GGUF"}, genAI: {export}, transformers: {"a.gguf", folder}}
	for _, l := range libraries() {
		if got := l.files("a.gguf", []string{"b.GGUF", export, folder, "c.onnx"}); !slices.Equal(got, want[l.family]) {
			t.Errorf("%s runs %q, want %q", l.family, got, want[l.family])
		}
	}
}

// TestScriptsStart: every script that a library names is there and can be parsed.
func TestScriptsStart(t *testing.T) {
	modules(t, map[string]string{
		"llama_cpp": "__version__ = '1'\ndef llama_log_callback(f): return f\n", "numpy": "", "onnxruntime_genai": "__version__ = '1'\n",
		"torch": "", "transformers": "__version__ = '1'\n",
	})
	for _, l := range libraries() {
		p, err := launch(context.Background(), &rival{name: l.family}, l.script)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.since(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
