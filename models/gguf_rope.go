// SPDX-License-Identifier: Apache-2.0

package models

import (
	"fmt"
	"math"

	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/gguf"
)

// ropes reads rotary embedding with the scalings that files carry: in keys, or as tensors of factors.
func (k *keys) ropes(f *gguf.File, d *decoder.Description, family ggufFamily) {
	if family.learned {
		return
	}
	r := decoder.Rope{
		Dims:        k.countOr("rope.dimension_count", d.HeadDim),
		Base:        k.numberOr("rope.freq_base", 10000),
		Interleaved: family.adjacent,
	}
	if r.Dims < 2 || r.Dims > 1<<14 || r.Dims%2 != 0 || !(r.Base > 1) {
		k.fail(fmt.Errorf("models: rope.dimension_count and rope.freq_base: want an even number from 2 to %d and a base over 1, found %d and %g", 1<<14, r.Dims, r.Base))
		return
	}
	if family.localTheta != 0 {
		local := r
		local.Base = k.numberOr("rope.freq_base_swa", family.localTheta)
		d.WindowRope = &local
	}
	k.scaling(d, &r, !family.fractions)
	k.factors(f, d, &r)
	d.Rope = r
}

func (k *keys) scaling(d *decoder.Description, r *decoder.Rope, whole bool) {
	factor := k.numberOr("rope.scaling.factor", 1)
	if !(factor >= 1) {
		k.fail(fmt.Errorf("models: rope.scaling.factor: want at least 1, found %g", factor))
		return
	}
	switch kind := k.textOr("rope.scaling.type", "none"); kind {
	case "none", "longrope":
	case "linear":
		r.Factors = repeat(float32(factor), r.Dims/2)
	case "yarn":
		k.yarn(d, r, factor, whole)
	default:
		k.fail(fmt.Errorf("models: rope.scaling.type: want none, linear, yarn or longrope, found %q", kind))
	}
}

// yarn is as in Hugging Face folders; yarn_log_multiplier is a tenth of DeepSeek's mscale_all_dim.
func (k *keys) yarn(d *decoder.Description, r *decoder.Rope, factor float64, whole bool) {
	y := yarn{
		factor:   factor,
		original: k.countOr("rope.scaling.original_context_length", d.Context),
		fast:     k.numberOr("rope.scaling.yarn_beta_fast", 32),
		slow:     k.numberOr("rope.scaling.yarn_beta_slow", 1),
		whole:    whole,
	}
	if y.original < 2 {
		k.fail(fmt.Errorf("models: rope.scaling.original_context_length: want at least 2, found %d", y.original))
		return
	}
	r.Factors = y.factors(r)
	r.Scale = float32(k.numberOr("rope.scaling.yarn_attn_factor", yarnScale(factor, 1)) * k.numberOr("rope.scaling.attn_factor", 1))
	if all := 10 * k.numberOr("rope.scaling.yarn_log_multiplier", 0); all != 0 && d.Latent.Rank > 0 {
		m := yarnScale(factor, all)
		r.Scale, d.AttnScale = 1, float32(m*m/math.Sqrt(float64(d.HeadDim)))
	}
	d.Context = max(d.Context, int(min(float64(y.original)*factor, 1<<28)))
}

// factors reads tensors of factors: one for all contexts (llama3), or one for short and one for long contexts (longrope).
func (k *keys) factors(f *gguf.File, d *decoder.Description, r *decoder.Rope) {
	read := func(name string) []float32 {
		if _, ok := f.Tensor(name); !ok {
			return nil
		}
		v, err := f.Float32(name, r.Dims/2)
		k.fail(err)
		return v
	}
	if v := read("rope_freqs.weight"); v != nil {
		r.Factors = v
	}
	if long := read("rope_factors_long.weight"); long != nil {
		r.Factors, r.LongFactors = read("rope_factors_short.weight"), long
		r.Original = k.countOr("rope.scaling.original_context_length", d.Context)
		r.Scale = float32(k.numberOr("rope.scaling.attn_factor", 1))
	}
}

func repeat(x float32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = x
	}
	return out
}
