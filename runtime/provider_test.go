// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

func TestProviderNames(t *testing.T) {
	for _, c := range []struct {
		given, name Provider
		device      int
	}{{"", CPU, 0}, {"cpu", CPU, 0}, {"cuda", CUDA, 0}, {"cuda:0", CUDA, 0}, {"cuda:3", CUDA, 3}, {"openvino", OpenVINO, 0}} {
		if name, device, err := c.given.split(); name != c.name || device != c.device || err != nil {
			t.Errorf("%q is %s of device %d, %v, want %s of %d", c.given, name, device, err, c.name, c.device)
		}
	}
	for _, given := range []Provider{"gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:1:2", "cpu:1", "openvino:1", "cuda:256"} {
		if err := given.Check(); err == nil || !strings.Contains(err.Error(), string(given)) {
			t.Errorf("%q: %v, want an error that names it", given, err)
		}
		if _, err := (Config{Provider: given}).withForms(); err == nil {
			t.Errorf("a config with the provider %q is accepted", given)
		}
	}
}

func TestFormsOfProviders(t *testing.T) {
	for _, c := range []struct {
		in      Config
		kernels Kernels
		kv      KV
	}{
		{Config{Provider: CUDA}, ORT, KVHalf},
		{Config{Provider: "cuda:1", Quant: Float32}, ORT, KVHalf},
		{Config{Provider: CUDA, Kernels: ORT, KV: KVHalf}, ORT, KVHalf},
		{Config{Provider: OpenVINO}, ORT, KVFull},
	} {
		if got, err := c.in.withForms(); got.Kernels != c.kernels || got.KV != c.kv || err != nil {
			t.Errorf("%s: kernels %s, kv %s, %v, want %s, %s", c.in.Provider, got.Kernels, got.KV, err, c.kernels, c.kv)
		}
	}
	for _, c := range []Config{{Provider: CUDA, Kernels: Own}, {Provider: CUDA, KV: KVFull}, {Provider: CUDA, KV: KVInt8}, {Provider: OpenVINO, Kernels: Own}} {
		if _, err := c.withForms(); err == nil {
			t.Errorf("%s with kernels %q and kv %q is accepted", c.Provider, c.Kernels, c.KV)
		}
	}
}

// TestProviderFailuresSayWhatToDo holds messages of ONNX Runtime 1.31 and 1.32, shortened, against what is made of them.
func TestProviderFailuresSayWhatToDo(t *testing.T) {
	const load = "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: "
	for _, c := range []struct{ message, reason, advice string }{
		{"CUDA execution provider is not enabled in this build.", "built without it", "onnxruntime-gpu"},
		{"Failed to load library /opt/ort/libonnxruntime_providers_shared.so with error: /opt/ort/libonnxruntime_providers_shared.so: cannot open shared object file: No such file or directory", "not beside ONNX Runtime's", "/opt/ort"},
		{load + "/opt/ort/libonnxruntime_providers_cuda.so: undefined symbol: Provider_GetHost", "another version", "one package"},
		{load + "libcublasLt.so.13: cannot open shared object file: No such file or directory", "needs is not found", "CUDA and cuDNN"},
		{load + "libcuda.so.1: cannot open shared object file: No such file or directory", "driver is not installed", "nvidia-smi"},
		{load + "/usr/lib/libcudnn.so.9: undefined symbol: cudnnX, version libcudnn.so.9", "of another version", "release notes"},
		{"Failed to parse provider option \"device_id\": CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version", "too old", "nvidia-smi"},
		{"CUDA failure 100: no CUDA-capable device is detected", "no device is found", "nvidia-smi"},
		{"Invalid device ID: 7, must be between 0 (inclusive) and 1 (exclusive).", "no device of that number", "nvidia-smi -L"},
		{"CUDA failure 101: invalid device ordinal", "no device of that number", "nvidia-smi -L"},
		{"CUDA failure 999: unknown error", "CUDA does not work here", "nvidia-smi"},
	} {
		said := errors.New(c.message)
		var e *ProviderError
		err := Provider("cuda:7").explain("/opt/ort/libonnxruntime.so.1", said)
		if !errors.As(err, &e) || !errors.Is(err, said) || !strings.Contains(e.Reason, c.reason) || !strings.Contains(e.Advice, c.advice) {
			t.Errorf("%q: %v, want the reason %q and the advice %q", c.message, err, c.reason, c.advice)
		}
		if err := CPU.explain("/opt/ort/libonnxruntime.so.1", said); err != said {
			t.Errorf("cpu: %v, want the error as it was", err)
		}
	}
	other := errors.New("No Op registered for Foo")
	if err := CUDA.explain("/opt/ort/libonnxruntime.so.1", other); err != other {
		t.Errorf("%v, want what has nothing to do with a provider as it was", err)
	}
}

