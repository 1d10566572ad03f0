// SPDX-License-Identifier: Apache-2.0

package fidelity

import (
	"fmt"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Dark is what a dictionary's error is made of, and what is left of it when the same features are weighed by gradient pursuit with as many of them for each
// token (arXiv 2410.14670).
type Dark struct {
	Learnt  int              `json:"learnt"` // rows that the predictions were fitted on
	Own     dictionary.Split `json:"own"`
	Pursuit dictionary.Split `json:"pursuit"`
}

type dark struct {
	d         *dictionary.Dictionary
	own, hunt *dictionary.Remainder
	pursuer   *dictionary.Pursuer
	target    []float32
	rebuilt   []float32
	code      []dictionary.Feature
	learnt    int
}

func newDark(d *dictionary.Dictionary) (*dark, error) {
	f := d.Form
	if d.Transcodes() || f.In != f.Out || f.Norm > dictionary.ConstantNorm || f.Skip != nil {
		return nil, fmt.Errorf("%s: dark matter: want a dictionary that reconstructs the activation it reads, without a norm of each token, found another", d.Name)
	}
	p, err := d.NewPursuer(dictionary.PursuitRule{Method: dictionary.Gradient, K: 1})
	if err != nil {
		return nil, err
	}
	return &dark{
		d: d, own: dictionary.NewRemainder(f.In), hunt: dictionary.NewRemainder(f.In), pursuer: p,
		target: make([]float32, f.Out), rebuilt: make([]float32, f.Out),
	}, nil
}

// see takes an activation, its reconstruction and the number of features of its code into account.
func (k *dark) see(x, rebuilt []float32, features int, learn bool) {
	k.pursue(x, features)
	if learn {
		k.learnt++
		k.own.Learn(x, rebuilt)
		k.hunt.Learn(x, k.rebuilt)
		return
	}
	k.own.Judge(x, rebuilt)
	k.hunt.Judge(x, k.rebuilt)
}

// pursue reconstructs x with at most that many features.
func (k *dark) pursue(x []float32, features int) {
	f := k.d.Form
	for i, v := range x {
		k.target[i] = v / f.OutScale
		if f.DecBias != nil {
			k.target[i] -= f.DecBias[i]
		}
	}
	k.code = k.code[:0]
	if features > 0 { // 0 would be the rule's own number
		k.code = k.pursuer.Pursue(k.code, k.target, features)
	}
	k.d.Decode(k.rebuilt, k.code, x)
}

func (k *dark) solve() error {
	if err := k.own.Solve(); err != nil {
		return err
	}
	return k.hunt.Solve()
}

func (k *dark) result() *Dark {
	return &Dark{Learnt: k.learnt, Own: k.own.Split(), Pursuit: k.hunt.Split()}
}
