// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math"
	"math/rand/v2"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Kind is one way of hooking whose cost is measured.
type Kind struct {
	Name string
	hook func(sh *hooks.Shape) (hooks.Plan, error)
}

// Bind makes a Kind a hook.
func (k Kind) Bind(sh *hooks.Shape) (hooks.Plan, error) { return k.hook(sh) }

// Kinds returns the hook kinds of the overhead suite; all stand at resid_post, those at one site in the middle of the model.
func Kinds() []Kind {
	return []Kind{
		{"one site observed", taps(middle)},
		{"one vector", edits(hooks.Add, middle)},
		{"vectors at all layers", edits(hooks.Add, every)},
		{"projection at all layers", edits(hooks.Project, every)},
		{"rotation at one layer", edits(hooks.Rotate, middle)},
		{"tap that writes at one layer", writers(middle)},
		{"taps that write at all layers", writers(every)},
		{"ITDA, 4,096 atoms, k = 8", atoms(4096, 8)},
		{"ITDA, 4,096 atoms, k = 40", atoms(4096, 40)},
	}
}

func middle(sh *hooks.Shape) []int { return []int{sh.Layers / 2} }

func every(sh *hooks.Shape) []int {
	out := make([]int, sh.Layers)
	for i := range out {
		out[i] = i
	}
	return out
}

func edits(op hooks.Op, at func(*hooks.Shape) []int) func(*hooks.Shape) (hooks.Plan, error) {
	return func(sh *hooks.Shape) (p hooks.Plan, err error) {
		for _, i := range at(sh) {
			e := hooks.Edit{Name: "bench", Site: hooks.At(hooks.ResidPost, i), Op: op, Directions: [][]float32{direction(sh.Width, 1)}, Strength: hooks.NewKnob(0.01)}
			if op == hooks.Rotate {
				e.Directions = append(e.Directions, direction(sh.Width, 2))
			}
			p.Edits = append(p.Edits, e)
		}
		return p, nil
	}
}

// taps observe: they add up the activation, as a probe would.
func taps(at func(*hooks.Shape) []int) func(*hooks.Shape) (hooks.Plan, error) {
	return func(sh *hooks.Shape) (p hooks.Plan, err error) {
		sum := new(float32)
		for _, i := range at(sh) {
			p.Taps = append(p.Taps, hooks.Tap{Name: "bench", Site: hooks.At(hooks.ResidPost, i), ReadOnly: true, Func: func(a *hooks.Activation) error {
				for _, x := range a.Data {
					*sum += x
				}
				return nil
			}})
		}
		return p, nil
	}
}

// writers change the activation as little as can be measured: the work of a vector, done in Go.
func writers(at func(*hooks.Shape) []int) func(*hooks.Shape) (hooks.Plan, error) {
	return func(sh *hooks.Shape) (p hooks.Plan, err error) {
		v := direction(sh.Width, 1)
		for _, i := range at(sh) {
			p.Taps = append(p.Taps, hooks.Tap{Name: "bench", Site: hooks.At(hooks.ResidPost, i), Func: func(a *hooks.Activation) error {
				for r := range a.Rows {
					row := a.Row(r)
					for j, x := range v {
						row[j] += 0.01 * x
					}
				}
				return nil
			}})
		}
		return p, nil
	}
}

// atoms reads the middle of the model through a dictionary of random atoms: what a pursuit costs, not what it explains.
func atoms(n, k int) func(*hooks.Shape) (hooks.Plan, error) {
	return func(sh *hooks.Shape) (hooks.Plan, error) {
		rows := direction(n*sh.Width, 3)
		for i := range rows {
			rows[i] /= float32(math.Sqrt(float64(sh.Width))) // unit length, nearly
		}
		d, err := dictionary.New(&dictionary.Form{In: sh.Width, Out: sh.Width, N: n, Dec: rows, Act: dictionary.Activation{
			Kind: dictionary.Pursuit, Pursuit: dictionary.PursuitRule{Method: dictionary.Matching, K: k},
		}})
		if err != nil {
			return hooks.Plan{}, err
		}
		site := hooks.At(hooks.ResidPost, sh.Layers/2)
		d.Address.Site, d.Address.Out = site, site
		f, err := steering.NewFeatures(steering.Spec{Kind: steering.KindITDA}, d, nil)
		if err != nil {
			return hooks.Plan{}, err
		}
		return f.Bind(sh)
	}
}

func direction(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}
