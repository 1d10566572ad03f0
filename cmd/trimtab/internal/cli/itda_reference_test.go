// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/itda"
)

// TestFitITDAOfTheReference fits the first sequences of the reference dictionary's corpus as it was made: since atoms are only ever appended, the reference's
// atoms from those sequences are what it had then.
func TestFitITDAOfTheReference(t *testing.T) {
	needRuntime(t)
	if testing.Short() {
		t.Skip("runs 5,120 tokens through SmolLM2")
	}
	const sequences = 40
	root := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/itda-l14")
	dir := t.TempDir()
	text := ok(t, "", "fit", "itda", fixture.SmolLM2(t), "--site", "resid_post.14", "--text", filepath.Join(root, "corpus_ids.safetensors"), "--sequences", strconv.Itoa(sequences),
		"--threshold", "cos:0.88", "-k", "20", "--special", "-o", dir, "--json")
	var r fittedITDA
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	want, err := dictionary.Open(root, dictionary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := *want
	first.Atoms = nil
	for _, a := range want.Atoms {
		if a.Text < sequences {
			first.Atoms = append(first.Atoms, a)
		}
	}
	overlap := itda.SourcesOf(openAtoms(t, dir)).Overlap(itda.SourcesOf(&first))
	t.Logf("%d atoms, the reference had %d then, %d in both; the fit took %.2f s of processor time", r.Atoms, len(first.Atoms), overlap.Shared, r.CPU)
	// 2 % as the reference demands. Its activations are those of exactly expanded weights in another library: what lies near the threshold flips.
	if n := float64(len(first.Atoms)); float64(r.Atoms) < 0.98*n || float64(r.Atoms) > 1.02*n {
		t.Errorf("%d atoms, want %d within 2 %%", r.Atoms, len(first.Atoms))
	}
	if overlap.Jaccard < 0.7 {
		t.Errorf("Jaccard index with the reference's sources = %.2f, want at least 0.7", overlap.Jaccard)
	}
}

func openAtoms(t *testing.T, dir string) *dictionary.Dictionary {
	t.Helper()
	d, err := dictionary.Open(dir, dictionary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
