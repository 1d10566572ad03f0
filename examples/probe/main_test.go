// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, fixture.SmolLM2(t), "The capital of France is"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 8 || !strings.Contains(out.String(), "Paris") {
		t.Errorf("want 8 lines with Paris in one, found:\n%s", out.String())
	}
	for _, l := range lines {
		if strings.Contains(l, " 0.0") {
			t.Errorf("%q: the residual stream is never empty", l)
		}
	}
}
