// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// steerLlama runs a prompt in llama.cpp under a control vector, laid out as common_control_vector_load does it: direction.N at (N-1) times the width.
const steerLlama = `
import ctypes, json, sys
import llama_cpp as L
o = json.loads(sys.stdin.read())
@L.llama_log_callback
def silent(level, text, data): pass
L.llama_log_set(silent, ctypes.c_void_p(0))
L.llama_backend_init()
mp = L.llama_model_default_params(); mp.n_gpu_layers = 0
model = L.llama_model_load_from_file(o["model"].encode(), mp)
width, layers = L.llama_model_n_embd(model), L.llama_model_n_layer(model)
cp = L.llama_context_default_params(); cp.n_ctx = 256
ctx = L.llama_init_from_model(model, cp)
flat = [0.0] * (width * layers)
for n, d in o["directions"].items():
    flat[(int(n) - 1) * width:int(n) * width] = [x * o["strength"] for x in d]
data = (ctypes.c_float * len(flat))(*flat)
apply = getattr(L, "llama_apply_adapter_cvec", None) or L.llama_set_adapter_cvec
code = apply(ctx, data, len(flat), width, 1, layers)
ids = (L.llama_token * len(o["ids"]))(*o["ids"])
if code != 0 or L.llama_decode(ctx, L.llama_batch_get_one(ids, len(o["ids"]))) != 0:
    sys.exit("llama.cpp failed")
vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
print(json.dumps(L.llama_get_logits_ith(ctx, -1)[:vocab]))
`

// TestLlamaCPPAppliesVectorsToTheSameBlock writes a vector and holds that the same file does the same there as here, and something else a block before or behind.
func TestLlamaCPPAppliesVectorsToTheSameBlock(t *testing.T) {
	if err := exec.CommandContext(t.Context(), peerPython(), "-c", "import llama_cpp").Run(); err != nil {
		t.Skipf("%s cannot import llama_cpp (pip install llama-cpp-python, or set %s)", peerPython(), PythonVariable)
	}
	const block, strength = 14, 2
	ids := []int32{1, 4093, 198, 2020, 436, 469, 1194, 47, 2, 198, 1, 520, 9531, 198}
	r := rand.New(rand.NewPCG(1, 2))
	d := make([]float32, 576)
	for i := range d {
		d[i] = float32(r.NormFloat64())
	}
	v, err := steering.NewVector("random", map[int][]float32{block: d})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "random.gguf")
	if err := v.Save(path); err != nil {
		t.Fatal(err)
	}
	m, err := runtime.Open(fixture.SmolLM2(t), runtime.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	here := func(want []float32, specs ...string) float64 {
		var list []hooks.Hook
		for _, spec := range specs {
			h, err := steering.Load(spec)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, h)
		}
		got, err := m.Trace(t.Context(), ids, runtime.TraceOptions{Sites: []hooks.Site{hooks.Once(hooks.Logits)}, Hooks: list})
		if err != nil {
			t.Fatal(err)
		}
		return apart(got[0].Data[len(got[0].Data)-len(want):], want)
	}
	// llama.cpp rounds activations to 8 bits in front of every product, which is how far the two are apart without a vector (0.04 was seen); along a random
	// direction, where no text leads, more of that comes through (0.12), and at a block before or behind the logits are 0.5 away.
	plain := here(inLlama(t, path, ids, 0))
	want := inLlama(t, path, ids, strength)
	same := here(want, "vector:"+path+"*2")
	if plain > 0.1 || same > 0.17 {
		t.Errorf("logits are %.3f of their deviation away from llama.cpp's without a vector and %.3f with it: want at most 0.1 and 0.17", plain, same)
	}
	for _, off := range []string{"resid_post.13", "resid_post.15"} {
		if other := here(want, "vector:"+path+":direction.14*2@"+off); other < 3*same {
			t.Errorf("at %s the logits are %.3f away, at the file's own block %.3f: want them much further", off, other, same)
		}
	}
}

func peerPython() string { return cmp.Or(os.Getenv(PythonVariable), "python3") }

func inLlama(t *testing.T, path string, ids []int32, strength float32) (logits []float32) {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	directions := map[string][]float32{}
	for _, tensor := range f.Tensors {
		numbers, err := f.Float32(tensor.Name)
		if err != nil {
			t.Fatal(err)
		}
		directions[strings.TrimPrefix(tensor.Name, "direction.")] = numbers
	}
	in, err := json.Marshal(map[string]any{"model": fixture.SmolLM2(t), "ids": ids, "directions": directions, "strength": strength})
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), peerPython(), "-c", steerLlama)
	c.Stdin = bytes.NewReader(in)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &logits); err != nil {
		t.Fatal(err)
	}
	return logits
}

// apart is the root mean square difference of logits in units of their standard deviation.
func apart(got, want []float32) float64 {
	mean, square, diff := 0.0, 0.0, 0.0
	for i, x := range want {
		mean += float64(x)
		square += float64(x) * float64(x)
		d := float64(got[i]) - float64(x)
		diff += d * d
	}
	n := float64(len(want))
	return math.Sqrt(diff / n / (square/n - mean/n*mean/n))
}
