// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

// cooking is one concept, read from the feature that stands for it, with the threshold of the reference search.
const cooking = `{"format": "trimtab concepts 1", "dictionary": %q, "site": "resid_post.14", "width": 576, "skip_tokens": [0, 1, 2], "concepts": [
	{"name": "cooking", "mode": "sentence",
	 "reader": {"kind": "single", "features": [3548], "weights": [1], "aggregate": "max", "threshold": 14.84},
	 "lever": {"features": [3548], "weights": [1], "combine": "sum", "norm": 2}}]}`

func TestRun(t *testing.T) {
	dir := t.TempDir()
	sae := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	write(t, filepath.Join(dir, "concepts.json"), fmt.Sprintf(cooking, sae))
	program := filepath.Join(dir, "veto.rules")
	write(t, program, `concepts "concepts.json"
veto: cooking -> require "I do not talk about food.", stop [prompt]`)

	var out strings.Builder
	if err := run(t.Context(), &out, fixture.SmolLM2(t), program, "The recipe says to roast the potatoes with garlic. How long?"); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, `" food"`) || !strings.Contains(got, "veto") {
		t.Errorf("want the required phrase and the rule beside it, found:\n%s", got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
