// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func example() *Report {
	return &Report{
		Machine: Machine{OS: "linux/amd64", Kernel: "6.1", CPU: "Some CPU @ 2 GHz", CPUs: 2, Go: "go1.26", ORT: "1.32.0", ISA: "avx2", Peers: []string{"llama.cpp (0.3)"}},
		Model:   "tiny, keep, 1 threads",
		Rounds:  20,
		Load:    &Load{FileBytes: 90_000_000, Warm: Start{OpenMS: 120.4, FirstTokenMS: 30, AttachMS: 8.64, SteeredMS: 31, ReadMB: 0}},
		Memory: []Footprint{
			{Name: "none", Resident: 100, Anonymous: 80, Native: 70, File: 20, Peak: 101, Ratio: 1}, {Name: "other", Peer: "llama.cpp", Resident: 80, Ratio: 0.8},
		},
		Sections: []Section{
			{Suite: SuiteSpeed, Title: "decode, 32 tokens of context", Clock: "processor", Tokens: 8, Unit: "token", Results: []Result{
				{Name: "trimtab", Median: 80, CPU: 79, Ratio: 1, Interval: [2]float64{1, 1}, Spread: [2]float64{72, 88}, Bytes: 16},
				{Name: "llama.cpp", Peer: "llama.cpp", Median: 176, CPU: 170, Ratio: 2.2, Interval: [2]float64{2.1, 2.3}, Spread: [2]float64{160, 180}},
				{Name: "llama.cpp (flash attention)", Peer: "llama.cpp", Median: 160, CPU: 160, Ratio: 2.0312, Interval: [2]float64{1.9, 2.1}, Spread: [2]float64{152, 168}},
			}},
			{Suite: SuiteOverhead, Title: "hooks: prefill of 512 tokens", Clock: "wall", Tokens: 512, Unit: "token", Results: []Result{
				{
					Name: "rules", Median: 1024, CPU: 2000, Ratio: 1.0014, Interval: [2]float64{0.99, 1.01}, Spread: [2]float64{1000, 1050}, AttachMS: 12.5, NativeMB: 3,
					Beside: "SAE|", BesideOf: 1.25, BesideFrom: [2]float64{1.2, 1.3},
				},
			}},
		},
		Fidelity: []Fidelity{{Quant: "q8", Kernels: "own", KV: "f16", Positions: 10, Agreement: 0.9, KL: 0.001, NLL: 2}},
		Notes:    []string{"a note"},
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
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	same(t, strings.Join(lines, "\n"), `tiny, keep, 1 threads
Some CPU @ 2 GHz, 2 processors, linux/amd64 6.1, go1.26, ONNX Runtime 1.32.0, kernels avx2, llama.cpp (0.3)

start of a process, medians (stored weights 90.0 MB)
           open, ms  first token of 32, ms  first vector attached, ms  its first token, ms  read from a disk, MB
warm file  120       30                     8.6                        31.0                 0.0

memory of a process behind a prompt, MB
       resident  anonymous  native  of files  peak   ratio
none   100.0     80.0       70.0    20.0      101.0  1.000
other  80.0      0.0                0.0              0.800

decode, 32 tokens of context (ratios of processor time)
                             ms/token  quartiles      tokens/s  ratio  95 %         Go bytes/token
trimtab                      10.000    9.000-11.000   100.0     1.000  1.000-1.000  2
llama.cpp                    22.000    20.000-22.500  45.5      2.200  2.100-2.300
llama.cpp (flash attention)  20.000    19.000-21.000  50.0      2.031  1.900-2.100
llama.cpp takes 2.031 (1.900-2.100) times as long: llama.cpp (flash attention)

hooks: prefill of 512 tokens (ratios of wall time)
       ms/token  quartiles    tokens/s  ratio  95 %         Go bytes/token  attach, ms  native, MB  to another  95 %         which
rules  2.000     1.953-2.051  500.0     1.001  0.990-1.010  0               12.5        3.0         1.250       1.200-1.300  SAE|

what forms lose against exactly expanded weights
quant  kernels  kv   positions  top-1   mean KL   NLL
q8     own      f16  10         90.00%  0.001000  2.0000

note: a note`)
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	r := example()
	r.Load, r.Memory, r.Fidelity = nil, nil, nil
	r.Markdown(&b)
	same(t, b.String(), `tiny, keep, 1 threads; Some CPU @ 2 GHz, 2 processors, linux/amd64 6.1, go1.26, ONNX Runtime 1.32.0, kernels avx2, llama.cpp (0.3)

decode, 32 tokens of context (ratios of processor time):

|  | ms/token | quartiles | tokens/s | ratio | 95 % | Go bytes/token |
|---|---|---|---|---|---|---|
| trimtab | 10.000 | 9.000-11.000 | 100.0 | 1.000 | 1.000-1.000 | 2 |
| llama.cpp | 22.000 | 20.000-22.500 | 45.5 | 2.200 | 2.100-2.300 |  |
| llama.cpp (flash attention) | 20.000 | 19.000-21.000 | 50.0 | 2.031 | 1.900-2.100 |  |

llama.cpp takes 2.031 (1.900-2.100) times as long: llama.cpp (flash attention)

hooks: prefill of 512 tokens (ratios of wall time):

|  | ms/token | quartiles | tokens/s | ratio | 95 % | Go bytes/token | attach, ms | native, MB | to another | 95 % | which |
|---|---|---|---|---|---|---|---|---|---|---|---|
| rules | 2.000 | 1.953-2.051 | 500.0 | 1.001 | 0.990-1.010 | 0 | 12.5 | 3.0 | 1.250 | 1.200-1.300 | SAE\| |

Note: a note
`)
}

// TestBenchmarkLines: the format is that of golang.org/x/perf/benchfmt, key: value lines and then one line a step, whose name has no spaces.
func TestBenchmarkLines(t *testing.T) {
	var b strings.Builder
	r := example()
	r.Sections[0].Results = r.Sections[0].Results[:1]
	r.Sections[0].Results[0].samples = []Sample{{Wall: 80 * time.Millisecond, CPU: 72 * time.Millisecond, Bytes: 16}, {Wall: 88 * time.Millisecond}}
	r.PrintBenchmarks(&b)
	same(t, b.String(), `goos: linux/amd64
cpu: Some CPU @ 2 GHz
BenchmarkDecode32TokensOfContext/Trimtab 8 10000000 ns/op 9000000 cpu-ns/op 2 B/op
BenchmarkDecode32TokensOfContext/Trimtab 8 11000000 ns/op 0 cpu-ns/op 0 B/op
BenchmarkHooksPrefillOf512Tokens/Rules 512 2000000 ns/op 3906250 cpu-ns/op 0 B/op
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
	if d := cmp.Diff(example(), &back, cmpopts.IgnoreUnexported(Result{})); d != "" {
		t.Errorf("what JSON loses (-want +got):\n%s", d)
	}
	for _, key := range []string{
		`"onnxruntime":"1.32.0"`, `"tokens_a_step":8`, `"ratio_95":[1.9,2.1]`, `"cpu_ms":79`, `"suite":"overhead"`, `"notes":["a note"]`, `"beside_ratio_95":[1.2,1.3]`,
		`"resident_mb":100`, `"peer":"llama.cpp"`,
	} {
		if !strings.Contains(string(data), key) {
			t.Errorf("no %s in %s", key, data)
		}
	}
}