// TestLibraryWithoutTheProvider: the library that set-up fetches is built for the processor alone.
func TestLibraryWithoutTheProvider(t *testing.T) {
	path := fixture.Path(t, "fixtures/models/llama")
	m := open(t, path, Config{Quant: Float32})
	_, built, err := Providers(m.config.Library)
	if err != nil || !slices.Contains(built, "CPUExecutionProvider") {
		t.Fatalf("providers %v, %v", built, err)
	}
	for _, p := range []Provider{CUDA, "cuda:1", OpenVINO} {
		if slices.Contains(built, p.builtName()) {
			t.Logf("the library has %s", p.builtName())
			continue
		}
		var e *ProviderError
		_, err := Open(path, Config{Provider: p})
		if !errors.As(err, &e) || e.Provider != p || !strings.Contains(err.Error(), LibraryVariable) || !strings.Contains(err.Error(), m.version) {
			t.Errorf("%s: %v, want an error that says which library is there and which is needed", p, err)
		}
	}
}

// TestMemoryApart runs everything as on a device with memory of its own: weights, keys and values, positions and encoders lie in tensors of the provider's
// allocator, inputs are sent for each pass, and taps that only read stand beside the values' way. The operators are the same, so the bits are too.
func TestMemoryApart(t *testing.T) {
	for name, config := range map[string]Config{
		"models/llama":         {Quant: Float32, Kernels: ORT, KV: KVHalf},
		"models/gemma3":        {Quant: Float32},
		"models/qwen3_moe":     {Quant: Float32, Kernels: ORT, KV: KVHalf},
		"gguf/llama/q4_1.gguf": {Kernels: ORT},
	} {
		t.Run(name, func(t *testing.T) {
			path := fixture.Path(t, "fixtures/"+name)
			here := open(t, path, config)
			config.apart = true
			there := open(t, path, config)
			if there.device == nil || here.device != nil {
				t.Fatal("the memory is not apart")
			}
			compareModels(t, here, there, 0)
		})
	}
}

// compareModels runs the same hooks and prompts on two models. They may be off by so many standard deviations; 0 is the same bits.
func compareModels(t *testing.T, a, b *Model, off float64) {
	t.Helper()
	same := func(what string, x, y []float32) {
		t.Helper()
		if d := deviation(x, y); off == 0 && !sameBits(x, y) || !(d <= off) {
			t.Errorf("%s: %.1e standard deviations apart, want at most %.0e", what, d, off)
		}
	}
	same("logits", trace(t, a, hooks.Once(hooks.Logits)), trace(t, b, hooks.Once(hooks.Logits)))
	site := hooks.At(hooks.ResidPost, 1)
	for _, e := range edits(site, a.shape.Width) {
		h := plan(hooks.Plan{Edits: []hooks.Edit{e}})
		same(e.Name, trace(t, a, hooks.Once(hooks.Logits), h), trace(t, b, hooks.Once(hooks.Logits), h))
		// A tap that writes goes through the processor's memory and back.
		h = plan(hooks.Plan{Taps: []hooks.Tap{e.Tap()}})
		same(e.Name+" in Go", trace(t, a, hooks.Once(hooks.Logits), h), trace(t, b, hooks.Once(hooks.Logits), h))
	}
	if off > 0 {
		return // tokens and numbers as whole ones are no fair test of kernels that round otherwise
	}
	o := Options{MaxTokens: 12, IgnoreEOS: true}
	for _, n := range []int{5, firstCapacity - 6} { // the second grows the cache while tokens are generated
		if n+o.MaxTokens > a.config.Context {
			continue
		}
		if x, y := answered(t, a, n, o), answered(t, b, n, o); !slices.Equal(x, y) {
			t.Errorf("%d tokens are continued with %v and %v", n, x, y)
		}
	}
}

