// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// run carries an edit out on one row as the tap does and returns the result.
func run(t *testing.T, e Edit, h []float32) []float32 {
	t.Helper()
	out := slices.Clone(h)
	tap := e.Tap()
	if err := tap.Func(&Activation{Site: e.Site, Width: len(h), Data: out, Rows: []bool{true}}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEditValues has results worked out by hand from the formulas at Op.
func TestEditValues(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit Edit
		h    []float32
		want []float32
	}{
		{"add uses the direction as given", Edit{Op: Add, Directions: [][]float32{{2, 0, -2}}, Strength: NewKnob(1.5)}, []float32{1, 2, 3}, []float32{4, 2, 0}},
		{"a nil knob is 1", Edit{Op: Add, Directions: [][]float32{{2, 0, -2}}}, []float32{1, 2, 3}, []float32{3, 2, 1}},
		// |h| = 5, h + v = (3, 0), brought back to length 5.
		{"keep the norm", Edit{Op: AddKeepNorm, Directions: [][]float32{{0, -4}}}, []float32{3, 4}, []float32{5, 0}},
		// u = (0.6, 0.8), h.u = 11, h - 11 u = (-1.6, 1.2); with twice the strength the mirror image.
		{"project", Edit{Op: Project, Directions: [][]float32{{3, 4}}}, []float32{5, 10}, []float32{-1.6, 1.2}},
		{"project twice the component", Edit{Op: Project, Directions: [][]float32{{3, 4}}, Strength: NewKnob(2)}, []float32{5, 10}, []float32{-8.2, -7.6}},
		{"project+ on the positive side", Edit{Op: ProjectPositive, Directions: [][]float32{{0, 2}}}, []float32{5, 10}, []float32{5, 0}},
		{"project+ on the other side", Edit{Op: ProjectPositive, Directions: [][]float32{{0, 2}}}, []float32{5, -10}, []float32{5, -10}},
		{"clamp from above", Edit{Op: Clamp, Directions: [][]float32{{0, 2}}, Low: -1, High: 4}, []float32{5, 10}, []float32{5, 4}},
		{"clamp from below", Edit{Op: Clamp, Directions: [][]float32{{0, 2}}, Low: -1, High: 4}, []float32{5, -10}, []float32{5, -1}},
		{"clamp half of the way", Edit{Op: Clamp, Directions: [][]float32{{0, 2}}, Low: -1, High: 4, Strength: NewKnob(0.5)}, []float32{5, 10}, []float32{5, 7}},
		{"clamp to one value", Edit{Op: Clamp, Directions: [][]float32{{0, 2}}, Low: 3, High: 3}, []float32{5, -10}, []float32{5, 3}},
		// In the plane of the first two axes h has length 5; the third axis stays.
		{"rotate to the first direction", Edit{Op: Rotate, Directions: [][]float32{{2, 0, 0}, {7, 3, 0}}, Strength: NewKnob(0)}, []float32{3, 4, 9}, []float32{5, 0, 9}},
		{"rotate to the second", Edit{Op: Rotate, Directions: [][]float32{{2, 0, 0}, {7, 3, 0}}, Strength: NewKnob(90)}, []float32{3, 4, 9}, []float32{0, 5, 9}},
		{"rotate to the opposite", Edit{Op: Rotate, Directions: [][]float32{{2, 0, 0}, {7, 3, 0}}, Strength: NewKnob(180)}, []float32{3, 4, 9}, []float32{-5, 0, 9}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, tc.edit, tc.h)
			for i := range got {
				// The sums run in double precision on unit vectors rounded to float32: a few units of 2^-24 relative to |h|.
				if math.Abs(float64(got[i]-tc.want[i])) > 3e-6 {
					t.Errorf("%s of %v = %v, want %v", tc.edit.Op, tc.h, got, tc.want)
					break
				}
			}
		})
	}
}

// random returns rows of the magnitude that residual streams have.
func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64() * 6)
	}
	return out
}

func ops(strength float32, low, high float32) []Edit {
	v, w := random(100, 64), random(101, 64)
	var out []Edit
	for op := Add; op <= Clamp; op++ {
		out = append(out, Edit{Op: op, Directions: [][]float32{v}, Strength: NewKnob(strength), Low: low, High: high})
	}
	return append(out, Edit{Op: Rotate, Directions: [][]float32{v, w}, Strength: NewKnob(strength)})
}

func largest(a, b []float32) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

