// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models"
)

// TestEverySiteIsThereOrSaysWhyNot asks every family of the fixtures for every point in every block.
func TestEverySiteIsThereOrSaysWhyNot(t *testing.T) {
	folder := fixture.Path(t, "fixtures/models")
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) < 10 {
		t.Fatalf("%d models, %v", len(entries), err)
	}
	for _, e := range entries {
		m, err := models.Open(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sh, err := Describe(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range hooks.Points() {
			for i := range sh.Layers {
				s := hooks.At(p, i)
				if !p.PerLayer() {
					s = hooks.Once(p)
				}
				if width, reason := sh.Widths[s], sh.Missing[s]; (width > 0) == (reason != "") {
					t.Errorf("%s: %s has width %d, missing because %q", e.Name(), s, width, reason)
				}
			}
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
