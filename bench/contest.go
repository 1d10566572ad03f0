// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// Sample is the cost of one step.
type Sample struct {
	Wall  time.Duration
	CPU   time.Duration // of the process that ran it, all threads
	Bytes uint64        // that Go allocated meanwhile, in this process
}

// Contestant is one way of doing the same work.
type Contestant struct {
	Name   string
	Peer   string // the runtime that does it; "" is this project
	Hooked bool   // a peer's row that is not its plain speed
	Beside string // a contestant other than the first to compare with as well
	Step   func(ctx context.Context) (Sample, error)
}

// Result is a contestant's figures. Ratios are to the first contestant, round by round: below 1 is faster.
type Result struct {
	Name       string     `json:"name"`
	Peer       string     `json:"peer,omitempty"`
	Hooked     bool       `json:"hooked,omitempty"`
	Median     float64    `json:"ms"`       // of a step, milliseconds
	CPU        float64    `json:"cpu_ms"`   // median processor time of a step, milliseconds
	Ratio      float64    `json:"ratio"`    // median of the rounds' ratios
	Interval   [2]float64 `json:"ratio_95"` // of that median, by the sign test
	Spread     [2]float64 `json:"ms_quartiles"`
	Bytes      float64    `json:"go_bytes"`                   // mean of what a step allocates in Go
	Beside     string     `json:"beside,omitempty"`           // the other contestant that it was compared with
	BesideOf   float64    `json:"beside_ratio,omitempty"`     // to that one
	BesideFrom [2]float64 `json:"beside_ratio_95,omitzero"`   // its interval
	AttachMS   float64    `json:"attach_ms,omitempty"`        // of a hook, once: a new graph, packed matrices
	NativeMB   float64    `json:"native_growth_mb,omitempty"` // memory outside Go that the session and its hook took, to its first steps

	samples []Sample
}

// stride is how many contestants step between two steps of the first one.
const stride = 4

// Compare steps the contestants for the given number of rounds, each round in a random order, and discards the first tenth of the rounds. The first contestant
// steps at the beginning of a round, after every fourth of the others and at its end: the others are compared with the mean of its two steps around theirs, so
// that what changes slowly falls on both. byCPU takes ratios of processor time, which is the steadier clock as long as every contestant runs on one thread.
func Compare(ctx context.Context, rounds int, byCPU bool, list []Contestant) ([]Result, error) {
	results, lost, err := compare(ctx, rounds, byCPU, list)
	return results, errors.Join(append(lost, err)...)
}

// compare is Compare; of peers whose step fails it returns the errors, and no rows.
func compare(ctx context.Context, rounds int, byCPU bool, list []Contestant) (results []Result, lost []error, err error) {
	c := contest{list: list, samples: make([][]Sample, len(list)), base: make([][]Sample, len(list)), lost: make([]error, len(list))}
	rng := rand.New(rand.NewPCG(1, 2))
	discard := max(1, rounds/10)
	order := make([]int, len(list)-1)
	for i := range order {
		order[i] = i + 1
	}
	for round := range rounds + discard {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		if err := c.round(ctx, order); err != nil {
			return nil, nil, err
		}
		if round == discard-1 {
			c.forget()
		}
	}
	return c.results(byCPU), slices.DeleteFunc(c.lost, func(err error) bool { return err == nil }), nil
}

// contest is the samples of contestants, and for each what the first one took around it.
type contest struct {
	list    []Contestant
	samples [][]Sample
	base    [][]Sample
	lost    []error // of peers that failed
}

func (c *contest) round(ctx context.Context, order []int) error {
	before, err := c.step(ctx, 0)
	for part := range slices.Chunk(order, stride) {
		for _, i := range part {
			if err == nil {
				_, err = c.step(ctx, i)
			}
		}
		if err != nil {
			return err
		}
		var after Sample
		if after, err = c.step(ctx, 0); err != nil {
			return err
		}
		for _, i := range part {
			c.base[i] = append(c.base[i], Sample{Wall: (before.Wall + after.Wall) / 2, CPU: (before.CPU + after.CPU) / 2})
		}
		before = after
	}
	return err
}

func (c *contest) step(ctx context.Context, i int) (Sample, error) {
	if c.lost[i] != nil {
		return Sample{}, nil
	}
	s, err := c.list[i].Step(ctx)
	if err != nil && i > 0 && c.list[i].Peer != "" && ctx.Err() == nil {
		c.lost[i] = err
		return Sample{}, nil
	}
	c.samples[i] = append(c.samples[i], s)
	return s, err
}

// forget drops the rounds so far.
func (c *contest) forget() {
	for i := range c.list {
		c.samples[i], c.base[i] = c.samples[i][:0], c.base[i][:0]
	}
}

func (c *contest) results(byCPU bool) []Result {
	c.base[0] = c.samples[0]
	var out []Result
	for i := range c.list {
		if c.lost[i] != nil {
			continue
		}
		out = append(out, summarise(&c.list[i], c.samples[i], c.base[i], byCPU))
		beside := slices.IndexFunc(c.list, func(o Contestant) bool { return o.Name == c.list[i].Beside })
		if c.list[i].Beside != "" && beside > 0 {
			r := &out[len(out)-1]
			r.Beside = c.list[i].Beside
			r.BesideOf, r.BesideFrom = ratios(c.samples[i], c.samples[beside], byCPU)
		}
	}
	return out
}

func summarise(c *Contestant, s, base []Sample, byCPU bool) Result {
	r := Result{Name: c.Name, Peer: c.Peer, Hooked: c.Hooked, samples: s}
	wall, cpu := make([]float64, len(s)), make([]float64, len(s))
	for i := range s {
		wall[i], cpu[i] = ms(s[i].Wall), ms(s[i].CPU)
		r.Bytes += float64(s[i].Bytes)
	}
	r.Bytes /= float64(len(s))
	r.Median, r.CPU = quantile(wall, 0.5), quantile(cpu, 0.5)
	r.Spread = [2]float64{quantile(wall, 0.25), quantile(wall, 0.75)}
	r.Ratio, r.Interval = ratios(s, base, byCPU)
	return r
}

// ratios returns the median of the ratios of steps of the same round, and its interval.
func ratios(s, base []Sample, byCPU bool) (median float64, interval [2]float64) {
	x := make([]float64, len(s))
	for i := range s {
		x[i] = ms(s[i].Wall) / ms(base[i].Wall)
		if byCPU {
			x[i] = ms(s[i].CPU) / ms(base[i].CPU)
		}
	}
	median = quantile(x, 0.5) // which sorts them
	low, high := medianInterval(len(x))
	return median, [2]float64{x[low], x[high]}
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
