// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakePeer speaks the peers' protocol without a model: a run takes 1000 ns of wall time a token and 500 of processor time, and is written down.
const fakePeer = `
import json, sys
log = open(sys.argv[1], "a")
for line in sys.stdin:
    o = json.loads(line)
    log.write(line)
    log.flush()
    if "load" in o:
        if o["load"] == "broken":
            sys.exit("cannot load")
        answer = {"version": "9.9"}
    else:
        if o["at"] > 1000:
            sys.exit("too far")
        answer = {"wall": 1000 * len(o["run"]), "cpu": 500 * len(o["run"])}
    print(json.dumps(answer), flush=True)
`

func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	return path
}

// startPeer returns the fake as a peer and the file that it writes commands to.
func startPeer(t *testing.T) (*Peer, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p := &Peer{Name: "fake"}
	if err := p.start(exec.CommandContext(t.Context(), python(t), "-c", fakePeer, log)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, log
}

func commands(t *testing.T, log string) []string {
	t.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func TestPeerDecodes(t *testing.T) {
	p, log := startPeer(t)
	c := p.decode([]int32{7, 8, 9}, 2, 4)
	for range 3 { // the third goes back to behind the prompt: a context grows by 4 tokens at most
		s, err := c.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s != (Sample{Wall: 2000 * time.Nanosecond, CPU: 1000 * time.Nanosecond}) {
			t.Errorf("a step of two tokens took %+v: the prompt must not count", s)
		}
	}
	want := []string{
		`{"at":0,"run":[7,8,9]}`, `{"at":3,"run":[7]}`, `{"at":4,"run":[7]}`,
		`{"at":5,"run":[7]}`, `{"at":6,"run":[8]}`, `{"at":7,"run":[9]}`, `{"at":8,"run":[7]}`,
		`{"at":5,"run":[7]}`, `{"at":6,"run":[8]}`,
	}
	same(t, strings.Join(commands(t, log), "\n"), strings.Join(want, "\n"))
}

func TestPeerPrefills(t *testing.T) {
	p, log := startPeer(t)
	c := p.prefill([]int32{1, 2, 3})
	for range 2 {
		if s, err := c.Step(t.Context()); err != nil || s.Wall != 3000 || s.CPU != 1500 {
			t.Errorf("a prefill took %+v, %v", s, err)
		}
	}
	same(t, strings.Join(commands(t, log), "\n"), "{\"at\":0,\"run\":[1,2,3]}\n{\"at\":0,\"run\":[1,2,3]}")
}

func TestPeerThatEnds(t *testing.T) {
	p, _ := startPeer(t)
	if _, err := p.run([]int32{1}, 2000); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "fake") {
		t.Errorf("a process that ended: %v, want an unexpected end, with the peer's name", err)
	}
	if err := p.Close(); err == nil {
		t.Error("Close of a process that failed: no error")
	}
	if err := errors.Join(p.Close(), (*Peer)(nil).Close()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func TestPeerClosesCleanly(t *testing.T) {
	p, _ := startPeer(t)
	if _, err := p.run([]int32{1}, 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
}

// TestLlamaCPP puts a module of that name in front of the real one.
func TestLlamaCPP(t *testing.T) {
	t.Setenv(PythonVariable, python(t))
	dir := t.TempDir()
	t.Setenv("PYTHONPATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "llama_cpp.py"), []byte("raise ImportError('not here')\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LlamaCPP(t.Context(), "m.gguf", 1, 64, false); !errors.Is(err, ErrNoPeer) || !strings.Contains(err.Error(), PythonVariable) {
		t.Errorf("without the module: %v, want ErrNoPeer and how to get it", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "llama_cpp.py"), []byte(fakeModule), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := LlamaCPP(t.Context(), "m.gguf", 3, 64, true)
	if err != nil {
		t.Fatal(err)
	}
	if p.Version != "1.2.3" || !strings.Contains(p.Name, "flash") {
		t.Errorf("peer %q, version %q", p.Name, p.Version)
	}
	if s, err := p.run([]int32{4, 5}, 0); err != nil || s.Wall <= 0 {
		t.Errorf("a run took %+v, %v", s, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := LlamaCPP(t.Context(), "broken", 1, 64, false); err == nil || errors.Is(err, ErrNoPeer) || !strings.Contains(err.Error(), "llama.cpp") {
		t.Errorf("a file that cannot be loaded: %v", err)
	}
}

// fakeModule has what peers/llamacpp.py uses of llama_cpp.
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
    return None if path == b"broken" else "model"
def llama_init_from_model(model, p):
    assert (p.n_ctx, p.n_threads, p.n_threads_batch, p.flash_attn_type) == (64, 3, 3, 1)
    return "context"
def llama_get_memory(ctx): return "memory"
def llama_memory_seq_rm(memory, seq, begin, end): assert (memory, seq, begin, end) == ("memory", 0, 0, -1)
def llama_batch_get_one(array, n): return list(array)
def llama_decode(ctx, batch):
    assert batch == [4, 5]
    return 0
def llama_get_logits_ith(ctx, i): return [1.0]
`
