// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Sample is the time of one step.
type Sample struct {
	Wall time.Duration
	CPU  time.Duration // of the process that ran it, all threads
}

// Contestant is one way of doing the same work.
type Contestant struct {
	Name string
	Step func(ctx context.Context) (Sample, error)
}

// Result is a contestant's figures. Ratios are to the first contestant, round by round: below 1 is faster.
type Result struct {
	Name     string     `json:"name"`
	Median   float64    `json:"ms"`       // of a step, milliseconds
	CPU      float64    `json:"cpu_ms"`   // median processor time of a step, milliseconds
	Ratio    float64    `json:"ratio"`    // median of the rounds' ratios
	Interval [2]float64 `json:"ratio_95"` // of that median, by the sign test
	Spread   [2]float64 `json:"ms_quartiles"`
}

// Compare steps the contestants for the given number of rounds, each round in a random order, and discards the first tenth of the rounds.
// byCPU takes ratios of processor time, which is the steadier clock as long as every contestant runs on one thread.
func Compare(ctx context.Context, rounds int, byCPU bool, list []Contestant) ([]Result, error) {
	discard := max(1, rounds/10)
	samples := make([][]Sample, len(list))
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range rounds + discard {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			s, err := list[i].Step(ctx)
			if err != nil {
				return nil, err
			}
			if round >= discard {
				samples[i] = append(samples[i], s)
			}
		}
	}
	out := make([]Result, len(list))
	for i := range list {
		out[i] = summarise(list[i].Name, samples[i], samples[0], byCPU)
	}
	return out, nil
}

func summarise(name string, s, base []Sample, byCPU bool) Result {
	wall, cpu, ratio := make([]float64, len(s)), make([]float64, len(s)), make([]float64, len(s))
	for i := range s {
		wall[i], cpu[i] = ms(s[i].Wall), ms(s[i].CPU)
		ratio[i] = wall[i] / ms(base[i].Wall)
		if byCPU {
			ratio[i] = cpu[i] / ms(base[i].CPU)
		}
	}
	r := Result{Name: name, Median: quantile(wall, 0.5), CPU: quantile(cpu, 0.5), Ratio: quantile(ratio, 0.5)}
	r.Spread = [2]float64{quantile(wall, 0.25), quantile(wall, 0.75)}
	low, high := medianInterval(len(ratio))
	r.Interval = [2]float64{ratio[low], ratio[high]} // quantile sorted them
	return r
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// quantile sorts x and returns its q-quantile, between neighbours by weight.
func quantile(x []float64, q float64) float64 {
	slices.Sort(x)
	at := q * float64(len(x)-1)
	i := int(at)
	if i+1 == len(x) {
		return x[i]
	}
	return x[i] + (at-float64(i))*(x[i+1]-x[i])
}
