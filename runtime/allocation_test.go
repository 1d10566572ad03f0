// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

// builtin is a hook of every kind of the steer grammar that acts on a dense model, and a tap.
func builtin(t *testing.T) map[string]hooks.Hook {
	t.Helper()
	folder := fixture.Path(t, "fixtures-dictionaries")
	file, second := folder+"/concepts/happy-vs-sad.diffmean.gguf", folder+"/concepts/sentiment-sst.diffmean.gguf"
	out := map[string]hooks.Hook{"rules": ruled(t, manyRules(), topics(t, 18))}
	for name, spec := range map[string]string{
		"vector": "vector:" + file + "*2@resid_post.8-12", "norm": "norm:" + file + "*2@resid_post.8-12",
		"project": "project:" + file + "@resid_post.8-12", "project+": "project+:" + file + "@resid_post.8-12",
		"clamp": "clamp:" + file + "=-1..1@resid_post.8-12", "rotate": "rotate:" + file + "," + second + "=30@resid_post.8-12",
		"sae": "sae:" + folder + "/smollm2-135m/topk-l14", "sae edit": "sae:" + folder + "/smollm2-135m/topk-l14#3548+=20",
		"itda": "itda:" + folder + "/smollm2-135m/itda-l14", "itda edit": "itda:" + folder + "/smollm2-135m/itda-l14#7+=5",
	} {
		out[name] = load(t, spec)
	}
	seen := 0
	out["tap"] = plan(hooks.Plan{Taps: []hooks.Tap{{Name: "t", Site: hooks.At(hooks.ResidPost, 3), Func: func(*hooks.Activation) error { seen++; return nil }}}})
	return out
}

// TestNoHookKindAllocatesPerToken: in a session alone, and in sessions of which some have the hook and that share their passes.
func TestNoHookKindAllocatesPerToken(t *testing.T) {
	for _, batch := range []int{0, 3} {
		m := open(t, fixture.SmolLM2(t), Config{Threads: 1, Batch: batch})
		kinds := builtin(t)
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			compareAllocations(t, m, name, batch, kinds[name])
		}
		mixture := open(t, fixture.Path(t, "organism/model"), Config{Threads: 1, Quant: Q8, Batch: batch})
		for _, spec := range []string{"experts:off-drop=0/1,1/2;scale*0.5=0/3", "experts:force-on=1/1*0.5", "experts:force-max=1/1"} {
			compareAllocations(t, mixture, spec, batch, load(t, spec))
		}
	}
}

func compareAllocations(t *testing.T, m *Model, name string, batch int, h hooks.Hook) {
	t.Helper()
	sessions := make([]*Session, max(batch, 1))
	for i := range sessions {
		sessions[i] = newSession(t, m)
		defer sessions[i].Close()
		if i != 1 { // the second of several is not steered
			if _, err := sessions[i].Attach(h); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	next, stop := pullAll(t, sessions)
	defer stop()
	for range 40 {
		next() // readings and scratch grow with what is seen
	}
	if n := testing.AllocsPerRun(20, next); n != 0 {
		t.Errorf("%s, batch %d: %v allocations a token, want 0", name, batch, n)
	}
}

// pullAll is pull for several sessions, whose tokens are asked for together.
func pullAll(t *testing.T, sessions []*Session) (next, stop func()) {
	step, done := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() {
			for _, err := range s.Generate(t.Context(), promptOf(s.model), Options{IgnoreEOS: true}) {
				if err != nil {
					t.Error(err)
				}
				if _, ok := <-step; !ok {
					break
				}
				done <- struct{}{}
			}
		})
	}
	next = func() {
		for range sessions {
			step <- struct{}{}
		}
		for range sessions {
			<-done
		}
	}
	return next, func() { close(step); wg.Wait() }
}
