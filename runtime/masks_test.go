// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/quant"
)

// mixtures calls f with every model of the fixtures that has experts, in both forms of its router.
func mixtures(t *testing.T, f func(t *testing.T, m *Model)) {
	t.Helper()
	paths := []string{fixture.Path(t, "organism/model")}
	for _, name := range []string{"mixtral", "qwen2_moe", "qwen3_moe", "olmoe"} {
		paths = append(paths, fixture.Path(t, "fixtures/models/"+name))
	}
	for _, name := range []string{"deepseek_v2", "deepseek_v3", "gpt_oss", "granitemoe"} {
		paths = append(paths, filepath.Join("testdata", "families", name))
	}
	for _, path := range paths {
		for _, c := range []Config{{Quant: Float32}, {Quant: Keep, KV: KVFull}} {
			t.Run(fmt.Sprintf("%s/%s", filepath.Base(path), c.Quant), func(t *testing.T) { f(t, open(t, path, c)) })
		}
	}
}

// promptOf is a prompt in the model's vocabulary.
func promptOf(m *Model) []int32 {
	out := slices.Clone(prompt)
	for i := range out {
		out[i] %= int32(m.shape.Vocab)
	}
	return out
}

func traceSites(t *testing.T, m *Model, sites []hooks.Site, list ...hooks.Hook) []Captured {
	t.Helper()
	got, err := m.Trace(t.Context(), promptOf(m), TraceOptions{Sites: sites, Hooks: list})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// routers lists the blocks with experts.
func routers(m *Model) []int {
	var out []int
	for i := range m.shape.Routers {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// mask is a Route of one block, filled in by f.
func mask(m *Model, layer int, f func(choice, before, after []float32)) hooks.Edit {
	choice, before, after := hooks.RouteDirections(m.shape.Routers[layer].Experts)
	f(choice, before, after)
	return hooks.Edit{Name: "mask", Site: hooks.At(hooks.RouterLogits, layer), Op: hooks.Route, Directions: [][]float32{choice, before, after}}
}

// masks are those of one block, in every mode, at several strengths and on some rows alone.
func masks(m *Model, layer int) map[string][]hooks.Edit {
	drop := mask(m, layer, func(_, before, _ []float32) { before[0], before[2] = 0, 0 })
	replace := mask(m, layer, func(choice, _, _ []float32) { choice[1] = hooks.Closed })
	force := mask(m, layer, func(choice, _, _ []float32) { choice[3] = hooks.Forced })
	scale := mask(m, layer, func(_, _, after []float32) { after[0], after[1] = 0.25, 3 })
	half, some := scale, drop
	half.Strength, some.Where = hooks.NewKnob(0.5), hooks.Where{From: 1, To: 4}
	return map[string][]hooks.Edit{
		"drop": {drop}, "replace": {replace}, "force": {force}, "scale": {scale}, "half scale": {half}, "drop in some rows": {some}, "three at once": {some, replace, half},
	}
}

// TestRoutersUnderMasks holds what graphs choose against hooks.Router.Choose on the logits that they chose by.
func TestRoutersUnderMasks(t *testing.T) {
	mixtures(t, func(t *testing.T, m *Model) {
		for _, layer := range routers(m) {
			for name, list := range masks(m, layer) {
				compareRouter(t, m, layer, name, list)
			}
		}
	})
}

func compareRouter(t *testing.T, m *Model, layer int, name string, list []hooks.Edit) {
	t.Helper()
	r := m.shape.Routers[layer]
	sites := []hooks.Site{hooks.At(hooks.RouterLogits, layer), hooks.At(hooks.ExpertIDs, layer), hooks.At(hooks.RouterWeights, layer)}
	got := traceSites(t, m, sites, plan(hooks.Plan{Edits: list}))
	for row := range prompt {
		var act []hooks.Edit
		for _, e := range list {
			if e.Where.Selects(hooks.Row{Position: row, Phase: hooks.Prefill}) {
				act = append(act, e)
			}
		}
		ids, weights := r.Choose(got[0].Data[row*r.Experts:][:r.Experts], routerBias(t, m, layer), act)
		for i := range ids {
			// Two forms of a softmax in float32 differ by some units in the last place of weights up to 3.
			if d := math.Abs(float64(got[2].Data[row*r.Used+i] - weights[i])); int(got[1].Data[row*r.Used+i]) != ids[i] && weights[i] > 1e-6 || !(d <= 2e-6) {
				t.Errorf("block %d, %s, row %d: experts %v with weights %v, want %v with %v", layer, name, row,
					got[1].Data[row*r.Used:][:r.Used], got[2].Data[row*r.Used:][:r.Used], ids, weights)
				break
			}
		}
	}
}

func routerBias(t *testing.T, m *Model, layer int) []float32 {
	x, ok := m.file.Tensor(fmt.Sprintf("blk.%d.exp_probs_b.bias", layer))
	if !ok {
		return nil
	}
	return values(t, &x)
}

func values(t *testing.T, x *decoder.Tensor) []float32 {
	t.Helper()
	data, err := x.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	elements, size := x.Type.Block()
	stored := make([]float32, len(data)/size*elements)
	if err := quant.Dequantize(stored, x.Type, data); err != nil {
		t.Fatal(err)
	}
	if x.Order == nil {
		return stored
	}
	var out []float32
	for _, row := range x.Order {
		out = append(out, stored[int(row)*x.Cols():][:x.Cols()]...)
	}
	return out
}

// TestMasksOfStrengthZeroChangeNoBit: neither in the rows that a mask leaves alone, nor turned down, on all blocks at once.
func TestMasksOfStrengthZeroChangeNoBit(t *testing.T) {
	mixtures(t, func(t *testing.T, m *Model) {
		var all []hooks.Edit
		for _, layer := range routers(m) {
			for _, list := range masks(m, layer) {
				for _, e := range list {
					e.Strength = hooks.NewKnob(0)
					all = append(all, e)
				}
			}
			raise := make([]float32, m.shape.Routers[layer].Experts)
			raise[4%len(raise)] = 1
			all = append(all, hooks.Edit{Name: "raise", Site: hooks.At(hooks.RouterLogits, layer), Op: hooks.Raise, Directions: [][]float32{raise}, Strength: hooks.NewKnob(0)})
		}
		all = slices.DeleteFunc(all, func(e hooks.Edit) bool { return e.Op == hooks.Route && e.Directions[0][3] > 0 }) // forced and closed at once is refused
		logits := []hooks.Site{hooks.Once(hooks.Logits)}
		if !sameBits(traceSites(t, m, logits)[0].Data, traceSites(t, m, logits, plan(hooks.Plan{Edits: all}))[0].Data) {
			t.Error("logits differ under masks of strength 0")
		}
	})
}

// TestReplacedExpertIsARemovedRow: one expert of a block, and one of every block, taken out of the running, against a plain forward of the mixture over a
// router without that row.
func TestReplacedExpertIsARemovedRow(t *testing.T) {
	mixtures(t, func(t *testing.T, m *Model) {
		layers := routers(m)
		for _, which := range [][]int{{layers[len(layers)/2]}, layers} {
			var edits []hooks.Edit
			p := plainMixture{model: m}
			for _, layer := range which {
				e := int(traceSites(t, m, []hooks.Site{hooks.At(hooks.ExpertIDs, layer)})[0].Data[0])
				edits = append(edits, mask(m, layer, func(choice, _, _ []float32) { choice[e] = hooks.Closed }))
				p.remove(t, layer, e)
			}
			logits := []hooks.Site{hooks.Once(hooks.Logits)}
			got, want := traceSites(t, m, logits, plan(hooks.Plan{Edits: edits})), traceSites(t, m, logits, plan(p.plan))
			if d := deviation(got[0].Data, want[0].Data); !(d <= 1e-4) {
				t.Errorf("blocks %v: logits are %.1e standard deviations from those without the row, want at most 1e-4", which, d)
			}
			if p.changed == 0 {
				t.Errorf("blocks %v: no token used the expert", which)
			}
		}
	})
}

// plainMixture is hooks that replace what experts add by what they add without one of them, computed here in float64.
type plainMixture struct {
	model   *Model
	plan    hooks.Plan
	changed int // tokens that used the expert
}

func (p *plainMixture) remove(t *testing.T, layer, expert int) {
	t.Helper()
	m, r := p.model, p.model.shape.Routers[layer]
	w, bias := expertsOf(t, m, layer), routerBias(t, m, layer)
	var in, logits []float32
	keep := func(into *[]float32) func(a *hooks.Activation) error {
		return func(a *hooks.Activation) error { *into = append((*into)[:0], a.Data...); return nil }
	}
	p.plan.Taps = append(p.plan.Taps,
		hooks.Tap{Name: "in", Site: hooks.At(hooks.MLPIn, layer), ReadOnly: true, Func: keep(&in)},
		hooks.Tap{Name: "logits", Site: hooks.At(hooks.RouterLogits, layer), ReadOnly: true, Func: keep(&logits)},
		hooks.Tap{Name: "out", Site: hooks.At(hooks.MLPOut, layer), Func: func(a *hooks.Activation) error {
			for row := range a.Rows {
				x, l := in[row*a.Width:][:a.Width], logits[row*r.Experts:][:r.Experts]
				with, without := r, withoutRow(r, expert)
				ids, weights := with.Choose(l, bias, nil)
				if slices.Contains(ids, expert) {
					p.changed++
				}
				for i, id := range ids {
					w.add(a.Row(row), x, id, -float64(weights[i]))
				}
				ids, weights = without.router.Choose(without.cut(l), without.cut(bias), nil)
				for i, id := range ids {
					w.add(a.Row(row), x, without.number(id), float64(weights[i]))
				}
			}
			return nil
		}})
}

// shorter is a router that lost a row. One with groups cannot, since they are of equal size: there the row's logit is minus infinity.
type shorter struct {
	router  hooks.Router
	expert  int
	grouped bool
}

func withoutRow(r *hooks.Router, expert int) shorter {
	s := shorter{*r, expert, r.Groups > 1}
	if !s.grouped {
		s.router.Experts--
	}
	return s
}

func (s shorter) cut(v []float32) []float32 {
	if v == nil {
		return nil
	}
	v = slices.Clone(v)
	if s.grouped {
		v[s.expert] = float32(math.Inf(-1))
		return v
	}
	return slices.Delete(v, s.expert, s.expert+1)
}

func (s shorter) number(id int) int {
	if !s.grouped && id >= s.expert {
		return id + 1
	}
	return id
}

// expertValues are the weights of a block's experts, in float32.
type expertValues struct {
	d                          *decoder.Description
	gate, up, down             [][]float32
	gateBias, upBias, downBias []float32
}

func expertsOf(t *testing.T, m *Model, layer int) *expertValues {
	t.Helper()
	find := func(part string) (out [][]float32) {
		if x, ok := m.file.Tensor(fmt.Sprintf("blk.%d.ffn_%s_exps.weight", layer, part)); ok {
			all := values(t, &x)
			for e, n := 0, len(all)/m.file.Experts.Count; e < m.file.Experts.Count; e++ {
				out = append(out, all[e*n:][:n])
			}
			return out
		}
		for e := range m.file.Experts.Count {
			x, ok := m.file.Tensor(fmt.Sprintf("blk.%d.ffn_%s.%d.weight", layer, part, e))
			if !ok {
				t.Fatalf("block %d has no %s of expert %d", layer, part, e)
			}
			out = append(out, values(t, &x))
		}
		return out
	}
	bias := func(part string) []float32 {
		if x, ok := m.file.Tensor(fmt.Sprintf("blk.%d.ffn_%s_exps.bias", layer, part)); ok {
			return values(t, &x)
		}
		return nil
	}
	return &expertValues{&m.file.Description, find("gate"), find("up"), find("down"), bias("gate"), bias("up"), bias("down")}
}

// add is y += factor · expert(x).
func (v *expertValues) add(y, x []float32, expert int, factor float64) {
	e := &v.d.Experts
	alpha, limit := float64(e.Alpha), float64(e.Limit)
	if alpha == 0 {
		alpha = 1
	}
	if limit == 0 {
		limit = math.Inf(1)
	}
	product := func(w [][]float32, bias, x []float32, i, rows int) float64 {
		sum := 0.0
		for j, a := range x {
			sum += float64(a) * float64(w[expert][i*len(x)+j])
		}
		if bias != nil {
			sum += float64(bias[expert*rows+i])
		}
		return sum
	}
	h := make([]float32, e.Width)
	for i := range h {
		g, u := min(product(v.gate, v.gateBias, x, i, e.Width), limit), product(v.up, v.upBias, x, i, e.Width)
		h[i] = float32(g / (1 + math.Exp(-alpha*g)) * (max(min(u, limit), -limit) + float64(e.Offset)))
	}
	for i := range y {
		y[i] += float32(factor * product(v.down, v.downBias, h, i, len(y)))
	}
}

// TestMaskedOrganismMatchesReference: routing and logits under the edits that the reference was recorded with. Its limit is that of the fixtures for the family.
func TestMaskedOrganismMatchesReference(t *testing.T) {
	const limit = 2e-4
	ref := openReference(t, fixture.Path(t, "organism/prompts/reference.safetensors"))
	off := [][2]int{{1, 7}, {1, 10}, {2, 13}, {1, 4}}
	for _, c := range []Config{{Quant: Float32}, {Quant: Keep, KV: KVFull}} {
		m := open(t, fixture.Path(t, "organism/model"), c)
		each := func(list [][2]int, f func(choice, before, after []float32, e int)) []hooks.Edit {
			var out []hooks.Edit
			for _, x := range list {
				out = append(out, mask(m, x[0], func(choice, before, after []float32) { f(choice, before, after, x[1]) }))
			}
			return out
		}
		raise := make([]float32, 16)
		raise[7] = 1
		for name, edits := range map[string][]hooks.Edit{
			"off-drop":    each(off, func(_, before, _ []float32, e int) { before[e] = 0 }),
			"off-replace": each(off, func(choice, _, _ []float32, e int) { choice[e] = hooks.Closed }),
			"force-on":    each([][2]int{{1, 7}}, func(choice, _, _ []float32, e int) { choice[e] = hooks.Forced }),
			"scale":       each(off, func(_, _, after []float32, e int) { after[e] = 0.5 }),
			"force-max":   {{Name: "raise", Site: hooks.At(hooks.RouterLogits, 1), Op: hooks.Raise, Directions: [][]float32{raise}}},
		} {
			for _, p := range []string{"p0.", "p1.", "p2.", "p3."} {
				compareMasked(t, m, ref, p, name, edits, limit)
			}
		}
	}
}

func compareMasked(t *testing.T, m *Model, ref reference, p, name string, edits []hooks.Edit, limit float64) {
	t.Helper()
	ids := ref.ids(p + "input_ids")
	sites := []hooks.Site{hooks.Once(hooks.Logits)}
	for _, point := range []hooks.Point{hooks.ExpertIDs, hooks.RouterWeights} {
		for i := range m.shape.Layers {
			sites = append(sites, hooks.At(point, i))
		}
	}
	got, err := m.Trace(t.Context(), ids, TraceOptions{Sites: sites, Hooks: []hooks.Hook{plan(hooks.Plan{Edits: edits})}})
	if err != nil {
		t.Fatal(err)
	}
	if d := deviation(got[0].Data, ref.floats(p+name+".logits")); !(d <= limit) {
		t.Errorf("%s%s: logits are %.2e standard deviations off, want at most %.1e", p, name, d, limit)
	}
	wantIDs, gates := ref.ids(p+name+".topk_ids"), ref.floats(p+name+".gates")
	for i := range m.shape.Layers {
		experts, weights := got[1+i], got[1+m.shape.Layers+i]
		for row := range ids {
			for k := range 2 {
				at := (i*len(ids)+row)*2 + k
				weight := 0.0 // of that expert; the reference keeps the order in which experts were chosen
				for j := range 2 {
					if int32(experts.Data[row*2+j]) == wantIDs[at] {
						weight = float64(weights.Data[row*2+j])
					}
				}
				if math.Abs(weight-float64(gates[at])) > 1e-4 {
					t.Errorf("%s%s: block %d, row %d: expert %d has weight %.5f, want %.5f", p, name, i, row, wantIDs[at], weight, gates[at])
				}
			}
		}
	}
}

// TestSessionsHaveMasksOfTheirOwn runs sessions of one model at once, each with a mask of its own, and wants of each what it gives alone.
func TestSessionsHaveMasksOfTheirOwn(t *testing.T) {
	m := open(t, fixture.Path(t, "organism/model"), Config{})
	o := Options{MaxTokens: 20, IgnoreEOS: true}
	ids := openReference(t, fixture.Path(t, "organism/prompts/reference.safetensors")).ids("p0.input_ids")[:18]
	start := func(experts []int) *Session {
		s := newSession(t, m)
		var edits []hooks.Edit
		for layer := range m.shape.Layers {
			edits = append(edits, mask(m, layer, func(choice, _, _ []float32) {
				for _, e := range experts {
					choice[e] = hooks.Closed
				}
			}))
		}
		if _, err := s.Attach(plan(hooks.Plan{Edits: edits})); err != nil {
			t.Fatal(err)
		}
		return s
	}
	sets := [][]int{{0}, {7, 10, 4, 15, 8, 11}, {1, 2, 3, 5, 6, 8, 9, 11, 13, 14}}
	alone := make([][]int32, len(sets))
	for i, e := range sets {
		alone[i] = collect(t, start(e), ids, o)
	}
	if slices.Equal(alone[0], alone[1]) || slices.Equal(alone[0], alone[2]) {
		t.Fatal("the masks make no difference")
	}
	var wait sync.WaitGroup
	for i, e := range sets {
		s := start(e)
		wait.Go(func() {
			for range 5 {
				s.Forget()
				var got []int32
				for tok, err := range s.Generate(t.Context(), ids, o) {
					if err != nil {
						t.Error(err)
						return
					}
					got = append(got, tok.ID)
				}
				if !slices.Equal(got, alone[i]) {
					t.Errorf("beside others, without experts %v: %v, alone %v", e, got, alone[i])
				}
			}
		})
	}
	wait.Wait()
}

// TestMasksOfASessionAreCheckedTogether: a mask that would leave the router too little is refused by name, and the session works on.
func TestMasksOfASessionAreCheckedTogether(t *testing.T) {
	m := open(t, fixture.Path(t, "fixtures/models/mixtral"), Config{}) // 6 experts, 2 used
	s := newSession(t, m)
	attach := func(list ...int) error {
		_, err := s.Attach(plan(hooks.Plan{Edits: []hooks.Edit{mask(m, 0, func(choice, _, _ []float32) {
			for _, e := range list {
				choice[e] = hooks.Closed
			}
		})}}))
		return err
	}
	if err := attach(0, 1, 2); err != nil {
		t.Fatal(err)
	}
	var want *hooks.MaskError
	if err := attach(3, 4); !errors.As(err, &want) || want.Layer != 0 || !strings.Contains(err.Error(), "5 of 6 off") {
		t.Errorf("attach = %v, want a *hooks.MaskError for block 0", err)
	}
	if err := attach(3); err != nil {
		t.Error(err)
	}
	if got := collect(t, s, prompt, Options{MaxTokens: 2, IgnoreEOS: true}); len(got) != 2 {
		t.Errorf("the session does not work on: %v", got)
	}
}
