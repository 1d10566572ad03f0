// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/onnx"
)

// routerCase is a router with masks, and the rows that it chooses for.
type routerCase struct {
	hooks.Router
	bias  []float32
	masks []hooks.Edit
	step  []bool // by mask: rows have strengths of their own, 0 in every third
	rows  int
}

// routerCases draws routers of every formula.
func routerCases() []routerCase {
	r := rand.New(rand.NewPCG(3, 4))
	var out []routerCase
	for i := range 60 {
		c := routerCase{rows: 1 + r.IntN(50)}
		c.Groups = []int{1, 1, 4}[r.IntN(3)]
		c.Experts = c.Groups * (4 + r.IntN(20))
		c.Used = 1 + r.IntN(4)
		c.GroupsUsed, c.GroupTop = 2, 1+r.IntN(2)
		c.Sigmoid, c.Normalise, c.Scale = r.IntN(2) == 0, r.IntN(2) == 0, []float32{1, 2.5}[r.IntN(2)]
		if r.IntN(2) == 0 {
			c.bias = random(uint64(i), c.Experts)
		}
		for range r.IntN(4) {
			choice, before, after := hooks.RouteDirections(c.Experts)
			choice[r.IntN(c.Experts)], before[r.IntN(c.Experts)], after[r.IntN(c.Experts)] = hooks.Closed, 0, 3*r.Float32()
			if len(c.masks) == 0 {
				choice[r.IntN(c.Experts)] = hooks.Forced
			}
			c.masks = append(c.masks, hooks.Edit{Op: hooks.Route, Directions: [][]float32{choice, before, after}, Strength: hooks.NewKnob([]float32{1, 0.5, 0}[r.IntN(3)])})
			c.step = append(c.step, r.IntN(2) == 0)
		}
		out = append(out, c)
	}
	return out
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// graph is one Route over all inputs.
func (c *routerCase) graph() *onnx.Graph {
	g := &onnx.Graph{}
	inputs := []string{g.Input("logits", onnx.Float, onnx.N(1), onnx.Sym("n"), onnx.N(c.Experts))}
	if c.bias != nil {
		inputs = append(inputs, g.Input("bias", onnx.Float, onnx.N(c.Experts)))
	}
	for m := range c.masks {
		inputs = append(inputs, g.Input(fmt.Sprintf("c%d", m), onnx.Float, onnx.N(1), onnx.Sym(fmt.Sprintf("s%d", m)), onnx.N(1)))
		for j := range 4 {
			inputs = append(inputs, g.Input(fmt.Sprintf("v%d.%d", m, j), onnx.Float, onnx.N(c.Experts)))
		}
	}
	out := g.AddN("Route", "trimtab", 3, inputs,
		onnx.Attr{Name: "experts", Value: c.Experts}, onnx.Attr{Name: "used", Value: c.Used}, onnx.Attr{Name: "score", Value: flag(c.Sigmoid)},
		onnx.Attr{Name: "normalise", Value: flag(c.Normalise)}, onnx.Attr{Name: "scale", Value: c.Scale}, onnx.Attr{Name: "groups", Value: c.Groups},
		onnx.Attr{Name: "groups_used", Value: c.GroupsUsed}, onnx.Attr{Name: "group_top", Value: c.GroupTop},
		onnx.Attr{Name: "biased", Value: flag(c.bias != nil)}, onnx.Attr{Name: "masks", Value: len(c.masks)})
	g.Output(out[0], "ids", onnx.Int64, onnx.N(1), onnx.Sym("n"), onnx.N(c.Used))
	g.Output(out[1], "weights", onnx.Float, onnx.N(1), onnx.Sym("n"), onnx.N(c.Used))
	g.Output(out[2], "total", onnx.Float, onnx.N(1), onnx.Sym("n"), onnx.N(1))
	return g
}

// run returns what the operator chooses.
func (c *routerCase) run(t *testing.T, logits []float32) (ids []int64, weights, total []float32) {
	t.Helper()
	s := newSession(t, c.graph(), ort.Options{Threads: 2})
	x, _ := floats(t, logits, 1, c.rows, c.Experts)
	in := values{"logits": x}
	if c.bias != nil {
		in["bias"], _ = floats(t, c.bias, c.Experts)
	}
	for m := range c.masks {
		rows := 1
		if c.step[m] {
			rows = c.rows
		}
		strengths := make([]float32, rows)
		for row := range strengths {
			strengths[row] = c.strength(m, row)
		}
		in[fmt.Sprintf("c%d", m)], _ = floats(t, strengths, 1, rows, 1)
		for j, v := range c.masks[m].Operands() {
			in[fmt.Sprintf("v%d.%d", m, j)], _ = floats(t, v, c.Experts)
		}
	}
	mem := alloc(t, 8*c.rows*c.Used)
	w, weights := floats(t, nil, 1, c.rows, c.Used)
	sum, total := floats(t, nil, 1, c.rows, 1)
	if err := run(t, s, in, values{"ids": value(t, mem, ort.Int64, 1, c.rows, c.Used), "weights": w, "total": sum}); err != nil {
		t.Fatal(err)
	}
	return ort.Int64s(mem), weights, total
}

func (c *routerCase) strength(mask, row int) float32 {
	if c.step[mask] && row%3 == 0 {
		return 0
	}
	return c.masks[mask].Strength.Value()
}

// TestRouteIsThePlainRouter holds the operator against hooks.Router.Choose, which computes in float64: weights up to 7.5 may differ by some units in the last
// place. total is what masks leave of the weights' sum.
func TestRouteIsThePlainRouter(t *testing.T) {
	load(t)
	for i, c := range routerCases() {
		logits := random(uint64(100+i), c.rows*c.Experts)
		ids, weights, total := c.run(t, logits)
		for row := range c.rows {
			var masks, whole []hooks.Edit
			for m, e := range c.masks {
				e.Strength = hooks.NewKnob(c.strength(m, row))
				masks = append(masks, e)
				e.Directions = [][]float32{e.Directions[0], e.Directions[1], onesLike(e.Directions[2])}
				whole = append(whole, e)
			}
			want, w := c.Choose(logits[row*c.Experts:][:c.Experts], c.bias, masks)
			_, before := c.Choose(logits[row*c.Experts:][:c.Experts], c.bias, whole)
			for j := range want {
				if got := weights[row*c.Used+j]; int(ids[row*c.Used+j]) != want[j] && w[j] != 0 || !(math.Abs(float64(got-w[j])) <= 5e-6) {
					t.Errorf("%+v, row %d of case %d: %v with %v, want %v with %v", c.Router, row, i, ids[row*c.Used:][:c.Used], weights[row*c.Used:][:c.Used], want, w)
					break
				}
			}
			if s := total64(before); s > 1e-6 && !(math.Abs(float64(total[row])-total64(w)/s) <= 1e-5) {
				t.Errorf("row %d of case %d: the sum is changed by %g, want %g", row, i, total[row], total64(w)/s)
			}
		}
	}
}

func onesLike(v []float32) []float32 {
	out := make([]float32, len(v))
	for i := range out {
		out[i] = 1
	}
	return out
}

func total64(v []float32) float64 {
	s := 0.0
	for _, x := range v {
		s += float64(x)
	}
	return s
}

// TestRouteRefusesWhatDoesNotFit: attributes that contradict each other end the making of a session, inputs of another width the run.
func TestRouteRefusesWhatDoesNotFit(t *testing.T) {
	load(t)
	for _, router := range []hooks.Router{
		{Experts: 4, Used: 5, Groups: 1}, {Experts: 4, Used: 0, Groups: 1}, {Experts: 6, Used: 2, Groups: 4, GroupsUsed: 2, GroupTop: 1}, {Experts: 8, Used: 2, Groups: 4, GroupsUsed: 5, GroupTop: 1},
	} {
		c := routerCase{Router: router}
		if s, err := ort.NewSession(c.graph().Marshal(), ort.Options{Threads: 1}); err == nil {
			s.Close()
			t.Errorf("%+v was accepted", router)
		}
	}
}
