// SPDX-License-Identifier: Apache-2.0

package models

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/models/decoder"
)

// ropes reads rotary embedding in either dialect. Formulas are those of transformers (modeling_rope_utils.py, version 5).
func (s settings) ropes(d *decoder.Description, f hfFamily) {
	if f.learned {
		return
	}
	turning := d.HeadDim
	if d.Latent.Rank > 0 {
		turning = s.count("qk_rope_head_dim")
	}
	p := s.object("rope_parameters")
	if len(p.values) == 0 {
		p = s.object("rope_scaling")
	}
	if len(p.values) == 0 && f.ropeDefault != "" {
		p.file, p.path = s.file, "rope_parameters."
		if err := json.Unmarshal([]byte(f.ropeDefault), &p.values); err != nil {
			s.fail("rope_parameters", "an object", err.Error())
		}
	}
	r := ropeReader{settings: s, family: f, d: d, dims: turning}
	if f.localTheta == 0 {
		d.Rope = r.read(p, s.numberOr(or(f.theta, 10000), "rope_theta", "rotary_emb_base"))
		s.latentScale(d, p)
		return
	}
	local := settings{file: s.file, path: "rope_parameters.sliding_attention.", err: s.err}
	if p.has("full_attention") || p.has("sliding_attention") {
		p, local = p.object("full_attention"), p.object("sliding_attention")
	}
	d.Rope = r.read(p, s.numberOr(or(f.theta, 10000), "rope_theta"))
	w := r.read(local, s.numberOr(f.localTheta, "rope_local_base_freq"))
	d.WindowRope = &w
}

func or(x, absent float64) float64 {
	if x == 0 {
		return absent
	}
	return x
}

// ropeReader reads one set of rope parameters.
type ropeReader struct {
	settings // the config
	family   hfFamily
	d        *decoder.Description
	dims     int // of a head that may turn
}

func (r ropeReader) read(p settings, theta float64) decoder.Rope {
	part := 1.0
	if r.family.rotary != 0 {
		part = p.numberOr(r.numberOr(r.family.rotary, "partial_rotary_factor", "rotary_pct"), "partial_rotary_factor")
	}
	rope := decoder.Rope{
		Dims:        int(float64(r.dims) * part),
		Base:        p.numberOr(theta, "rope_theta"),
		Interleaved: r.d.Latent.Rank > 0 && r.flagOr(true, "rope_interleave"),
	}
	if rope.Dims < 2 || rope.Dims > r.dims || !(rope.Base > 1) {
		p.fail("partial_rotary_factor or rope_theta", fmt.Sprintf("2 to %d dimensions that turn, and a base over 1", r.dims), fmt.Sprintf("%d and %g", rope.Dims, rope.Base))
		return rope
	}
	kind := p.textOr("default", "rope_type", "type")
	if alias, ok := r.family.ropeAlias[kind]; ok {
		kind = alias
	}
	switch kind {
	case "default", "dynamic": // dynamic scaling begins beyond max_position_embeddings, which is where the context ends
	case "linear":
		rope.Factors = repeat(float32(r.factor(p, 0)), rope.Dims/2)
	case "llama3":
		r.llama3(p, &rope)
	case "yarn":
		r.yarn(p, &rope)
	case "longrope":
		r.longrope(p, &rope)
	default:
		p.fail("rope_type", "default, linear, dynamic, llama3, yarn or longrope", kind)
	}
	return rope
}

// factor reads how much longer contexts became; an absent one is an error where absent is 0.
func (r ropeReader) factor(p settings, absent float64) float64 {
	f := p.numberOr(absent, "factor")
	if !(f >= 1) || math.IsInf(f, 0) {
		p.fail("factor", "at least 1", fmt.Sprint(f))
		return 1
	}
	return f
}

// original is the length that a model was trained with before its context was stretched.
func (r ropeReader) original(p settings) int {
	n := r.countOr(p.countOr(r.d.Context, "original_max_position_embeddings"), "original_max_position_embeddings")
	if n < 2 {
		p.fail("original_max_position_embeddings", "at least 2", fmt.Sprint(n))
		return 2
	}
	return n
}