// answered generates while a strength is turned and two sites are watched, one of them through an encoder. What was seen becomes part of what is returned.
func answered(t *testing.T, m *Model, n int, o Options) []int32 {
	t.Helper()
	s := newSession(t, m)
	knob := hooks.NewKnob(0)
	e := hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{direction(m.shape.Width, 5)}, Strength: knob}
	var order []int32
	seen := func(layer int32) func(a *hooks.Activation) error {
		return func(a *hooks.Activation) error {
			order = append(order, layer, int32(a.First), int32(len(a.Tokens)))
			knob.Set(float32(a.First % 3)) // for the next pass
			return nil
		}
	}
	encoder := &hooks.Encoder{Name: "e", Rows: 7, Weight: direction(7*m.shape.Width, 6), Bits: 32}
	p := hooks.Plan{Edits: []hooks.Edit{e}, Taps: []hooks.Tap{
		{Name: "late", Site: hooks.At(hooks.ResidPost, 1), ReadOnly: true, Func: seen(1)},
		{Name: "early", Site: hooks.At(hooks.ResidPre, 0), ReadOnly: true, Func: seen(0)},
		{Name: "encoded", Site: hooks.At(hooks.ResidMid, 1), ReadOnly: true, Encoder: encoder, Func: func(a *hooks.Activation) error {
			if want := 7 * len(a.Tokens); len(a.Products) != want {
				return fmt.Errorf("%d products, want %d", len(a.Products), want)
			}
			order = append(order, int32(a.Products[0]*1e3))
			return nil
		}},
	}}
	if _, err := s.Attach(plan(p)); err != nil {
		t.Fatal(err)
	}
	ids := collect(t, s, long(n), o)
	return append(ids, order...)
}

// TestAttentionInHalfPrecision is the graph that runs on CUDA, on the processor: keys and values of 11 bits are off by 2^-11 of their size at most, and what comes
// of it in the logits was measured as up to 2e-3 standard deviations.
func TestAttentionInHalfPrecision(t *testing.T) {
	for _, name := range []string{"llama", "mistral", "qwen2", "qwen3", "gemma3", "gpt2", "pythia", "mixtral", "olmoe", "phi3"} {
		path := fixture.Path(t, "fixtures/models/"+name)
		want := trace(t, open(t, path, Config{Quant: Float32}), hooks.Once(hooks.Logits))
		got := trace(t, open(t, path, Config{Quant: Float32, Kernels: ORT, KV: KVHalf}), hooks.Once(hooks.Logits))
		if d := deviation(got, want); !(d <= 1e-2) || d == 0 {
			t.Errorf("%s: logits are %.1e standard deviations off", name, d)
		}
	}
}

// openVINOVariable names the library of the package onnxruntime-openvino (1.24.1 was tried); its folder must be in LD_LIBRARY_PATH.
const openVINOVariable = "TRIMTAB_OPENVINO"

// TestSecondProvider runs graphs with edits under other kernels than the processor's own: what the edits do does not depend on them. A process has one library
// of ONNX Runtime, so this test runs alone, without asynchronous preemption: OpenVINO takes the threads' alternate signal stacks away, and Go's signals land on them.
//
//	LD_LIBRARY_PATH=DIR TRIMTAB_OPENVINO=DIR/libonnxruntime.so.1.24.1 TRIMTAB_ONNXRUNTIME=$TRIMTAB_OPENVINO GODEBUG=asyncpreemptoff=1 go test ./runtime -run SecondProvider
func TestSecondProvider(t *testing.T) {
	library := os.Getenv(openVINOVariable)
	if library == "" {
		t.Skipf("%s names no library", openVINOVariable)
	}
	if !strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1") {
		t.Fatal("want GODEBUG=asyncpreemptoff=1")
	}
	profile := filepath.Join(t.TempDir(), "ran")
	for _, name := range []string{"llama", "qwen3", "gemma3", "gpt2"} {
		path := fixture.Path(t, "fixtures/models/"+name)
		here := open(t, path, Config{Library: library, Quant: Float32})
		there := open(t, path, Config{Library: library, Quant: Float32, Provider: OpenVINO, Profile: profile})
		compareModels(t, here, there, 1e-3) // other kernels add in another order
		if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(profile + "*")
		ran := 0
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			ran += strings.Count(string(text), "OpenVINOExecutionProvider")
			os.Remove(f)
		}
		t.Logf("%s: OpenVINO ran %d nodes", name, ran)
		if ran == 0 {
			t.Errorf("%s: OpenVINO ran nothing", name)
		}
	}
}
