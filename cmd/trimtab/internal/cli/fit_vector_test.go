// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/steering"
)

// contrast are pairs that the tiny model's byte tokens tell apart.
func contrast() string {
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "{\"positive\": \"%c aaa %d\", \"negative\": \"%c zzz %d\"}\n", 'b'+i, i, 'b'+i, i)
	}
	return b.String()
}

func TestFitVector(t *testing.T) {
	needRuntime(t)
	pairs := file(t, "pairs.jsonl", contrast())
	for _, c := range []struct {
		name, out string
		args      []string
		layers    int
		left      string
	}{
		{"diffmean", "v.safetensors", []string{"--read", "mean"}, 3, ""},
		{"gguf leaves block 0 out", "v.gguf", []string{"--read", "mean", "--method", "pca-center"}, 2, "block 0"},
		{"one site", "v.gguf", []string{"--read", "mean", "--method", "logistic", "--sites", "mlp_post.1"}, 1, ""},
		{"nothing held out", "v.safetensors", []string{"--folds", "0", "--method", "pca", "--read", "mean"}, 3, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.out)
			var got madeReport
			text := ok(t, "", append([]string{"fit", "vector", tiny(t), "--pairs", pairs, "-o", path, "--json"}, c.args...)...)
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			v, err := steering.ReadVector(steering.Source{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Layers()) != c.layers || v.Hint != "llama" || v.Method != string(got.Method) || !strings.Contains(got.Left, c.left) {
				t.Errorf("layers %v, hint %q, method %q, left out %q", v.Layers(), v.Hint, v.Method, got.Left)
			}
			if v.Notes["read"] != "mean" || v.Notes["positive"] != "10" || v.Notes["texts_sha256"] != got.Texts || len(got.Texts) != 64 {
				t.Errorf("notes = %v", v.Notes)
			}
			if folds := !strings.Contains(c.name, "nothing"); (got.Layers[0].Methods["diffmean"].AUROC != nil) != folds {
				t.Errorf("held-out AUROC known = %v, want %v", !folds, folds)
			}
			if len(got.Layers[0].Methods) != 4 || got.Suggested.Reason == "" {
				t.Errorf("layers = %+v, suggested %+v", got.Layers[0], got.Suggested)
			}
			where := hooks.ResidPost
			if strings.Contains(c.name, "site") {
				where = hooks.MLPPost
			}
			if v.Point != where {
				t.Errorf("acts at %s, want %s", v.Point, where)
			}
		})
	}
	table := ok(t, "", "fit", "vector", tiny(t), "--pairs", pairs, "-o", filepath.Join(t.TempDir(), "v.safetensors"), "--read", "mean")
	for _, want := range []string{"diffmean of 10 positive and 10 negative texts, read at mean", "resid_post.2", "logistic: AUROC"} {
		if !strings.Contains(table, want) {
			t.Errorf("table lacks %q:\n%s", want, table)
		}
	}
}

func TestFitVectorRefuses(t *testing.T) {
	needRuntime(t)
	one, two := file(t, "one.txt", "a\nb\n"), file(t, "two.txt", "c\nd\ne\n")
	out := filepath.Join(t.TempDir(), "v.gguf")
	for _, c := range []struct {
		args []string
		say  string
	}{
		{[]string{"--positive", one, "--negative", two, "-o", out, "--method", "pca"}, "want texts in pairs"},
		{[]string{"--positive", one, "-o", out}, "negative"},
		{[]string{"--positive", one, "--negative", two}, "output"},
		{[]string{"--positive", one, "--negative", two, "-o", out, "--method", "ica"}, "--method"},
		{[]string{"--positive", one, "--negative", two, "-o", "v.bin"}, ".gguf or .safetensors"},
		{[]string{"--positive", one, "--negative", two, "-o", out, "--sites", "resid_post.9"}, "blocks 0 to 2"},
		{[]string{"--positive", one, "--negative", two, "-o", out, "--sites", "resid_post.1,mlp_out.1"}, "sites of one point"},
		{[]string{"--positive", one, "--negative", two, "-o", out, "--sites", "mlp_act.*"}, "--output: want .safetensors"},
		{[]string{"--positive", one, "--negative", two, "-o", out, "--read", "suffix"}, "stand alone"},
		{[]string{"--positive", "absent.txt", "--negative", two, "-o", out}, "absent.txt"},
		{[]string{"--persona", "happy", "--against", "sad", "--template", "Be happy.", "-o", out}, "{persona}"},
	} {
		if r := run("", append([]string{"fit", "vector", tiny(t)}, c.args...)...); r.status == 0 || !strings.Contains(r.err, c.say) {
			t.Errorf("%v: status %d, %s, want it to say %q", c.args, r.status, r.err, c.say)
		}
	}
}

func TestFitActAdd(t *testing.T) {
	needRuntime(t)
	path := filepath.Join(t.TempDir(), "love.safetensors")
	if got := ok(t, "", "fit", "actadd", tiny(t), "--positive", "love", "--negative", "no", "--site", "resid_pre.1", "-o", path); !strings.Contains(got, "resid_pre.1") {
		t.Errorf("fit actadd printed %q", got)
	}
	plain := ok(t, "", "generate", tiny(t), "--prompt", "I go home", "--temp", "0", "-n", "8", "--ignore-eos")
	if same := ok(t, "", "generate", tiny(t), "--prompt", "I go home", "--temp", "0", "-n", "8", "--ignore-eos", "--steer", "actadd:"+path+"*0"); same != plain {
		t.Errorf("strength 0 = %q, want the plain %q", same, plain)
	}
	if other := ok(t, "", "generate", tiny(t), "--prompt", "I go home", "--temp", "0", "-n", "8", "--ignore-eos", "--steer", "actadd:"+path+"*50"); other == plain {
		t.Errorf("strength 50 = %q, as plain", other)
	}
	if r := run("", "generate", tiny(t), "--prompt", "I", "-n", "2", "--steer", "actadd:"+path+"*5"); r.status == 0 || !strings.Contains(r.err, "want a prompt of at least") {
		t.Errorf("a prompt that is too short: %s", r.err)
	}
}

// TestExtract makes a vector in a chat and sees that it changes the answer, and that turning it round changes it again.
func TestExtract(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 48 texts with a model of 135M")
	}
	needRuntime(t)
	model := fixture.SmolLM2(t)
	path := filepath.Join(t.TempDir(), "mood.gguf")
	r := run("/extract happy vs sad to "+path+"\n/steering\nHow was your day?\n/alpha -0.8\n/regen\n", "chat", model, "--temp", "0", "-n", "12")
	if r.status != 0 || !strings.Contains(r.err, "written to "+path) || !strings.Contains(r.out, "@resid_post.") {
		t.Fatalf("status %d, %s\n%s", r.status, r.err, r.out)
	}
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if happy, sad := lines[len(lines)-2], lines[len(lines)-1]; happy == sad {
		t.Errorf("the answer is %q with both signs", happy)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"/extract happy", "/extract  vs sad", "/extract"} {
		if r := run(line+"\n", "chat", model); r.status == 0 || !strings.Contains(r.err, "want /extract happy vs sad") {
			t.Errorf("%s: %s", line, r.err)
		}
	}
}
