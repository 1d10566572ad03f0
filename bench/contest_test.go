// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// stepsOf is how many steps a round of so many contestants has: the first one also steps behind every four of the others.
func stepsOf(contestants int) int { return contestants + (contestants-1+stride-1)/stride }

// machineOf are contestants whose step takes a known multiple of what the machine's pace makes of a round: the pace wanders by a factor of ten,
// which ratios round by round must not show.
func machineOf(factors, cpu []float64, order *[]int) []Contestant {
	list := make([]Contestant, len(factors))
	for i := range list {
		list[i] = Contestant{Name: string(rune('a' + i)), Step: func(context.Context) (Sample, error) {
			round := len(*order) / stepsOf(len(factors))
			*order = append(*order, i)
			pace := 1e6 * (1 + 9*math.Abs(math.Sin(float64(round))))
			return Sample{Wall: time.Duration(factors[i] * pace), CPU: time.Duration(cpu[i] * pace), Bytes: uint64(i)}, nil
		}}
	}
	return list
}

func TestCompareFindsKnownRatios(t *testing.T) {
	factors, cpu := []float64{1, 1, 1.25, 0.5, 3, 4, 5}, []float64{2, 1, 1, 8, 1, 1, 1}
	for _, byCPU := range []bool{false, true} {
		var order []int
		got, err := Compare(t.Context(), 30, byCPU, machineOf(factors, cpu, &order))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range got {
			want := factors[i] / factors[0]
			if byCPU {
				want = cpu[i] / cpu[0]
			}
			// Times are whole nanoseconds of about a millisecond.
			if math.Abs(r.Ratio-want) > 1e-5 || math.Abs(r.Interval[0]-want) > 1e-5 || math.Abs(r.Interval[1]-want) > 1e-5 {
				t.Errorf("by CPU %t: %s has ratio %v, interval %v, want %v", byCPU, r.Name, r.Ratio, r.Interval, want)
			}
			if r.Name != string(rune('a'+i)) || !(r.Spread[0] < r.Median && r.Median < r.Spread[1]) || math.Abs(r.CPU/r.Median-cpu[i]/factors[i]) > 1e-5 {
				t.Errorf("result %d is %+v", i, r)
			}
			if r.Bytes != float64(i) {
				t.Errorf("result %d: %v bytes a step, want %d", i, r.Bytes, i)
			}
		}
	}
}

// TestCompareTakesTheMeanAround: the first contestant takes 1 and 3 in turn, all others 2.
func TestCompareTakesTheMeanAround(t *testing.T) {
	n := 0
	list := []Contestant{{Name: "base", Step: func(context.Context) (Sample, error) {
		n++
		return Sample{Wall: time.Duration(1 + 2*(n%2)), CPU: 1}, nil
	}}}
	for i := range 6 {
		list = append(list, Contestant{Name: string(rune('a' + i)), Step: func(context.Context) (Sample, error) { return Sample{Wall: 2, CPU: 1}, nil }})
	}
	got, err := Compare(t.Context(), 10, false, list)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		if r.Ratio != 1 || r.Interval != [2]float64{1, 1} {
			t.Errorf("%d: ratio %v, interval %v, want 1", i, r.Ratio, r.Interval)
		}
	}
	if want := 11 * 3; n != want {
		t.Errorf("the first contestant stepped %d times, want %d: at both ends of each round, and once between", n, want)
	}
}

// TestCompareBeside: a contestant's second ratio is to another one's step of the same round.
func TestCompareBeside(t *testing.T) {
	var order []int
	list := machineOf([]float64{1, 2, 3}, []float64{1, 4, 2}, &order)
	list[2].Beside = "b"
	for i, want := range []float64{1.5, 0.5} {
		order = order[:0]
		got, err := Compare(t.Context(), 12, i == 1, list)
		if err != nil {
			t.Fatal(err)
		}
		if r := got[2]; r.Beside != "b" || math.Abs(r.BesideOf-want) > 1e-5 || math.Abs(r.BesideFrom[0]-want) > 1e-5 || got[1].Beside != "" {
			t.Errorf("results %+v, want c at %v times b", got, want)
		}
	}
}

// TestComparePeersThatFail: a peer that fails costs its own row.
func TestComparePeersThatFail(t *testing.T) {
	var order []int
	list := machineOf([]float64{1, 2, 3}, []float64{1, 1, 1}, &order)
	broken := errors.New("broken")
	steps := 0
	list[1].Peer, list[1].Step = "other", func(context.Context) (Sample, error) {
		if steps++; steps > 3 {
			return Sample{}, broken
		}
		return Sample{Wall: 1, CPU: 1}, nil
	}
	got, lost, err := compare(t.Context(), 10, false, list)
	if err != nil || len(lost) != 1 || !errors.Is(lost[0], broken) || len(got) != 2 || got[1].Name != "c" || steps != 4 {
		t.Errorf("%+v, %v, %v after %d steps: want the rows of the others, one lost, no step behind its failure", got, lost, err, steps)
	}
	if _, err := Compare(t.Context(), 10, false, list); !errors.Is(err, broken) {
		t.Errorf("Compare: %v", err)
	}
}