func TestEditAlgebra(t *testing.T) {
	// One rounding to float32 of values up to 30 is 2e-6; three follow each other at most.
	const rounding = 1e-5
	for seed := range uint64(20) {
		h := random(seed, 64)
		for _, e := range ops(0, -1, 1)[:5] {
			if got := run(t, e, h); !slices.Equal(got, h) {
				t.Errorf("%s with strength 0 changed a row by %g", e.Op, largest(got, h))
			}
		}
		there, back := ops(1.7, 0, 0)[Add], ops(-1.7, 0, 0)[Add]
		if got := run(t, back, run(t, there, h)); largest(got, h) > rounding {
			t.Errorf("adding v and then -v changed a row by %g", largest(got, h))
		}
		for _, e := range []Edit{ops(1, 0, 0)[Project], ops(1, 0, 0)[ProjectPositive], ops(1, 90, 91)[Clamp], ops(33, 0, 0)[5]} {
			once := run(t, e, h)
			if twice := run(t, e, once); largest(once, twice) > rounding {
				t.Errorf("%s twice differs from once by %g", e.Op, largest(once, twice))
			}
			if e.Op != ProjectPositive && largest(once, h) < 1e-3 {
				t.Errorf("%s changed nothing", e.Op)
			}
		}
		for _, e := range []Edit{ops(3, 0, 0)[AddKeepNorm], ops(120, 0, 0)[5]} {
			if got := norm(run(t, e, h)); math.Abs(got-norm(h)) > 1e-6*norm(h) {
				t.Errorf("%s: length %g, want %g", e.Op, got, norm(h))
			}
		}
		u := ops(1, 0, 0)[Project].Operands()[0]
		if p := dot(run(t, ops(1, 0, 0)[Project], h), u); math.Abs(p) > rounding {
			t.Errorf("project left a component of %g", p)
		}
		present := float32(dot(h, u))
		same := Edit{Op: Clamp, Directions: [][]float32{u}, Low: present - 1, High: present + 1}
		if got := run(t, same, h); !slices.Equal(got, h) {
			t.Errorf("clamp to a range that holds the present value changed a row by %g", largest(got, h))
		}
	}
}

func TestTapActsOnSelectedRowsAndFollowsTheKnob(t *testing.T) {
	knob := NewKnob(1)
	e := Edit{Op: Add, Directions: [][]float32{{1, 1}}, Strength: knob}
	tap := e.Tap()
	a := &Activation{Width: 2, Data: make([]float32, 6), Rows: []bool{true, false, true}}
	for _, strength := range []float32{1, 10} {
		knob.Set(strength)
		if err := tap.Func(a); err != nil {
			t.Fatal(err)
		}
	}
	if want := []float32{11, 11, 0, 0, 11, 11}; !slices.Equal(a.Data, want) {
		t.Errorf("rows = %v, want %v", a.Data, want)
	}
}

func TestTapDoesNotAllocate(t *testing.T) {
	for _, e := range ops(2, -1, 1) {
		tap := e.Tap()
		a := &Activation{Width: 64, Data: random(1, 64), Rows: []bool{true}}
		if n := testing.AllocsPerRun(10, func() { _ = tap.Func(a) }); n != 0 {
			t.Errorf("%s: %v allocations a pass, want none", e.Op, n)
		}
	}
}

func TestCheck(t *testing.T) {
	good := func() Edit {
		return Edit{Name: "test", Site: At(ResidPost, 3), Op: Add, Directions: [][]float32{{1, 2, 3, 4, 5, 6, 7, 8}}}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, tc := range []struct {
		name   string
		change func(*Edit)
		say    string
	}{
		{"good", func(*Edit) {}, ""},
		{"negative layer", func(e *Edit) { e.Site.Layer = -1 }, ""},
		{"another width", func(e *Edit) { e.Site.Point = MLPAct }, "width 16, found one of width 8"},
		{"missing site", func(e *Edit) { e.Site.Point = ResidMid }, "the block is parallel"},
		{"read-only site", func(e *Edit) { e.Site.Point = ExpertIDs }, "read-only"},
		{"zero", func(e *Edit) { e.Directions = [][]float32{make([]float32, 8)} }, "the zero vector"},
		{"NaN", func(e *Edit) { e.Directions[0][5] = nan }, "NaN at index 5"},
		{"infinity", func(e *Edit) { e.Directions[0][0] = inf }, "-Inf at index 0"},
		{"no direction", func(e *Edit) { e.Directions = nil }, "want 1 directions, found 0"},
		{"rotate with one", func(e *Edit) { e.Op = Rotate }, "want 2 directions, found 1"},
		{"rotate with parallel ones", func(e *Edit) {
			e.Op = Rotate
			e.Directions = append(e.Directions, []float32{-2, -4, -6, -8, -10, -12, -14, -16})
		}, "parallel"},
		{"clamp upside down", func(e *Edit) { e.Op, e.Low, e.High = Clamp, 2, 1 }, "2..1"},
		{"clamp with NaN", func(e *Edit) { e.Op, e.Low, e.High = Clamp, nan, 1 }, "NaN..1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := good()
			tc.change(&e)
			err := e.Check(testShape())
			if tc.say == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var edit *EditError
			var site *SiteError
			if !errors.As(err, &edit) && !errors.As(err, &site) {
				t.Fatalf("Check() = %v, want an *EditError or a *SiteError", err)
			}
			if !strings.Contains(err.Error(), tc.say) {
				t.Errorf("Check() = %v, want it to say %q", err, tc.say)
			}
		})
	}
}
