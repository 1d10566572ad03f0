// SPDX-License-Identifier: Apache-2.0

package steering

import "github.com/trimtab/trimtab/hooks"

// Add returns a hook that adds strength times v at one site. As with the other constructors for one site, what is wrong with v is said by Bind.
func Add(site hooks.Site, v []float32, strength float32) *Steering {
	return direct(Spec{Kind: KindVector, Strength: &strength}, site, v)
}

// KeepNorm returns a hook that adds strength times v at one site and then brings each row back to the length it had.
func KeepNorm(site hooks.Site, v []float32, strength float32) *Steering {
	return direct(Spec{Kind: KindNorm, Strength: &strength}, site, v)
}

// Project returns a hook that removes the component along v at one site; its strength is 1, and 2 reflects.
func Project(site hooks.Site, v []float32) *Steering {
	return direct(Spec{Kind: KindProject}, site, v)
}

// ProjectPositive is Project for the rows alone whose component along v is positive.
func ProjectPositive(site hooks.Site, v []float32) *Steering {
	return direct(Spec{Kind: KindProjectPositive}, site, v)
}

// Clamp returns a hook that keeps the component along v/|v| between low and high at one site.
func Clamp(site hooks.Site, v []float32, low, high float32) *Steering {
	return direct(Spec{Kind: KindClamp, Low: low, High: high}, site, v)
}

// Rotate returns a hook that turns the component in the plane of v and w at one site to an angle of so many degrees, counted from v towards w.
func Rotate(site hooks.Site, v, w []float32, degrees float32) *Steering {
	return direct(Spec{Kind: KindRotate, Strength: &degrees}, site, v, w)
}

// RotatePositive is Rotate for the rows alone whose component along v is positive (angular steering's adaptive mode).
func RotatePositive(site hooks.Site, v, w []float32, degrees float32) *Steering {
	return direct(Spec{Kind: KindRotatePositive, Strength: &degrees}, site, v, w)
}

// Ablate returns a hook that removes the component along v wherever the residual is written: from the input of every block, and from what attention and the MLP
// put out (arXiv 2406.11717).
func Ablate(v []float32) *Steering {
	s := direct(Spec{Kind: KindAblate}, hooks.Site{}, v)
	s.spec.Sites = ""
	return s
}

func direct(spec Spec, site hooks.Site, directions ...[]float32) *Steering {
	spec.Sites = site.String()
	op, _ := spec.Kind.op()
	s := &Steering{spec: spec, op: op, name: string(spec.Kind)}
	for _, d := range directions {
		v := newVector(string(spec.Kind), "")
		v.blockless, v.width = d, len(d)
		s.vectors = append(s.vectors, v)
	}
	s.knob = hooks.NewKnob(s.startStrength())
	return s
}
