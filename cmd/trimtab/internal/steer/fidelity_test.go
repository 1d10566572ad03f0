// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// TestFidelity: a dictionary at its own site is accepted; at another layer, at another point and on activations of another scale it is refused with the cause.
func TestFidelity(t *testing.T) {
	m, err := runtime.Open(fixture.SmolLM2(t), runtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dir := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	for _, c := range []struct{ site, cause string }{
		{"", ""}, {"@resid_post.25", "at resid_post.14 its FVU"}, {"@mlp_out.14", "at resid_post.14 its FVU"},
	} {
		h, err := steering.Load("sae:" + dir + c.site)
		if err != nil {
			t.Fatal(err)
		}
		line, err := Fidelity(t.Context(), m, h.(*steering.Features))
		checkVerdict(t, "site "+c.site, line, err, c.cause)
	}
	// A top-k chooses alike at any scale, so that a wrong one is a matter of the biases: it is warned of, not refused.
	line, err := Fidelity(t.Context(), m, scaled(t, dir, 1.0/8))
	if err != nil || !strings.Contains(line, "warning") || !strings.Contains(line, "multiplied by 0.125") {
		t.Errorf("scaled: %q, %v, want a warning that names the factor 0.125", line, err)
	}
}

func checkVerdict(t *testing.T, name, line string, err error, cause string) {
	t.Helper()
	var fault *FidelityError
	switch {
	case cause == "" && (err != nil || !strings.Contains(line, "FVU 0.2")):
		t.Errorf("%s: %q, %v, want an FVU of 0.2...", name, line, err)
	case cause != "" && (!errors.As(err, &fault) || !strings.Contains(fault.Cause, cause)):
		t.Errorf("%s: %q, %v, want a *FidelityError with %q", name, line, err, cause)
	}
}

// scaled is the dictionary as it would be for activations that are factor times as long: a top-k passes factors on.
func scaled(t *testing.T, dir string, factor float32) *steering.Features {
	t.Helper()
	d, err := dictionary.Open(dir, dictionary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	form := *d.Form
	times := func(v []float32) []float32 {
		v = slices.Clone(v)
		for i := range v {
			v[i] *= factor
		}
		return v
	}
	form.PreSub, form.EncBias, form.DecBias = times(form.PreSub), times(form.EncBias), times(form.DecBias)
	other, err := dictionary.New(&form)
	if err != nil {
		t.Fatal(err)
	}
	other.Address = d.Address
	f, err := steering.NewFeatures(steering.Spec{Kind: steering.KindSAE}, other, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
