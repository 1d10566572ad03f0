// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// route returns a mask over n experts, filled in by f.
func route(n int, f func(choice, before, after []float32)) Edit {
	choice, before, after := RouteDirections(n)
	f(choice, before, after)
	return Edit{Name: "mask", Site: At(RouterLogits, 0), Op: Route, Directions: [][]float32{choice, before, after}}
}

// logit is the logarithm of shares, whose softmax they are.
func logit(shares ...float64) []float32 {
	out := make([]float32, len(shares))
	for i, s := range shares {
		out[i] = float32(math.Log(s))
	}
	return out
}

// TestChooseValues has results worked out by hand from the formulas at RouteDirections.
func TestChooseValues(t *testing.T) {
	shares := logit(0.4, 0.1, 0.3, 0.2)
	all := &Router{Experts: 4, Used: 2, Normalise: true}
	raw := &Router{Experts: 4, Used: 2, Scale: 2}
	drop := route(4, func(_, before, _ []float32) { before[0] = 0 })
	replace := route(4, func(choice, _, _ []float32) { choice[0] = Closed })
	half := drop
	half.Strength = NewKnob(0.5)
	off := replace
	off.Strength = NewKnob(0)
	for _, c := range []struct {
		name    string
		router  *Router
		masks   []Edit
		bias    []float32
		ids     []int
		weights []float32
	}{
		{"none", all, nil, nil, []int{0, 2}, []float32{0.4 / 0.7, 0.3 / 0.7}},
		{"not divided, scaled", raw, nil, nil, []int{0, 2}, []float32{0.8, 0.6}},
		{"dropped: the slot stays empty", all, []Edit{drop}, nil, []int{2, 0}, []float32{1, 0}},
		{"dropped, not divided", raw, []Edit{drop}, nil, []int{2, 0}, []float32{0.6, 0}},
		{"half dropped", all, []Edit{half}, nil, []int{2, 0}, []float32{0.6, 0.4}},
		{"replaced: as if there were three", all, []Edit{replace}, nil, []int{2, 3}, []float32{0.6, 0.4}},
		{"replaced, not divided: shares of three", raw, []Edit{replace}, nil, []int{2, 3}, []float32{1, 2.0 / 3}},
		{"strength 0", all, []Edit{off}, nil, []int{0, 2}, []float32{0.4 / 0.7, 0.3 / 0.7}},
		{"forced, with its own weight", all, []Edit{route(4, func(choice, _, _ []float32) { choice[1] = Forced })}, nil, []int{0, 1}, []float32{0.8, 0.2}},
		{"scaled behind the division", all, []Edit{route(4, func(_, _, after []float32) { after[2] = 3 })}, nil, []int{2, 0}, []float32{0.9 / 0.7, 0.4 / 0.7}},
		{"two masks", all, []Edit{replace, route(4, func(_, _, after []float32) { after[2] = 0.5 })}, nil, []int{3, 2}, []float32{0.4, 0.3}},
		{"a bias is part of the choice alone", all, nil, []float32{0, 1, 0, 0}, []int{0, 1}, []float32{0.8, 0.2}},
		{"a closed expert stays out whatever its bias", all, []Edit{route(4, func(choice, _, _ []float32) { choice[1] = Closed })}, []float32{0, 1, 0, 0}, []int{0, 2}, []float32{0.4 / 0.7, 0.3 / 0.7}},
		{"groups", &Router{Experts: 4, Used: 2, Groups: 2, GroupsUsed: 1, GroupTop: 1}, nil, nil, []int{0, 1}, []float32{0.4, 0.1}},
		{"forcing opens a group", &Router{Experts: 4, Used: 2, Groups: 2, GroupsUsed: 1, GroupTop: 1}, []Edit{route(4, func(choice, _, _ []float32) { choice[3] = Forced })}, nil, []int{2, 3}, []float32{0.3, 0.2}},
	} {
		ids, weights := c.router.Choose(shares, c.bias, c.masks)
		if !slices.Equal(ids, c.ids) {
			t.Errorf("%s: ids = %v, want %v", c.name, ids, c.ids)
		}
		for i := range weights {
			if math.Abs(float64(weights[i]-c.weights[i])) > 1e-6 { // a few roundings of a float32
				t.Errorf("%s: weights = %v, want %v", c.name, weights, c.weights)
				break
			}
		}
	}
}

func TestRaise(t *testing.T) {
	e := Edit{Op: Raise, Directions: [][]float32{{0, 1, -1, 0}}}
	if got, want := run(t, e, []float32{3, 1, 2, -1}), []float32{3, 3.01, -1.01, -1}; !slices.Equal(got, want) {
		t.Errorf("raise = %v, want %v", got, want)
	}
}

// mixtureShape is a model of one block of eight experts, of which a token uses two.
func mixtureShape(r Router) *Shape {
	return &Shape{Model: "tiny", Layers: 1, Widths: map[Site]int{At(RouterLogits, 0): r.Experts, At(ResidPost, 0): r.Experts}, Routers: map[int]*Router{0: &r}}
}

