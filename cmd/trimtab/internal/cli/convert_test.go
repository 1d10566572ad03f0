// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/steering/dictionary"
)

func TestConvert(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"formats/dl-JumpReluAutoEncoder", "saelens"},
		{"formats/sparsify-topk/layers.1", "saelens"},
		{"formats/gemma-scope/layer_1/width_tiny/average_l0_9/params.npz", "saelens"},
		{"formats/itda", "itda"},
		{"formats/itda", "itda-original"},
	} {
		from, dir := fixture.Path(t, "fixtures-dictionaries/"+c.from), filepath.Join(t.TempDir(), "out")
		ok(t, "", "convert", from, "--to", c.to, "-o", dir)
		want, err := dictionary.Open(from, dictionary.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := dictionary.Open(dir, dictionary.Options{})
		if err != nil {
			t.Fatalf("%s as %s: %v", c.from, c.to, err)
		}
		x := make([]float32, want.Form.In)
		for i := range x {
			x[i] = float32(i%5) - 1.5
		}
		a, b := want.NewCoder().Encode(nil, x), got.NewCoder().Encode(nil, x)
		// Atoms are normalised again when they are read, which rounds.
		if len(a) == 0 || !slices.EqualFunc(a, b, func(x, y dictionary.Feature) bool {
			return x.Index == y.Index && math.Abs(float64(x.Value-y.Value)) <= 1e-5*math.Abs(float64(y.Value))
		}) {
			t.Errorf("%s as %s: code %v, want %v", c.from, c.to, b, a)
		}
	}
	if r := run("", "convert", fixture.Path(t, "fixtures-dictionaries/formats/itda"), "-o", t.TempDir()); r.status == 0 {
		t.Error("a signed pursuit was written as SAELens, which has none")
	}
}