// TestCompareOrder: the first contestant steps at both ends of a round, the others once, rounds are in many orders, and the first tenth does not count.
func TestCompareOrder(t *testing.T) {
	for _, rounds := range []int{1, 3, 40} {
		var order []int
		discard := max(1, rounds/10)
		list := machineOf([]float64{1, 1, 1}, []float64{1, 1, 1}, &order)
		counted := 0
		inner := list[2].Step
		list[2].Step = func(ctx context.Context) (Sample, error) {
			s, err := inner(ctx)
			if counted++; counted <= discard {
				s.Wall *= 1000 // the first steps pay for what later ones find ready
			}
			return s, err
		}
		got, err := Compare(t.Context(), rounds, false, list)
		if err != nil {
			t.Fatal(err)
		}
		if len(order) != 4*(rounds+discard) {
			t.Fatalf("%d rounds made %d steps, want %d", rounds, len(order), 4*(rounds+discard))
		}
		first := map[int]int{}
		for i := 0; i < len(order); i += 4 {
			round := slices.Clone(order[i : i+4])
			first[round[1]]++
			if round[0] != 0 || round[3] != 0 || round[1]+round[2] != 3 {
				t.Fatalf("round %d steps %v", i/4, order[i:i+4])
			}
		}
		if rounds == 40 && (first[1] < 10 || first[2] < 10) {
			t.Errorf("contestants stepped first %v times, want both often", first)
		}
		if got[2].Interval[1] > 1.001 || got[2].Ratio > 1.001 {
			t.Errorf("%d rounds: what was to be discarded counts: %+v", rounds, got[2])
		}
	}
}

func TestCompareEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	list := []Contestant{{Name: "a", Step: func(context.Context) (Sample, error) {
		if n++; n == 3 {
			return Sample{}, broken
		}
		return Sample{Wall: 1}, nil
	}}}
	if got, err := Compare(t.Context(), 10, false, list); !errors.Is(err, broken) || got != nil || n != 3 {
		t.Errorf("Compare = %v, %v after %d steps", got, err, n)
	}
}

// TestMedianInterval compares with the table of order statistics in W. J. Conover, Practical Nonparametric Statistics: places from 0 here.
func TestMedianInterval(t *testing.T) {
	for _, c := range []struct{ n, low, high int }{
		{6, 0, 5},
		{7, 0, 6},
		{8, 0, 7},
		{9, 1, 7},
		{10, 1, 8},
		{12, 2, 9},
		{15, 3, 11},
		{20, 5, 14},
		{25, 7, 17},
		{30, 9, 20},
		{40, 13, 26},
		{50, 17, 32},
		{100, 39, 60},
		{1, 0, 0},
		{2, 0, 1},
		{3, 0, 2}, // too few for any confidence: all of them
	} {
		if low, high := medianInterval(c.n); low != c.low || high != c.high {
			t.Errorf("medianInterval(%d) = %d, %d, want %d, %d", c.n, low, high, c.low, c.high)
		}
	}
	for n := 6; n < 300; n++ {
		low, high := medianInterval(n)
		cover := func(low int) float64 { // the median lies outside where at most low samples are below it, or above it
			return 1 - 2*distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(low))
		}
		if low+high != n-1 || cover(low) < 0.95 || cover(low+1) >= 0.95 {
			t.Errorf("medianInterval(%d) = %d, %d covers %v, the next narrower %v", n, low, high, cover(low), cover(low+1))
		}
	}
}

// TestMedianIntervalHolds draws from a skewed distribution: 95 of 100 intervals hold the true median.
func TestMedianIntervalHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const samples, trials = 40, 4000
	low, high := medianInterval(samples)
	held := 0
	for range trials {
		x := make([]float64, samples)
		for i := range x {
			x[i] = r.ExpFloat64()
		}
		slices.Sort(x)
		if x[low] <= math.Ln2 && math.Ln2 <= x[high] {
			held++
		}
	}
	// 40 samples cover 96.2 %; four standard deviations of 4000 trials are 1.2 %.
	if share := float64(held) / trials; share < 0.95 || share > 0.975 {
		t.Errorf("%.3f of the intervals hold the median, want about 0.962", share)
	}
}

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		q    float64
		want float64
	}{
		{[]float64{3}, 0.5, 3},
		{[]float64{4, 1}, 0.5, 2.5},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{5, 1, 2, 3, 4}, 0.25, 2},
		{[]float64{4, 1, 2, 3}, 0.25, 1.75},
		{[]float64{2, 1}, 0, 1},
		{[]float64{2, 1}, 1, 2},
	} {
		if got := quantile(slices.Clone(c.x), c.q); got != c.want {
			t.Errorf("quantile(%v, %g) = %g, want %g", c.x, c.q, got, c.want)
		}
	}
}

func TestClocks(t *testing.T) {
	start := now()
	busy := time.Now()
	for n := 0; time.Since(busy) < 20*time.Millisecond; n++ {
	}
	worked := start.since()
	start = now()
	time.Sleep(30 * time.Millisecond)
	slept := start.since()
	// A loaded machine may give the loop less than its time, but not next to none; a sleep needs next to none.
	if worked.CPU < 2*time.Millisecond || worked.Wall < 20*time.Millisecond || slept.Wall < 30*time.Millisecond || slept.CPU > slept.Wall/2 {
		t.Errorf("a loop of 20 ms took %+v, a sleep of 30 ms %+v", worked, slept)
	}
}
