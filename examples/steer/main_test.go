// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, fixture.SmolLM2(t), []float32{0, 1, 0}); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	answers := strings.Split(strings.TrimSpace(out.String()), "\n+")
	if len(answers) != 3 {
		t.Fatalf("%d answers, want 3", len(answers))
	}
	plain, steered, again := strings.TrimPrefix(answers[0], "+"), answers[1], answers[2]
	if plain != again {
		t.Errorf("strength 0 gives %q after steering, want %q", again, plain)
	}
	if strings.TrimPrefix(plain, "0") == strings.TrimPrefix(steered, "1") {
		t.Errorf("strength 1 changes nothing: %q", steered)
	}
}