func TestCheckMasks(t *testing.T) {
	plain, grouped := Router{Experts: 8, Used: 2}, Router{Experts: 8, Used: 2, Groups: 4, GroupsUsed: 1, GroupTop: 1}
	off := func(list ...int) *Edit {
		e := route(8, func(choice, _, _ []float32) {
			for _, i := range list {
				choice[i] = Closed
			}
		})
		return &e
	}
	drop := func(list ...int) *Edit {
		e := route(8, func(_, before, _ []float32) {
			for _, i := range list {
				before[i] = 0
			}
		})
		return &e
	}
	on := func(list ...int) *Edit {
		e := route(8, func(choice, _, _ []float32) {
			for _, i := range list {
				choice[i] = Forced
			}
		})
		return &e
	}
	raise := &Edit{Site: At(RouterLogits, 0), Op: Raise, Directions: [][]float32{{1, -1, 0, 0, 0, 0, 0, 0}}}
	at := func(e *Edit, p Phase) *Edit { e.Where.Phases = p; return e }
	for _, c := range []struct {
		name   string
		router Router
		edits  []*Edit
		say    string
	}{
		{"none", plain, nil, ""},
		{"six of eight off", plain, []*Edit{off(0, 1, 2), drop(3, 4, 5)}, ""},
		{"the same one twice", plain, []*Edit{off(0, 1, 2, 3, 4, 5), drop(5)}, ""},
		{"seven of eight off", plain, []*Edit{off(0, 1, 2), drop(3, 4, 5, 6)}, "7 of 8 off"},
		{"in different phases", plain, []*Edit{at(off(0, 1, 2, 3), Prefill), at(off(4, 5, 6), Decode)}, ""},
		{"two forced", plain, []*Edit{on(0), on(1)}, ""},
		{"three forced", plain, []*Edit{on(0, 3), raise, on(2)}, "forced"},
		{"both", plain, []*Edit{on(2), off(2)}, "both for expert 2"},
		{"raised and off", plain, []*Edit{raise, drop(0)}, "both for expert 0"},
		{"a group that keeps one", grouped, []*Edit{off(2)}, "found 1"},
		{"a group that the router avoids", grouped, []*Edit{off(2, 3)}, ""},
		{"dropped ones keep their place", grouped, []*Edit{drop(2)}, ""},
		{"forced in two groups", grouped, []*Edit{on(0, 2)}, "some in 2"},
	} {
		err := mixtureShape(c.router).CheckMasks(c.edits)
		var mask *MaskError
		switch {
		case c.say == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.say != "" && !errors.As(err, &mask):
			t.Errorf("%s: %v, want a *MaskError", c.name, err)
		case c.say != "" && !strings.Contains(err.Error(), c.say):
			t.Errorf("%s: %v, want it to say %q", c.name, err, c.say)
		}
	}
}

func TestCheckRefusesMasksThatCannotWork(t *testing.T) {
	good := func() Edit { return route(8, func(choice, _, _ []float32) { choice[1] = Closed }) }
	for _, c := range []struct {
		name   string
		router Router
		change func(e *Edit)
		say    string
	}{
		{"good", Router{Experts: 8, Used: 2}, func(*Edit) {}, ""},
		{"nothing", Router{Experts: 8, Used: 2}, func(e *Edit) { e.Directions[0][1] = 0 }, "changes nothing"},
		{"negative factor", Router{Experts: 8, Used: 2}, func(e *Edit) { e.Directions[2][3] = -1 }, "-1 for expert 3"},
		{"not finite", Router{Experts: 8, Used: 2}, func(e *Edit) { e.Directions[0][3] = float32(math.Inf(-1)) }, "-Inf"},
		{"width", Router{Experts: 8, Used: 2}, func(e *Edit) { e.Directions[1] = e.Directions[1][1:] }, "width 7"},
		{"elsewhere", Router{Experts: 8, Used: 2}, func(e *Edit) { e.Site.Point = ResidPost }, "router_logits.LAYER"},
		{"unknown k", Router{Experts: 8}, func(*Edit) {}, "does not say"},
		{"within a node, closed", Router{Experts: 8, Used: 2, Node: "QMoE"}, func(*Edit) {}, ""},
		{"within a node, dropped", Router{Experts: 8, Used: 2, Node: "QMoE"}, func(e *Edit) { e.Directions[1][3] = 0 }, "QMoE"},
		{"within a node, forced", Router{Experts: 8, Used: 2, Node: "QMoE"}, func(e *Edit) { e.Directions[0][3] = Forced }, "QMoE"},
	} {
		e := good()
		c.change(&e)
		err := e.Check(mixtureShape(c.router))
		var edit *EditError
		if c.say == "" && err != nil || c.say != "" && (!errors.As(err, &edit) || !strings.Contains(err.Error(), c.say)) {
			t.Errorf("%s: Check() = %v, want it to say %q", c.name, err, c.say)
		}
	}
}
