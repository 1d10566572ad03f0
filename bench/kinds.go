// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// Kind is one way of hooking whose cost is measured.
type Kind struct {
	Name   string
	Beside string // another kind whose cost is part of this one's
	make   func() (hooks.Hook, error)
}

// Hook returns the kind's hook, which may be attached to any number of sessions; dictionaries are made at the first call.
func (k Kind) Hook() (hooks.Hook, error) {
	h, err := k.make()
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", k.Name, err)
	}
	return h, nil
}

// plain makes a kind of a function that plans.
func plain(name string, plan func(*hooks.Shape) (hooks.Plan, error)) Kind {
	return Kind{Name: name, make: func() (hooks.Hook, error) { return hooks.HookFunc(plan), nil }}
}

// Kinds returns the hook kinds that a model can be measured with. Those at one site stand at resid_post in the middle of the model; directions and dictionaries
// are random: what is measured is what they cost, not what they do.
func Kinds(sh *hooks.Shape, c *Config) []Kind {
	list := []Kind{
		plain("one site observed", taps(residual(middle), observe)),
		plain("resid_post of all layers observed", taps(residual(every), observe)),
		plain("every site observed", taps(allSites, observe)),
		plain("one layer captured", taps(residual(middle), capture)),
		plain("all layers captured", taps(residual(every), capture)),
	}
	for _, op := range []struct {
		name string
		op   hooks.Op
	}{{"vector", hooks.Add}, {"norm-keeping vector", hooks.AddKeepNorm}, {"projection", hooks.Project}, {"clamp", hooks.Clamp}, {"rotation", hooks.Rotate}} {
		list = append(list, plain(op.name+" at one layer", edits(op.op, middle)))
		if op.op == hooks.Add {
			list = append(list, plain(op.name+" at half of the layers", edits(op.op, half)))
		}
		list = append(list, plain(op.name+" at all layers", edits(op.op, every)))
	}
	list = append(list, plain("Go tap that writes at one layer", taps(residual(middle), write)), plain("Go taps that write at all layers", taps(residual(every), write)))
	list = append(list, dictionaryKinds(sh, c.Dictionaries)...)
	list = append(list, expertKinds(sh)...)
	return slices.DeleteFunc(list, func(k Kind) bool { return c.Rows != nil && !c.Rows.MatchString(k.Name) })
}

// Where kinds stand.

func middle(sh *hooks.Shape) []int { return []int{sh.Layers / 2} }

func every(sh *hooks.Shape) []int {
	out := make([]int, sh.Layers)
	for i := range out {
		out[i] = i
	}
	return out
}

// half is every second layer.
func half(sh *hooks.Shape) (out []int) {
	for i := 0; i < sh.Layers; i += 2 {
		out = append(out, i)
	}
	return out
}

func residual(at func(*hooks.Shape) []int) func(*hooks.Shape) []hooks.Site {
	return func(sh *hooks.Shape) (out []hooks.Site) {
		for _, i := range at(sh) {
			out = append(out, hooks.At(hooks.ResidPost, i))
		}
		return out
	}
}

func allSites(sh *hooks.Shape) (out []hooks.Site) {
	for s := range sh.Widths {
		out = append(out, s)
	}
	slices.SortFunc(out, hooks.Compare)
	return out
}

func edits(op hooks.Op, at func(*hooks.Shape) []int) func(*hooks.Shape) (hooks.Plan, error) {
	return func(sh *hooks.Shape) (p hooks.Plan, err error) {
		for _, i := range at(sh) {
			e := hooks.Edit{Name: "bench", Site: hooks.At(hooks.ResidPost, i), Op: op, Directions: [][]float32{direction(sh.Width, 1)}, Strength: hooks.NewKnob(0.01)}
			e.Low, e.High = -1, 1 // of a clamp
			if op == hooks.Rotate {
				e.Directions = append(e.Directions, direction(sh.Width, 2))
			}
			p.Edits = append(p.Edits, e)
		}
		return p, nil
	}
}

// taps plans a tap at every one of some sites; each session has its own state.
func taps(at func(*hooks.Shape) []hooks.Site, of func(width int) hooks.Tap) func(*hooks.Shape) (hooks.Plan, error) {
	return func(sh *hooks.Shape) (p hooks.Plan, err error) {
		for _, s := range at(sh) {
			t := of(sh.Widths[s])
			t.Name, t.Site = "bench", s
			p.Taps = append(p.Taps, t)
		}
		return p, nil
	}
}

// observe adds up the activation, as a probe would.
func observe(int) hooks.Tap {
	var sum float32
	return hooks.Tap{ReadOnly: true, Func: func(a *hooks.Activation) error {
		for _, x := range a.Data {
			sum += x
		}
		return nil
	}}
}

// capture copies the last passes into a buffer of 256 rows, from the beginning again where it is full.
func capture(width int) hooks.Tap {
	kept := direction(256*width, 1) // written, so that the system has given the memory
	kept = kept[:0]
	return hooks.Tap{ReadOnly: true, Func: func(a *hooks.Activation) error {
		if len(kept)+len(a.Data) > cap(kept) {
			kept = kept[:0]
		}
		kept = append(kept, a.Data...)
		return nil
	}}
}

// write changes the activation as little as can be measured: the work of a vector, done in Go.
func write(width int) hooks.Tap {
	v := direction(width, 1)
	return hooks.Tap{Func: func(a *hooks.Activation) error {
		for r := range a.Rows {
			row := a.Row(r)
			for j, x := range v {
				row[j] += 0.01 * x
			}
		}
		return nil
	}}
}

func direction(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}
