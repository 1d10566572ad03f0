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
)

// String returns the name that the steer grammar uses.
func (o Op) String() string {
	return [...]string{"vector", "norm", "project", "project+", "clamp", "rotate"}[o]
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

func (e *Edit) checkDirection(d []float32, width int) error {
	if len(d) != width {
		return e.fault(fmt.Sprintf("a direction of the site's width %d", width), fmt.Sprintf("one of width %d", len(d)))
	}
	var sum float64
	for i, x := range d {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return e.fault("finite numbers", fmt.Sprintf("%v at index %d", x, i))
		}
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return e.fault("a direction", "the zero vector")
	}
	return nil
}

func (e *Edit) fault(want, got string) error {
	return &EditError{Edit: e.Name, Site: e.Site, Want: want, Got: got}
}

func (o Op) directions() int {
	if o == Rotate {
		return 2
	}
	return 1
}
