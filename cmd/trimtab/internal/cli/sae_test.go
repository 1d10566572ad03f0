// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/fidelity"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// prose is a text of about 40 sequences.
func prose(t *testing.T) string {
	var b strings.Builder
	words := []string{"red", "green", "moon", "river", "stone", "cat", "seven", "walks", "under", "bright"}
	for i := range 900 {
		b.WriteString(words[(i*i+3*i/7)%len(words)] + " ")
	}
	return file(t, "prose.txt", b.String())
}

func TestFitAndEvalSAE(t *testing.T) {
	needRuntime(t)
	text, model := prose(t), tiny(t)
	for _, arch := range []string{"topk", "batchtopk", "jumprelu", "matryoshka", "abstopk"} {
		dir := filepath.Join(t.TempDir(), arch)
		out := ok(t, "", "fit", "sae", model, "--site", "resid_post.1", "--text", text, "--held", text, "--piece", "64", "--arch", arch, "--width", "96", "--k", "8",
			"--batch", "64", "--passes", "4", "-o", dir, "--json")
		var f fitted
		if err := json.Unmarshal([]byte(out), &f); err != nil {
			t.Fatal(err)
		}
		if f.Held == nil || f.Held.FVU > 0.9 || f.Held.FVU <= 0 || f.Steps == 0 || f.Site != "resid_post.1" {
			t.Errorf("fit sae --arch %s: %s, want an FVU between 0 and 0.9", arch, out)
		}
		if _, err := os.Stat(filepath.Join(dir, checkpointFile)); err == nil {
			t.Errorf("fit sae --arch %s left its checkpoint behind", arch)
		}
		d, err := dictionary.Open(dir, dictionary.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d.Address.Site.String() != "resid_post.1" || !d.Address.SkipFirst || d.Address.Context != 64 || d.Address.PrependBOS != dictionary.No {
			t.Errorf("fit sae --arch %s: address %s with context %d", arch, d.Address, d.Address.Context)
		}
		var r fidelity.Result
		out = ok(t, "", "eval", "sae", dir, model, "--text", text, "--piece", "64", "--json", "--dark-matter")
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		// The same texts through the same arithmetic, the encoder's products in the graph or not.
		if diff := r.FVU - f.Held.FVU; diff > 1e-5 || diff < -1e-5 || r.Rows != f.Held.Rows || r.Loss == nil || r.Dark == nil || r.LeftOut == 0 {
			t.Errorf("eval sae of %s: %s, want an FVU of %g on %d rows", arch, out, f.Held.FVU, f.Held.Rows)
		}
	}
}

func TestEvalSAETable(t *testing.T) {
	needRuntime(t)
	text, model, dir := prose(t), tiny(t), t.TempDir()
	ok(t, "", "fit", "sae", model, "--site", "resid_post.1", "--text", text, "--width", "64", "--k", "4", "--passes", "1", "-o", dir)
	out := ok(t, "", "eval", "sae", dir, dir, model, "--text", text, "--limit", "12", "--quants", "f32,keep", "--no-loss", "--dark-matter")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 1+4+2+1+8 || strings.Count(out, "f32") != 6 || strings.Count(out, "pursuit") != 4 {
		t.Errorf("eval sae of two dictionaries on two forms prints\n%s", out)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"want one of keep", []string{dir, model, "--text", text, "--quants", "none"}},
		{"required flag", []string{dir, model}},
		{"at least 2 arg", []string{model, "--text", text}},
		{"resid_post.7", []string{dir, model, "--text", text, "--site", "resid_post.7"}},
	} {
		if r := run("", append([]string{"eval", "sae"}, c.args...)...); r.status == 0 || !strings.Contains(r.err, c.want) {
			t.Errorf("eval sae %v: status %d: %s; want an error about %q", c.args, r.status, r.err, c.want)
		}
	}
}

func TestFitSAEGoesOn(t *testing.T) {
	needRuntime(t)
	text, model := prose(t), tiny(t)
	args := func(dir string) []string {
		return []string{"fit", "sae", model, "--site", "resid_post.1", "--text", text, "--width", "64", "--k", "4", "--passes", "3", "--batch", "50", "-o", dir, "--save-every", "1ns"}
	}
	whole, parts := t.TempDir(), t.TempDir()
	ok(t, "", args(whole)...)
	// A folder that cannot take the weights stops the training when it is over, with the last state saved.
	weights := filepath.Join(parts, "sae_weights.safetensors")
	if err := os.Mkdir(weights, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(weights, "in the way"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run("", args(parts)...); r.status == 0 {
		t.Fatal("fit sae wrote over a folder")
	}
	if r := run("", append(args(parts), "--seed", "9")...); r.status == 0 || !strings.Contains(r.err, "delete the file") {
		t.Errorf("fit sae with another seed: status %d: %s; want a refusal to go on", r.status, r.err)
	}
	if err := os.RemoveAll(weights); err != nil {
		t.Fatal(err)
	}
	if r := run("", args(parts)...); r.status != 0 || !strings.Contains(r.err, "going on from") {
		t.Errorf("fit sae again: status %d: %s; want it to go on", r.status, r.err)
	}
	a, err := os.ReadFile(filepath.Join(whole, "sae_weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Error("weights differ after an interruption")
	}
}
