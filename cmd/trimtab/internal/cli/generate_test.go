// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
)

type generated struct {
	PromptIDs []int32 `json:"prompt_ids"`
	IDs       []int32 `json:"ids"`
	Text      string  `json:"text"`
	Finish    string  `json:"finish_reason"`
	Seed      uint64  `json:"seed"`
	LogProbs  []struct {
		ID      int32   `json:"id"`
		LogProb float32 `json:"logprob"`
		Top     []struct{ ID int32 }
	}
	Timings map[string]float64 `json:"timings"`
}

func generate(t *testing.T, args ...string) generated {
	t.Helper()
	var g generated
	decode(t, ok(t, "", append([]string{"generate", tiny(t), "--json", "-n", "8"}, args...)...), &g)
	return g
}

func TestGenerateReachesTheReference(t *testing.T) {
	needRuntime(t)
	f, err := safetensors.Open(fixture.Path(t, "fixtures/models/llama/reference.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	numbers := func(name string) (out []string) {
		x, _ := f.Tensor(name)
		list, err := x.AppendInt64(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range list {
			out = append(out, fmt.Sprint(id))
		}
		return out
	}
	want := numbers("p0.greedy")
	g := generate(t, "--ids", strings.Join(numbers("p0.input_ids"), ","), "-n", "16", "--temp", "0", "--ignore-eos", "--quant", "f32", "--logprobs", "2")
	var got []string
	for i, id := range g.IDs {
		got = append(got, fmt.Sprint(id))
		if p := g.LogProbs[i]; p.ID != id || len(p.Top) != 2 || p.Top[0].ID != id || p.LogProb >= 0 {
			t.Errorf("log-probabilities of token %d: %+v", i, p)
		}
	}
	if !slices.Equal(got, want) || g.Finish != "length" {
		t.Errorf("ids %v, %s; want %v, length", got, g.Finish, want)
	}
	for _, name := range []string{"prefill_tokens_per_s", "decode_tokens_per_s", "first_token_ms"} {
		if g.Timings[name] <= 0 {
			t.Errorf("timings: %s is %g", name, g.Timings[name])
		}
	}
}

func TestGenerate(t *testing.T) {
	needRuntime(t)
	prompted := generate(t, "--prompt", "<s>ab", "--seed", "3")
	if !slices.Equal(prompted.PromptIDs, []int32{1, 100, 101}) || prompted.Seed != 3 {
		t.Errorf("prompt: %+v", prompted)
	}
	if again := generate(t, "--prompt", "<s>ab", "--seed", "3"); !slices.Equal(again.IDs, prompted.IDs) || again.Text != prompted.Text {
		t.Errorf("the same seed gives %v, want %v", again.IDs, prompted.IDs)
	}
	drawn := generate(t, "--prompt", "<s>ab")
	if again := generate(t, "--prompt", "<s>ab", "--seed", fmt.Sprint(drawn.Seed)); !slices.Equal(again.IDs, drawn.IDs) {
		t.Errorf("the seed that was drawn gives %v, want %v", again.IDs, drawn.IDs)
	}
	if text := ok(t, "", "generate", tiny(t), "-n", "8", "--prompt", "<s>ab", "--seed", "3"); text != prompted.Text+"\n" {
		t.Errorf("text %q, want %q", text, prompted.Text+"\n")
	}
	messages := file(t, "m.json", `[{"role":"user","content":"</s>"}]`)
	if got := generate(t, "--messages", messages); countOf(got.PromptIDs, 2) != 1 {
		t.Errorf("prompt %v: want one end token, that of the template", got.PromptIDs)
	}
	if r := run("", "generate", tiny(t), "--ids", "1,999"); r.status != 1 || !strings.Contains(r.err, "999") {
		t.Errorf("an id beyond the vocabulary: %+v", r)
	}
}

func countOf(list []int32, x int32) int {
	n := 0
	for _, y := range list {
		if y == x {
			n++
		}
	}
	return n
}

func TestBatchKeepsOrderAndFields(t *testing.T) {
	needRuntime(t)
	in := `{"prompt":"ab","id":"first","text":"gone"}` + "\n" + `{"ids":[1,5],"tags":["x"]}` + "\n" + `{"messages":[{"role":"user","content":"q"}]}` + "\n"
	args := []string{"generate", tiny(t), "-n", "4", "--temp", "0", "--in", "-"}
	lines := strings.Split(strings.TrimSpace(ok(t, in, args...)), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3: %q", len(lines), lines)
	}
	var rows []map[string]json.RawMessage
	for _, line := range lines {
		var row map[string]json.RawMessage
		decode(t, line, &row)
		rows = append(rows, row)
		if row["messages"] != nil || row["prompt"] != nil || row["prompt_ids"] == nil || row["timings"] == nil {
			t.Errorf("row %s", line)
		}
	}
	if string(rows[0]["id"]) != `"first"` || string(rows[0]["text"]) == `"gone"` || string(rows[1]["tags"]) != `["x"]` || string(rows[1]["prompt_ids"]) != "[1,5]" {
		t.Errorf("carried fields: %q", lines)
	}
	alone := generate(t, "-n", "4", "--temp", "0", "--ids", "1,5")
	if want := strings.ReplaceAll(fmt.Sprint(alone.IDs), " ", ","); string(rows[1]["ids"]) != want {
		t.Errorf("second of a file: %s, alone: %s", rows[1]["ids"], want)
	}
	for _, bad := range []string{`{"prompt":"a","ids":[1]}`, `{}`, `[1]`, `{"prompt":`} {
		if r := run(in+bad, args...); r.status != 1 || !strings.Contains(r.err, "line 4: ") || r.out != "" {
			t.Errorf("%s: %+v", bad, r)
		}
	}
}

// TestParallelAnswersAreThoseOfOneByOne answers a file one by one and several at a time, steered, in shared passes and without them.
func TestParallelAnswersAreThoseOfOneByOne(t *testing.T) {
	needRuntime(t)
	var in strings.Builder
	for i := range 12 {
		fmt.Fprintf(&in, `{"ids":[1,%d,%d],"n":%d}`+"\n", 5+i, 40+7*i, i)
	}
	for _, more := range [][]string{nil, {"--quant", "f32"}, {"--kernels", "ort"}, {"--steer", "vector:" + vectorFile(t, "v", 64, "1") + "*3"}} {
		args := append([]string{"generate", tiny(t), "-n", "6", "--temp", "0.8", "--seed", "3", "--in", "-"}, more...)
		want, got := stripped(t, ok(t, in.String(), args...)), stripped(t, ok(t, in.String(), append(args, "--parallel", "5")...))
		if len(want) != 12 || !slices.Equal(got, want) {
			t.Errorf("%v: %q several at a time, %q one by one", more, got, want)
		}
	}
	for _, bad := range [][]string{{"--parallel", "0", "--in", "-"}, {"--parallel", "2", "--ids", "1"}, {"--parallel", "2", "--in", "-", "--receipt", "r"}} {
		if r := run("", append([]string{"generate", tiny(t)}, bad...)...); r.status != 2 || !strings.Contains(r.err, "--parallel") {
			t.Errorf("%v: %+v", bad, r)
		}
	}
}

// stripped is lines of JSON without what differs from run to run.
func stripped(t *testing.T, text string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var row map[string]json.RawMessage
		decode(t, line, &row)
		delete(row, "timings")
		lines = append(lines, fmt.Sprint(row))
	}
	return lines
}

func TestTrace(t *testing.T) {
	needRuntime(t)
	out := filepath.Join(t.TempDir(), "o.safetensors")
	vector := vectorFile(t, "v", 64, "1")
	read := func(args ...string) map[string][]float32 {
		t.Helper()
		ok(t, "", append([]string{"trace", tiny(t), "--ids", "1,100,101", "-o", out}, args...)...)
		f, err := safetensors.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		found := map[string][]float32{}
		for _, x := range f.Tensors {
			if x.Name == "input_ids" {
				ids, err := x.AppendInt64(nil)
				if err != nil || !slices.Equal(ids, []int64{1, 100, 101}) || x.DType != safetensors.I64 {
					t.Errorf("input_ids: %s %v, %v", x.DType, ids, err)
				}
				continue
			}
			if x.Shape[0] != 3 || len(x.Shape) != 2 {
				t.Errorf("%s has shape %v, want 3 rows", x.Name, x.Shape)
			}
			if found[x.Name], err = x.AppendFloat32(nil); err != nil {
				t.Error(err)
			}
		}
		return found
	}
	if plain := read(); len(plain) != 1 || len(plain["logits"]) != 3*256 {
		t.Errorf("without --sites %d tensors", len(plain))
	}
	plain := read("--sites", "resid_post.*")
	if len(plain) != 3 {
		t.Errorf("resid_post.* gives %d tensors, want 3", len(plain))
	}
	steer := []string{"--sites", "resid_post.1", "--steer", "vector:" + vector + "*2"}
	after, before := read(steer...)["resid_post.1"], read(append(steer, "--before")...)["resid_post.1"]
	if !slices.Equal(before, plain["resid_post.1"]) || slices.Equal(after, before) {
		t.Error("--before does not show what steering finds")
	}
	for _, tc := range []struct{ name, flag, value, say string }{
		{"a site that is missing", "--sites", "router_logits.0", "router"},
		{"a layer beyond the last", "--sites", "resid_post.7", "resid_post.7"},
		{"another width", "--steer", "vector:" + vectorFile(t, "wide", 65, "1"), "width"},
		{"a block that the model has not", "--steer", "vector:" + vectorFile(t, "deep", 64, "9"), "blocks 0 to 2"},
		{"no such file", "--steer", "vector:absent.gguf", "absent.gguf"},
		{"no spec", "--steer", "happy", "column 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x")
			r := run("", "trace", tiny(t), "--ids", "1", "-o", file, tc.flag, tc.value)
			if _, err := os.Stat(file); r.status != 1 || !strings.Contains(r.err, tc.say) || err == nil {
				t.Errorf("status %d, %q, want %q and no file", r.status, r.err, tc.say)
			}
		})
	}
}
