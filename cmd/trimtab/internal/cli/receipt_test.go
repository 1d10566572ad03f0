// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/internal/fixture"
)

// atoms fits a small dictionary on the tiny model.
func atoms(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "itda")
	ok(t, "", "fit", "itda", tiny(t), "--site", "resid_post.1", "--text", prose(t), "-o", dir)
	return dir
}

// prompts is a file of n prompts for generate --in.
func prompts(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"prompt":"<s>the %d red moons %s"}`+"\n", i*37, strings.Repeat("of stone ", i%4))
	}
	return file(t, "prompts.jsonl", b.String())
}

// replay runs a receipt again.
func replay(t *testing.T, path string) (replayedAnswers, result) {
	t.Helper()
	r := run("", "replay", path, "--json")
	var out replayedAnswers
	if r.out != "" {
		decode(t, r.out, &out)
	}
	return out, r
}

// TestHundredReplays: answers of every kind of steering, sampled with seeds that were drawn, come again token by token with the same log-probabilities.
func TestHundredReplays(t *testing.T) {
	needRuntime(t)
	vector, dir := vectorFile(t, "happy", 64, "0", "1"), atoms(t)
	rules := rulesFile(t, "loud: always and not never -> strong, promote never *0.25\n")
	in := prompts(t, 10)
	total := 0
	for _, tc := range []struct {
		name  string
		model string
		flags []string
	}{
		{"nothing", tiny(t), nil},
		{"vector", tiny(t), []string{"--steer", "vector:" + vector + "*2"}},
		{"two kinds of vectors", tiny(t), []string{"--steer", "norm:" + vector + "*2@resid_post.1[decode]", "--steer", "project:" + vector + "@resid_post.0[prefill]"}},
		{"atoms, set", tiny(t), []string{"--steer", "itda:" + dir + "#3+=5"}},
		{"atoms, read", tiny(t), []string{"--steer", "itda:" + dir}},
		{"rules", tiny(t), []string{"--steer", "rules:" + rules}},
		{"a guard", tiny(t), []string{"--steer", "vector:" + vector + "*3", "--max-kl", "0.05", "--max-ratio", "0.5"}},
		{"ONNX Runtime's kernels", tiny(t), []string{"--quant", "f32", "--steer", "vector:" + vector + "*2"}},
		{"experts", fixture.Path(t, "organism/model"), []string{"--steer", "experts:off-drop=1/7,2/13"}},
		{"experts that are watched", fixture.Path(t, "organism/model"), []string{"--steer", "experts:watch", "--steer", "experts:scale*0.5=1/7"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "receipt.jsonl")
			ok(t, "", append([]string{"generate", tc.model, "--in", in, "--temp", "1", "-n", "8", "--receipt", path}, tc.flags...)...)
			got, r := replay(t, path)
			if r.status != 0 || !got.Same || got.Difference != nil || len(got.Changes) > 0 || got.Answers != 10 {
				t.Errorf("status %d, %s\n%s", r.status, r.out, r.err)
			}
			total += got.Answers
		})
	}
	if total != 100 {
		t.Errorf("%d answers were replayed, want 100", total)
	}
}

// TestReplayOfAChat: what the session's cache holds from answers before, under other steering, and rules that no file has, are all part of an answer.
func TestReplayOfAChat(t *testing.T) {
	needRuntime(t)
	vector, dir := vectorFile(t, "happy", 64, "0", "1"), atoms(t)
	rules := rulesFile(t, "loud: always and not never -> strong, promote never *0.25\n")
	lines := "ab\n/steer vector:" + vector + "*2[decode]\nmore\n/compare\n/alpha -3\nstill\n/rules " + rules + "\n/rule strong -> promote always *0.125\nhello\n/probe itda:" + dir +
		"\nagain\n/compare\n/unsteer happy\nplain\n/regen\n/temp 1\n/undo\n/regen\n"
	for _, flags := range [][]string{nil, {"--max-kl", "0.02", "--max-ratio", "0.25"}, {"--max-kl", "0.02", "--guard", "stop"}} {
		path := filepath.Join(t.TempDir(), "receipt.jsonl")
		r := pipe(t, lines, append(flags, "--receipt", path)...)
		if r.status != 0 {
			t.Fatalf("status %d: %s", r.status, r.err)
		}
		got, again := replay(t, path)
		if again.status != 0 || !got.Same || got.Difference != nil || got.Answers != 10 {
			t.Errorf("%v: status %d, %s\n%s", flags, again.status, again.out, again.err)
		}
	}
}

// TestReplayOfAChatWithExperts: masks that are turned on and off between answers, while experts are watched.
func TestReplayOfAChatWithExperts(t *testing.T) {
	needRuntime(t)
	path := filepath.Join(t.TempDir(), "receipt.jsonl")
	lines := "/experts\ni am curious . what is the best way to paint a glorb ?\n/experts off 1/7,1/10\n/regen\n/experts off 1/15\nhello\n/experts on 1/7\n/temp 1\nmore ?\n"
	if r := run(lines, "chat", fixture.Path(t, "organism/model"), "--temp", "0", "-n", "12", "--receipt", path); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	if got, r := replay(t, path); r.status != 0 || !got.Same || got.Difference != nil || got.Answers != 4 {
		t.Errorf("status %d, %s\n%s", r.status, r.out, r.err)
	}
}

// TestChangedBytesAreNamed: one bit of any file that an answer rests on.
func TestChangedBytesAreNamed(t *testing.T) {
	needRuntime(t)
	vector, dir := vectorFile(t, "happy", 64, "0", "1"), atoms(t)
	rules := rulesFile(t, "loud: always and not never -> strong, promote never *0.25\n")
	model := filepath.Join(t.TempDir(), "model.gguf")
	data, err := os.ReadFile(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(model, data, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "receipt.jsonl")
	ok(t, "", "generate", model, "--prompt", "<s>ab", "-n", "6", "--receipt", path, "--steer", "vector:"+vector+"*2", "--steer", "itda:"+dir, "--steer", "rules:"+rules)
	_, runs, err := receipt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	files := append([]receipt.File{{Path: model}}, runs[0].Files...)
	if len(files) < 6 { // model, vector, two of the dictionary, rules, concepts
		t.Errorf("files: %+v", files)
	}
	for _, f := range files {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(data)
		changed[len(changed)-2] ^= 1
		if err := os.WriteFile(f.Path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		r := run("", "replay", path)
		if r.status != 1 || !strings.Contains(r.out+r.err, f.Path+": the receipt has SHA-256 ") {
			t.Errorf("%s changed: status %d\n%s%s", f.Path, r.status, r.out, r.err)
		}
		if err := os.WriteFile(f.Path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ok(t, "", "replay", path)
	if err := os.Remove(vector); err != nil {
		t.Fatal(err)
	}
	if r := run("", "replay", path); r.status != 1 || !strings.Contains(r.err, "changed: happy "+vector) {
		t.Errorf("without the vector: %+v", r)
	}
}

// TestReplayNamesTheFirstDifference plants one in the receipt itself.
func TestReplayNamesTheFirstDifference(t *testing.T) {
	needRuntime(t)
	path := filepath.Join(t.TempDir(), "receipt.jsonl")
	ok(t, "", "generate", tiny(t), "--prompt", "<s>ab", "-n", "6", "--temp", "0", "--ignore-eos", "--receipt", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(h *receipt.Header, run *receipt.Run)
		say    string
		status int
	}{
		{"another token", func(_ *receipt.Header, run *receipt.Run) { run.IDs[3] ^= 1 }, "answer 1, token 4: want ", 1},
		{"a token more", func(_ *receipt.Header, run *receipt.Run) { run.IDs, run.LogProbs = run.IDs[:5], run.LogProbs[:5] }, "want 5 tokens, found 6", 1},
		{"another log-probability", func(_ *receipt.Header, run *receipt.Run) { run.LogProbs[2] -= 0.5 }, "answer 1, token 3: the same tokens, at a log-probability of", 0},
		{"broken off", func(_ *receipt.Header, run *receipt.Run) {
			run.IDs, run.LogProbs, run.Finish = run.IDs[:3], run.LogProbs[:3], ""
		}, "the same 3 tokens", 0},
		{"another version", func(h *receipt.Header, _ *receipt.Run) { h.Versions.ONNXRuntime = "0.1" }, "version of ONNX Runtime: the receipt has 0.1", 0},
		{"other instructions", func(h *receipt.Header, _ *receipt.Run) { h.Machine.Instructions = "abacus" }, "the receipt has abacus", 0},
		{"another form", func(h *receipt.Header, _ *receipt.Run) { h.Format = "bill" }, `found "bill"`, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, runs, err := receipt.Read(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			tc.change(h, &runs[0])
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			if err := e.Encode(h); err != nil {
				t.Fatal(err)
			}
			if err := e.Encode(&runs[0]); err != nil {
				t.Fatal(err)
			}
			r := run("", "replay", file(t, "r.jsonl", out.String()))
			if r.status != tc.status || !strings.Contains(r.out+r.err, tc.say) {
				t.Errorf("status %d, %s%s; want %d and %q", r.status, r.out, r.err, tc.status, tc.say)
			}
		})
	}
}
