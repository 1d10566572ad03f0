// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Search says what Calibrate looks for and how far it goes.
type Search struct {
	Budget float64 // mean KL in nats
	Start  float64 // first strength to try, above 0
	Most   float64 // largest strength that makes sense; 0 is no limit
	Sign   float64 // 1 or -1
	Curve  bool    // measure around the strength too, for the knee
}

// Result is what Calibrate found.
type Result struct {
	Met    bool    `json:"met"` // At meets the budget
	Why    string  `json:"why,omitempty"`
	At     Point   `json:"at"`     // nearest to the budget from below, where it cannot be met
	Points []Point `json:"points"` // all that were measured, in rising order of strength without its sign
	Knee   int     `json:"knee"`   // index in Points; -1 where none can be told
}

// Tolerances of the search: of a budget that is met, and of the two strengths between which a jump lies.
const (
	nearBudget = 0.02
	narrow     = 1e-4
)

// The largest and smallest strengths, as multiples of the first one, and the number of measurements.
const (
	farthest     = 1 << 14
	mostMeasured = 40
)

// Calibrate finds the strength at which the divergence that at measures meets a budget. It looks among strengths that grow by factors of two for one on each
// side of the budget, then between the two: along a straight line in logarithms, which a divergence that grows with the square of a strength follows exactly.
func Calibrate(s Search, at func(strength float64) (Point, error)) (*Result, error) {
	if !(s.Budget > 0) || math.IsInf(s.Budget, 0) {
		return nil, fmt.Errorf("dose: want a budget above 0, found %g", s.Budget)
	}
	c := &calibration{Search: s, at: at}
	if c.Most > 0 {
		c.Start = math.Min(c.Start, c.Most)
	}
	if err := c.bracket(); err != nil {
		return nil, err
	}
	for c.below != nil && c.above != nil && len(c.points) < mostMeasured {
		if c.near(c.below) || c.near(c.above) || c.above.Strength/c.below.Strength-1 < narrow {
			break
		}
		if err := c.try(c.between()); err != nil {
			return nil, err
		}
	}
	r := c.result()
	if s.Curve && r.Met {
		if err := c.around(math.Abs(r.At.Strength)); err != nil {
			return nil, err
		}
		r.Points = c.points
	}
	r.order(s.Sign)
	return r, nil
}

// around measures at some shares and multiples of a strength, none of which is the answer.
func (c *calibration) around(strength float64) error {
	for _, f := range []float64{0.25, 0.5, 1.5, 2, 3} {
		x := f * strength
		near := func(p Point) bool { return math.Abs(p.Strength/x-1) < 0.1 }
		if (c.Most > 0 && x > c.Most) || slices.ContainsFunc(c.points, near) {
			continue
		}
		if err := c.try(x); err != nil {
			return err
		}
	}
	return nil
}

// calibration works with strengths without their sign.
type calibration struct {
	Search
	at           func(float64) (Point, error)
	points       []Point
	below, above *Point // the two around the budget; nil until found
}

func (c *calibration) near(p *Point) bool { return math.Abs(p.KL/c.Budget-1) < nearBudget }

// try measures one strength.
func (c *calibration) try(strength float64) error {
	p, err := c.at(strength * c.Sign)
	if err != nil {
		return err
	}
	p.Strength = strength
	c.points = append(c.points, p)
	if p.KL <= c.Budget {
		c.below = &p
	} else {
		c.above = &p // also of a KL that is no number
	}
	return nil
}

// bracket moves from the first strength towards the budget until there is one on each side.
func (c *calibration) bracket() error {
	x := c.Start
	if err := c.try(x); err != nil {
		return err
	}
	factor := 2.0
	if c.above != nil {
		factor = 0.5
	}
	for (c.below == nil || c.above == nil) && len(c.points) < mostMeasured {
		if x == c.Most && factor > 1 {
			return nil
		}
		x *= factor
		if c.Most > 0 {
			x = math.Min(x, c.Most)
		}
		if x > c.Start*farthest || x < c.Start/farthest {
			return nil
		}
		if err := c.try(x); err != nil {
			return err
		}
	}
	return nil
}

// between is where a line through both sides meets the budget, kept away from the sides.
func (c *calibration) between() float64 {
	low, high := math.Log(c.below.Strength), math.Log(c.above.Strength)
	k0, k1, want := math.Log(c.below.KL), math.Log(c.above.KL), math.Log(c.Budget)
	share := (want - k0) / (k1 - k0)
	if !(share > 0 && share < 1) || len(c.points)%3 == 0 { // every third step halves, in case the line is far off
		share = 0.5
	}
	return math.Exp(low + math.Min(math.Max(share, 0.05), 0.95)*(high-low))
}

func (c *calibration) result() *Result {
	r := &Result{Points: c.points}
	ends := slices.SortedFunc(slices.Values(c.points), rising)
	switch {
	case c.below != nil && c.near(c.below):
		r.Met, r.At = true, *c.below
	case c.above != nil && c.near(c.above):
		r.Met, r.At = true, *c.above
	case c.below == nil:
		r.At = ends[0]
		r.Why = fmt.Sprintf("even at strength %.3g the KL is %.3g", c.Sign*r.At.Strength, r.At.KL)
	case c.above == nil:
		r.At = ends[len(ends)-1]
		r.Why = fmt.Sprintf("up to strength %.3g the KL is at most %.3g", c.Sign*r.At.Strength, highest(ends))
	default:
		r.At = *c.below
		r.Why = fmt.Sprintf("the KL jumps from %.3g to %.3g at strength %.4g", c.below.KL, c.above.KL, c.Sign*c.above.Strength)
	}
	return r
}

// order sorts what was measured, finds the knee, and gives strengths their sign.
func (r *Result) order(sign float64) {
	slices.SortFunc(r.Points, rising)
	r.Knee = knee(r.Points)
	r.At.Strength *= sign
	for i := range r.Points {
		r.Points[i].Strength *= sign
	}
}

func rising(a, b Point) int { return cmp.Compare(a.Strength, b.Strength) }

func highest(points []Point) float64 {
	most := 0.0
	for _, p := range points {
		most = math.Max(most, p.KL)
	}
	return most
}

// knee returns the point behind which more divergence buys little more effect: the one farthest above the line from no steering to the last point, both axes
// brought to 1 (Satopaa et al. 2011, "Finding a kneedle in a haystack"). Without an effect, or where the curve stays below that line, there is none: -1.
func knee(points []Point) int {
	if len(points) < 4 {
		return -1
	}
	last := &points[len(points)-1]
	best, at := 0.05, -1
	for i := range points {
		p := &points[i]
		if gain := p.Effect/last.Effect - p.KL/last.KL; last.KL > 0 && gain > best {
			best, at = gain, i
		}
	}
	return at
}
