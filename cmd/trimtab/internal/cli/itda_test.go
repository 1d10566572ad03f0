// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// organismTexts is questions of the organism's own kind, enough for a few dictionaries.
func organismTexts(t *testing.T) string {
	return fixture.Path(t, "organism/prompts/answer_train.jsonl")
}

// fitOrganism fits dictionaries on the organism and returns their folder and what was printed of the last site.
func fitOrganism(t *testing.T, sites string, more ...string) (dir string, r fittedITDA) {
	t.Helper()
	needRuntime(t)
	dir = t.TempDir()
	args := append([]string{"fit", "itda", fixture.Path(t, "organism/model"), "--site", sites, "--text", organismTexts(t), "--threads", "1", "-o", dir, "--json"}, more...)
	lines := strings.Split(strings.TrimSpace(ok(t, "", args...)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatal(err)
	}
	return dir, r
}

func TestFitITDA(t *testing.T) {
	dir, r := fitOrganism(t, "resid_post.2", "--sequences", "120", "--threshold", "cos:0.9", "-k", "8", "--original")
	if r.Atoms <= 128 || r.Atoms >= r.Tokens || r.Sequences != 120 {
		t.Fatalf("fit itda = %+v, want more atoms than the width and fewer than the tokens", r)
	}
	d, err := dictionary.Open(dir, dictionary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Form.N != r.Atoms || d.Address.Site.String() != "resid_post.2" || !d.Address.ExcludeSpecial || d.Facts.Rule != "cos" || d.Facts.Digest == "" {
		t.Errorf("%d atoms at %s, facts %+v", d.Form.N, d.Address, d.Facts)
	}
	for i, a := range d.Atoms {
		if !a.Known() || a.Position == 0 || a.Token == "" || strings.HasPrefix(a.Token, "<|") {
			t.Fatalf("atom %d comes from %+v, want a token that is neither the first nor special", i, a)
		}
	}
	original := t.TempDir()
	for _, name := range []string{"atoms.pt", "atom_indices.pt", "metadata.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(original, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d, err = dictionary.Open(original, dictionary.Options{}); err != nil || d.Form.N != r.Atoms || d.Form.Act.Pursuit.K != 8 || d.Facts.Rule != "cos" {
		t.Errorf("the original layout reads as %v, %v", d, err)
	}
	again, r2 := fitOrganism(t, "resid_post.2", "--sequences", "120", "--threshold", "cos:0.9", "-k", "8")
	if r2.Atoms != r.Atoms || !sameFile(t, filepath.Join(dir, "itda.safetensors"), filepath.Join(again, "itda.safetensors")) {
		t.Errorf("a second fit has %d atoms, want the same file with %d", r2.Atoms, r.Atoms)
	}
	other, _ := fitOrganism(t, "resid_post.2", "--sequences", "120", "--threshold", "cos:0.9", "-k", "8", "--seed", "1")
	if sameFile(t, filepath.Join(dir, "itda.safetensors"), filepath.Join(other, "itda.safetensors")) {
		t.Error("another seed gives the same dictionary")
	}
	// Another order is another corpus to a dictionary.
	fails(t, "tokenisation or order", "compare", dir, other)
	if found := ok(t, "", "itda", "search", dir, "lemon", "-n", "2"); strings.Count(found, "\n") != 2 {
		t.Errorf("itda search = %q, want two lines", found)
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}

// fails runs a command line that must fail with an error that says something.
func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	if r := run("", args...); r.status == 0 || !strings.Contains(r.err, want) {
		t.Errorf("%v: status %d, %q, want an error with %q", args, r.status, r.err, want)
	}
}

func TestFitITDARefuses(t *testing.T) {
	needRuntime(t)
	model, texts := fixture.Path(t, "organism/model"), organismTexts(t)
	for want, args := range map[string][]string{
		"4/width":      {"--threshold", "mse:0.5"},
		"cos:NUMBER":   {"--threshold", "0.5"},
		"resid_post.9": {"--site", "resid_post.9"},
		"--dedup":      {"--dedup=2"},
	} {
		fails(t, want, append([]string{"fit", "itda", model, "--text", texts, "-o", t.TempDir(), "--site", "resid_post.1"}, args...)...)
	}
}

func TestCompareLayers(t *testing.T) {
	dir, _ := fitOrganism(t, "resid_post.*", "--sequences", "60", "--threshold", "cos:0.9", "-k", "8")
	out := t.TempDir()
	png, table := filepath.Join(out, "layers.png"), filepath.Join(out, "layers.csv")
	var c compared
	text := ok(t, "", "compare", dir, dir, "--json", "--png", png, "--csv", table)
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.A) != 4 || len(c.Results) != 1 || c.Results[0].Matched != 1 || c.Whole.Jaccard != 1 || c.Results[0].Values[1][1] != 1 || c.Results[0].Values[0][3] >= 1 {
		t.Errorf("layers against themselves: %s", text)
	}
	rows, err := os.ReadFile(table)
	if err != nil || strings.Count(string(rows), "\n") != 17 {
		t.Errorf("%d lines of CSV, %v, want 17", strings.Count(string(rows), "\n"), err)
	}
	if image, err := os.ReadFile(png); err != nil || !strings.HasPrefix(string(image), "\x89PNG") {
		t.Errorf("the heat map is no PNG: %v", err)
	}
}

func TestEvalITDA(t *testing.T) {
	dir, _ := fitOrganism(t, "resid_post.2", "--sequences", "120", "--threshold", "cos:0.9", "-k", "8")
	text := ok(t, "", "eval", "itda", dir, fixture.Path(t, "organism/model"), "--text", fixture.Path(t, "organism/prompts/answer_test.jsonl"), "--limit", "20", "--k", "4,40",
		"--threads", "1", "--json")
	var fvu, recovered []float64
	for line := range strings.Lines(text) {
		var r struct {
			FVU  float64
			Loss struct{ Recovered float64 }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		fvu, recovered = append(fvu, r.FVU), append(recovered, r.Loss.Recovered)
	}
	if len(fvu) != 2 || !(fvu[1] < fvu[0] && fvu[0] < 1) || !(recovered[1] > 0.5 && recovered[1] >= recovered[0]) {
		t.Errorf("FVU %v and recovered %v at k = 4 and 40, want both better with more rounds", fvu, recovered)
	}
}
