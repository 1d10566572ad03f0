// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example() *Report {
	return &Report{
		Machine: Machine{OS: "linux/amd64", CPU: "Some CPU @ 2 GHz", CPUs: 2, Go: "go1.26", ORT: "1.32.0", ISA: "avx2", Peers: []string{"llama-cpp-python 0.3"}},
		Model:   "tiny, keep, 1 threads",
		Load:    Load{OpenMS: 120.4, FirstTokenMS: 30, FileBytes: 90_000_000, ResidentMB: 101.25, PeakMB: 150, AttachMS: 8.6, AttachMB: -0.25},
		Speed: []Section{{Title: "decode, 32 tokens of context", Clock: "processor", Tokens: 8, Results: []Result{
			{Name: "trimtab", Median: 80, CPU: 79, Ratio: 1, Interval: [2]float64{1, 1}, Spread: [2]float64{72, 88}},
			{Name: "llama.cpp (flash attention)", Median: 160, CPU: 160, Ratio: 2.0312, Interval: [2]float64{1.9, 2.1}, Spread: [2]float64{152, 168}},
		}}},
		Hooks: []Section{{Title: "hooks at prefill of 512 tokens", Clock: "wall", Tokens: 512, Results: []Result{
			{Name: "one vector", Median: 1024, CPU: 2000, Ratio: 1.0014, Interval: [2]float64{0.99, 1.01}, Spread: [2]float64{1000, 1050}},
		}}},
		Notes: []string{"a note"},
	}
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTables(t *testing.T) {
	var b strings.Builder
	example().Print(&b)
	same(t, b.String(), `tiny, keep, 1 threads
Some CPU @ 2 GHz, 2 processors, linux/amd64, go1.26, ONNX Runtime 1.32.0, kernels avx2, llama-cpp-python 0.3

load 120 ms, then first token of 32 in 30 ms; stored weights 90.0 MB, resident 101.2 MB, peak 150.0 MB
first vector attached in 9 ms; resident memory then -0.2 MB

decode, 32 tokens of context (ratios of processor time)
                             ms/token  quartiles      tokens/s  ratio  95 %
trimtab                      10.000    9.000-11.000   100.0     1.000  1.000-1.000
llama.cpp (flash attention)  20.000    19.000-21.000  50.0      2.031  1.900-2.100

hooks at prefill of 512 tokens (ratios of wall time)
            ms/token  quartiles    tokens/s  ratio  95 %
one vector  2.000     1.953-2.051  500.0     1.001  0.990-1.010

note: a note
`)
}

// TestBenchmarkLines: the format is that of golang.org/x/perf/benchfmt, key: value lines and then one line a benchmark, whose name has no spaces.
func TestBenchmarkLines(t *testing.T) {
	var b strings.Builder
	example().PrintBenchmarks(&b)
	same(t, b.String(), `goos: linux/amd64
cpu: Some CPU @ 2 GHz
BenchmarkDecode32TokensOfContext/Trimtab 1 80000000 ns/op 1.0000 ratio
BenchmarkDecode32TokensOfContext/LlamaCppFlashAttention 1 160000000 ns/op 2.0312 ratio
BenchmarkHooksAtPrefillOf512Tokens/OneVector 1 1024000000 ns/op 1.0014 ratio
`)
}

func TestReportAsJSON(t *testing.T) {
	data, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(example(), &back); d != "" {
		t.Errorf("what JSON loses (-want +got):\n%s", d)
	}
	for _, key := range []string{`"onnxruntime":"1.32.0"`, `"tokens_a_step":8`, `"ratio_95":[1.9,2.1]`, `"cpu_ms":79`, `"attach_growth_mb":-0.25`, `"notes":["a note"]`} {
		if !strings.Contains(string(data), key) {
			t.Errorf("no %s in %s", key, data)
		}
	}
}
