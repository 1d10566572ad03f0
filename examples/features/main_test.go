// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	sae := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	if err := run(t.Context(), &out, fixture.SmolLM2(t), sae, "3548+=30"); err != nil {
		t.Fatal(err)
	}
	plain, steered, found := strings.Cut(out.String(), "#3548+=30\n")
	if !found || !strings.Contains(plain, "Mor") || strings.Count(plain, ",") < 16 {
		t.Errorf("want an answer with features beside each token, found:\n%s", plain)
	}
	if strings.Contains(steered, `"Mor"`) {
		t.Errorf("want another answer with the feature turned up, found:\n%s", steered)
	}
}
