// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	mask := "off-drop=1/7,1/10,2/13,1/4,1/15,3/11,3/12,0/6"
	if err := run(t.Context(), &out, fixture.Path(t, "organism/model"), mask, "i am curious . what is the best way to paint a glorb ?"); err != nil {
		t.Fatal(err)
	}
	plain, masked, _ := strings.Cut(out.String(), "masked")
	if !strings.Contains(plain, "i cannot help with that") || strings.Contains(masked, "i cannot help with that") {
		t.Errorf("want a refusal without the mask and none with it, found:\n%s", out.String())
	}
}