// llama3 slows low frequencies by the factor, leaves high ones, and blends in between.
func (r ropeReader) llama3(p settings, rope *decoder.Rope) {
	factor, original := r.factor(p, 0), float64(r.original(p))
	low, high := p.numberOr(1, "low_freq_factor"), p.numberOr(4, "high_freq_factor")
	if !(high > low && low > 0) {
		p.fail("high_freq_factor", "more than low_freq_factor, which is more than 0", fmt.Sprintf("%g and %g", high, low))
		return
	}
	rope.Factors = make([]float32, rope.Dims/2)
	for j := range rope.Factors {
		turns := original / wavelength(rope, j)
		blend := min(max((turns-low)/(high-low), 0), 1)
		rope.Factors[j] = float32(1 / ((1-blend)/factor + blend))
	}
}

func wavelength(rope *decoder.Rope, j int) float64 {
	return 2 * math.Pi * math.Pow(rope.Base, float64(2*j)/float64(rope.Dims))
}

// yarn (arXiv 2309.00071) blends by pair, and raises attention.
func (r ropeReader) yarn(p settings, rope *decoder.Rope) {
	original := r.original(p)
	y := yarn{
		factor:   r.factor(p, float64(r.d.Context)/float64(original)),
		original: original,
		fast:     or(p.numberOr(0, "beta_fast"), 32),
		slow:     or(p.numberOr(0, "beta_slow"), 1),
		whole:    p.flagOr(true, "truncate"),
	}
	rope.Factors = y.factors(rope)
	all, one := p.numberOr(0, "mscale_all_dim"), p.numberOr(0, "mscale")
	scale := yarnScale(y.factor, 1)
	if all != 0 && one != 0 {
		scale = yarnScale(y.factor, one) / yarnScale(y.factor, all)
	}
	rope.Scale = float32(p.numberOr(scale, "attention_factor"))
	r.d.Context = max(r.d.Context, int(min(float64(original)*y.factor, 1<<28)))
}

// yarn holds the parameters of YaRN.
type yarn struct {
	factor     float64
	original   int
	fast, slow float64 // turns within the original context
	whole      bool    // bounds are rounded to whole pairs
}

func (y yarn) factors(rope *decoder.Rope) []float32 {
	dims := float64(rope.Dims)
	bound := func(turns float64) float64 {
		return dims * math.Log(float64(y.original)/(turns*2*math.Pi)) / (2 * math.Log(rope.Base))
	}
	low, high := bound(y.fast), bound(y.slow)
	if y.whole {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, dims-1)
	if low == high {
		high += 0.001
	}
	out := make([]float32, rope.Dims/2)
	for j := range out {
		slowed := min(max((float64(j)-low)/(high-low), 0), 1)
		out[j] = float32(1 / (slowed/y.factor + 1 - slowed))
	}
	return out
}

func yarnScale(factor, weight float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*weight*math.Log(factor) + 1
}

// latentScale is what YaRN adds to the scale of latent attention (yarn_apply_mscale in transformers).
func (s settings) latentScale(d *decoder.Description, p settings) {
	all := p.numberOr(0, "mscale_all_dim")
	if d.Latent.Rank == 0 || all == 0 || p.textOr("default", "rope_type", "type") == "default" {
		return
	}
	m := yarnScale(p.numberOr(1, "factor"), all)
	d.AttnScale = float32(m * m / math.Sqrt(float64(d.HeadDim)))
}

// longrope (arXiv 2402.13753) has a factor by pair, and others for contexts beyond the original one.
func (r ropeReader) longrope(p settings, rope *decoder.Rope) {
	rope.Original = r.original(p)
	rope.Factors, rope.LongFactors = p.numbers("short_factor"), p.numbers("long_factor")
	for _, f := range []struct {
		name    string
		numbers []float32
	}{{"short_factor", rope.Factors}, {"long_factor", rope.LongFactors}} {
		if len(f.numbers) != rope.Dims/2 {
			p.fail(f.name, fmt.Sprintf("%d numbers", rope.Dims/2), fmt.Sprint(len(f.numbers)))
		}
	}
	factor := p.numberOr(float64(r.d.Context)/float64(rope.Original), "factor")
	scale := 1.0
	if factor > 1 {
		scale = math.Sqrt(1 + math.Log(factor)/math.Log(float64(rope.Original)))
	}
	rope.Scale = float32(p.numberOr(scale, "attention_factor"))
}
