// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// TestConditionsInTheCommand holds that a condition that always holds steers as the spec without it, and that one that never holds leaves the bits of no steering.
func TestConditionsInTheCommand(t *testing.T) {
	needRuntime(t)
	v, c := vectorFile(t, "v", 64, "1"), vectorFile(t, "c", 64, "0", "2")
	generate := func(steer ...string) string {
		args := []string{"generate", tiny(t), "--prompt", "a long enough text", "--temp", "0", "-n", "12", "--ignore-eos"}
		for _, s := range steer {
			args = append(args, "--steer", s)
		}
		return ok(t, "", args...)
	}
	plain, steered, decoded := generate(), generate("vector:"+v+"*9"), generate("vector:"+v+"*9[decode]")
	if plain == steered || steered == decoded {
		t.Fatalf("plain %q, steered %q, steered at decode %q: want three answers", plain, steered, decoded)
	}
	for _, tc := range []struct{ name, modifier, want string }{
		{"always", "[when " + c + "@resid_pre.0 above -2]", steered},
		{"never", "[when " + c + "@resid_pre.0 above 2]", plain},
		{"below", "[when " + c + "@resid_pre.0 below 2]", steered},
		{"one of two", "[when " + c + " above 2 or last " + c + "@resid_pre.0 below 2]", steered},
		{"both of two", "[when " + c + "@resid_pre.0 above 2 and " + c + "@resid_pre.0 below 2]", plain},
		{"behind the edit", "[when " + c + ":direction.2@resid_post.2 above -2]", decoded},
		{"at decode", "[decode,when " + c + "@resid_pre.0 above -2]", decoded},
		{"strength 0", "", plain},
	} {
		strength := "*9"
		if tc.name == "strength 0" {
			strength = "*0[when " + c + "@resid_pre.0 above -2]"
		}
		if got := generate("vector:" + v + strength + tc.modifier); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestRecipesDoWhatTheySay looks at the activations of a real model behind ablation, rotation and CAA's positions.
func TestRecipesDoWhatTheySay(t *testing.T) {
	needRuntime(t)
	m, err := runtime.Open(fixture.SmolLM2(t), runtime.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	width := m.Shape().Width
	r, q := make([]float32, width), make([]float32, width)
	for i := range r {
		r[i], q[i] = float32((i*7)%11)-5, float32((i*5)%13)-6
	}
	ids := []int32{1, 4093, 198, 2020, 436, 469, 1194, 47, 2, 198, 1, 520, 9531, 198, 57, 5248} // a user's question, the turn, and "I'm"
	trace := func(sites string, before bool, list ...hooks.Hook) []runtime.Captured {
		selected, err := m.Shape().Select(sites)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Trace(t.Context(), ids, runtime.TraceOptions{Sites: selected, Hooks: list, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, c := range trace("resid_pre.*,attn_out.*,mlp_out.*", false, steering.Ablate(r)) {
		for i := range ids {
			h := c.Data[i*width : (i+1)*width]
			// The component is removed in single precision: a few units of 2^-24 of the row's length are left.
			if share := math.Abs(product(h, r)) / (length(h) * length(r)); share > 1e-5 {
				t.Errorf("ablate at %s, token %d: the row has a share of %.2g along the direction", c.Site, i, share)
			}
		}
	}
	for _, h := range []*steering.Steering{
		steering.Rotate(hooks.At(hooks.AttnIn, 5), r, q, 70), steering.RotatePositive(hooks.At(hooks.AttnIn, 5), r, q, 70),
	} {
		was, is := trace("attn_in.5", true, h)[0], trace("attn_in.5", false, h)[0]
		turned := 0
		for i := range ids {
			a, b := was.Data[i*width:(i+1)*width], is.Data[i*width:(i+1)*width]
			if d := math.Abs(length(a) - length(b)); d > 1e-5*length(a) {
				t.Errorf("%s, token %d: length %g became %g", h.Name(), i, length(a), length(b))
			}
			if !slices.Equal(a, b) {
				turned++
			} else if h.Name() != "rotate+" || product(a, r) > 0 {
				t.Errorf("%s, token %d: left alone with %g along the first direction", h.Name(), i, product(a, r))
			}
		}
		if turned == 0 {
			t.Errorf("%s turned no row", h.Name())
		}
	}
	site := hooks.At(hooks.ResidPost, 10)
	plain, caa := trace("resid_post.10", false)[0], trace("resid_post.10", false, steering.Add(site, r, 1).BehindInstruction())[0]
	for i := range ids {
		if same := slices.Equal(plain.Data[i*width:(i+1)*width], caa.Data[i*width:(i+1)*width]); same != (i < 14) {
			t.Errorf("behind the instruction, token %d: left alone = %v", i, same)
		}
	}
}

func product(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

func length(a []float32) float64 { return math.Sqrt(product(a, a)) }

// TestConditionOfAFileThatDoesNotFit is refused when it is attached.
func TestConditionOfAFileThatDoesNotFit(t *testing.T) {
	needRuntime(t)
	v, wide := vectorFile(t, "v", 64, "1"), vectorFile(t, "wide", 65, "1")
	for _, c := range []string{wide, filepath.Join(t.TempDir(), "absent.svec")} {
		if r := run("", "generate", tiny(t), "--prompt", "a", "--steer", "vector:"+v+"*2[when "+c+" above 0.1]"); r.status == 0 {
			t.Errorf("a condition of %s: want an error, found none", c)
		}
	}
}

func TestInspectFilesOfOtherTools(t *testing.T) {
	const folder = "../../../../steering/testdata/vectors/"
	for file, want := range map[string]string{
		"cast.svec": "direction.1 -> resid_pre.1", "repe.npy": "direction.-1 -> resid_post.-1", "angular.npy": "second_direction.2 -> mlp_in.2",
		"steering-vectors.pt": "direction.2 -> mlp_out.2", "vec_layer_2_tiny.pt": "direction.2 -> resid_post.2", "loose.pt": "needs @SITES",
	} {
		if got := ok(t, "", "inspect", folder+file); !strings.Contains(got, want) {
			t.Errorf("inspect %s: %s\nwant it to say %q", file, got, want)
		}
	}
	if r := run("", "inspect", file(t, "x.json", "{}")); r.status == 0 || !strings.Contains(r.err, "found JSON") {
		t.Errorf("inspect of other JSON: %s", r.err)
	}
}
