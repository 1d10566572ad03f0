// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, fixture.SmolLM2(t), "What is the capital of France?"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "Paris") {
		t.Errorf("the answer is %q, want Paris in it", out.String())
	}
}
