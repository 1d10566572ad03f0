// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"fmt"
	"math"
	"sync/atomic"
)

// Op is the arithmetic of an edit on one row h. In the formulas c is the edit's strength, v its first direction, u = v/|v|.
type Op uint8

// The operations that a graph can carry out.
const (
	Add             Op = iota // h + c v
	AddKeepNorm               // (h + c v) |h| / |h + c v|
	Project                   // h - c (h·u) u; c = 1 removes the component
	ProjectPositive           // h - c max(h·u, 0) u
	Clamp                     // h + c (clip(h·u, Low, High) - h·u) u
	Rotate                    // angular steering (lone17/angular-steering): the component in the plane of two directions turned to c degrees

	// The two below stand at router_logits.i alone; v has a number for each expert.
	Raise // SteerMoE (arXiv 2509.09660): h_e + c (max h + 0.01 - h_e) where v_e > 0, h_e + c (min h - 0.01 - h_e) where v_e < 0
	Route // the router itself, whatever its formula, with directions choice, before, after: see RouteDirections
)

// String returns the name that the steer grammar uses.
func (o Op) String() string {
	return [...]string{"vector", "norm", "project", "project+", "clamp", "rotate", "raise", "route"}[o]
}

// Knob is a strength that may be turned at any time, from any goroutine; the next pass sees it.
type Knob struct{ bits atomic.Uint32 }

// NewKnob returns a knob that stands at v.
func NewKnob(v float32) *Knob {
	k := &Knob{}
	k.Set(v)
	return k
}

// Set turns the knob.
func (k *Knob) Set(v float32) { k.bits.Store(math.Float32bits(v)) }

// Value returns where the knob stands; a nil knob stands at 1.
func (k *Knob) Value() float32 {
	if k == nil {
		return 1
	}
	return math.Float32frombits(k.bits.Load())
}

// Edit is arithmetic at one site that the graph carries out, row by row. It is data: the runtime may run it on any execution provider.
type Edit struct {
	Name       string      // shown in listings and errors
	Site       Site        // where
	Op         Op          // what
	Directions [][]float32 // one vector of the site's width, for Rotate two; shared, never written
	Strength   *Knob       // c in the formulas; nil is 1; degrees for Rotate
	Low, High  float32     // bounds of Clamp; unused otherwise
	Where      Where       // rows
}

// Check returns an *EditError or a *SiteError where the edit cannot be carried out on a model of this shape.
func (e *Edit) Check(sh *Shape) error {
	width, err := sh.SiteWidth(e.Site)
	if err != nil {
		return fmt.Errorf("edit %s: %w", e.Name, err)
	}
	if e.Site.Point == ExpertIDs || e.Site.Point == RouterWeights {
		return e.fault("a site that can be written", "a read-only one")
	}
	if want := e.Op.directions(); len(e.Directions) != want {
		return e.fault(fmt.Sprintf("%d directions", want), fmt.Sprint(len(e.Directions)))
	}
	if e.Op == Raise || e.Op == Route {
		if err := e.checkRouter(sh); err != nil {
			return err
		}
	}
	if e.Op == Route {
		return e.checkRoute(width)
	}
	for _, d := range e.Directions {
		if err := e.checkDirection(d, width); err != nil {
			return err
		}
	}
	if e.Op == Clamp && !(e.Low <= e.High) {
		return e.fault("a lower bound that is not above the upper one", fmt.Sprintf("%g..%g", e.Low, e.High))
	}
	if e.Op == Rotate && plane(e.Directions) == nil {
		return e.fault("two directions that span a plane", "parallel ones")
	}
	return nil
}

// checkRouter wants the site of a router whose choice can be checked.
func (e *Edit) checkRouter(sh *Shape) error {
	site, err := sh.Resolve(e.Site)
	if err != nil {
		return err
	}
	if site.Point != RouterLogits {
		return e.fault("a site "+string(RouterLogits)+".LAYER", site.String())
	}
	r := sh.Routers[site.Layer]
	switch {
	case r == nil || r.Used == 0:
		return e.fault("a router of which it is known how many experts a token uses", "one of an export that does not say")
	case e.Op == Route && r.Node != "" && !e.closesOnly():
		return e.fault("a mask that only takes experts out of the running (off-replace) or raises and lowers logits (force-max, soft-)",
			"one that changes what happens within the export's "+r.Node)
	}
	return nil
}

// closesOnly tells whether a Route can be had by lowering logits in front of the router.
func (e *Edit) closesOnly() bool {
	for i, x := range e.Directions[0] {
		if x > 0 || e.Directions[1][i] != 1 || e.Directions[2][i] != 1 {
			return false
		}
	}
	return true
}

func (e *Edit) checkRoute(width int) error {
	acts := false
	for j, d := range e.Directions {
		if _, err := e.magnitude(d, width); err != nil {
			return err
		}
		for i, x := range d {
			if j > 0 && x < 0 {
				return e.fault("factors of at least 0", fmt.Sprintf("%v for expert %d", x, i))
			}
			acts = acts || x != float32(min(j, 1))
		}
	}
	if !acts {
		return e.fault("a mask", "one that changes nothing")
	}
	return nil
}

func (e *Edit) checkDirection(d []float32, width int) error {
	sum, err := e.magnitude(d, width)
	if err != nil {
		return err
	}
	if sum == 0 {
		return e.fault("a direction", "the zero vector")
	}
	return nil
}

// magnitude is the sum of squares of a direction of the right width and finite numbers.
func (e *Edit) magnitude(d []float32, width int) (float64, error) {
	if len(d) != width {
		return 0, e.fault(fmt.Sprintf("a direction of the site's width %d", width), fmt.Sprintf("one of width %d", len(d)))
	}
	var sum float64
	for i, x := range d {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, e.fault("finite numbers", fmt.Sprintf("%v at index %d", x, i))
		}
		sum += float64(x) * float64(x)
	}
	return sum, nil
}

func (e *Edit) fault(want, got string) error {
	return &EditError{Edit: e.Name, Site: e.Site, Want: want, Got: got}
}

func (o Op) directions() int {
	switch o {
	case Rotate:
		return 2
	case Route:
		return 3
	}
	return 1
}

// RouteDirections returns the directions of a Route that changes nothing, to be filled in. The choice is Closed for an expert that is to be chosen as if
// the router had no row for it, Forced for one that is always chosen, with the weight that the model's own formula gives it. The factors before and after
// multiply an expert's weight before and after the chosen ones are divided by their sum; a factor f at strength c is max(0, 1 + c (f-1)), and choices hold at
// every strength above 0.001. Strengths below 0 are 0. Routes on one block add up. Where a model does not divide, before and after are the same.
func RouteDirections(experts int) (choice, before, after []float32) {
	choice, before, after = make([]float32, experts), make([]float32, experts), make([]float32, experts)
	for i := range experts {
		before[i], after[i] = 1, 1
	}
	return choice, before, after
}
