// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/safetensors"
)

// WriteSAELens writes a dictionary into a folder as SAELens 6 does: cfg.json and sae_weights.safetensors in F32. A constant
// norm is folded into the weights, since the format keeps its constant elsewhere. What SAELens has no architecture for is refused.
func WriteSAELens(folder string, d *Dictionary) error {
	w := &saelensWriter{d: d, f: d.Form, cfg: map[string]any{}}
	if err := w.architecture(); err != nil {
		return fmt.Errorf("dictionary: write %s as SAELens: %w", d.Name, err)
	}
	w.weights()
	w.describe()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	if err := writeJSON(filepath.Join(folder, "cfg.json"), w.cfg); err != nil {
		return err
	}
	return safetensors.Write(filepath.Join(folder, "sae_weights.safetensors"), w.tensors, nil)
}

type saelensWriter struct {
	d       *Dictionary
	f       *Form
	cfg     map[string]any
	tensors []safetensors.Tensor
}

// architecture chooses a name and its settings, or says why there is none.
func (w *saelensWriter) architecture() error {
	f, a := w.f, &w.f.Act
	names := map[Kind]string{ReLU: "standard", JumpReLU: "jumprelu", TopK: "topk", AbsTopK: "abstopk", Gated: "gated", Pursuit: "matching_pursuit"}
	name, ok := names[a.Kind]
	switch {
	case !ok || a.Gate != nil:
		return fmt.Errorf("want relu, jumprelu, topk, abstopk, gated or a pursuit, found %s", a.Kind)
	case a.Kind == Pursuit && a.Pursuit.Method != NonNegativeMatching:
		return fmt.Errorf("want a non-negative matching pursuit, found %s", a.Pursuit.Method)
	case f.PreSub != nil && !slices.Equal(f.PreSub, f.DecBias):
		return fmt.Errorf("want the bias of the decoder subtracted from the input, or none, found another one")
	case f.OneWay && f.PreSub != nil:
		return fmt.Errorf("want no bias subtracted from a transcoder's input, found one")
	case f.Norm != ConstantNorm && f.OutScale != 1:
		return fmt.Errorf("want an output without a scale of its own, found %g", f.OutScale)
	case f.Norm == ConstantNorm && (a.Kind == Pursuit || f.PreSub != nil && f.OutScale != 1/f.Scale):
		return fmt.Errorf("want a constant norm that can be folded into the weights, found %g in and %g out", f.Scale, f.OutScale)
	case a.Kind == Pursuit && f.PreSub == nil && f.DecBias != nil:
		return fmt.Errorf("want a pursuit's bias subtracted from the input as well, found it at the output alone")
	}
	if f.OneWay || f.Skip != nil || f.In != f.Out {
		var err error
		if name, err = w.transcoder(); err != nil {
			return err
		}
	}
	w.cfg["architecture"] = name
	switch a.Kind {
	case TopK, AbsTopK:
		w.cfg["k"], w.cfg["rescale_acts_by_decoder_norm"] = a.K, false
	case Pursuit:
		w.cfg["residual_threshold"], w.cfg["max_iterations"] = a.Pursuit.Tolerance, a.Pursuit.K
		w.cfg["stop_on_duplicate_support"] = a.Pursuit.StopOnSameSupport
	}
	return nil
}

func (w *saelensWriter) transcoder() (string, error) {
	kinds := map[Kind]string{ReLU: "", JumpReLU: "jumprelu_"}
	name, ok := kinds[w.f.Act.Kind]
	if !ok || !w.f.OneWay {
		return "", fmt.Errorf("want a transcoder with relu or jumprelu, found %s", w.f.Act.Kind)
	}
	w.cfg["d_out"] = w.f.Out
	if w.f.Skip != nil {
		name += "skip_"
	}
	return name + "transcoder", nil
}

func (w *saelensWriter) add(name string, v []float32, shape ...int) {
	w.tensors = append(w.tensors, safetensors.Float32Tensor(name, v, shape...))
}

func (w *saelensWriter) weights() {
	f, a := w.f, &w.f.Act
	in, out := float32(1), float32(1)
	if f.Norm == ConstantNorm {
		in, out = f.Scale, f.OutScale
	}
	if a.Kind != Pursuit {
		w.add("W_enc", scaled(transpose(f.Enc, f.N, f.In), in), f.In, f.N)
	}
	w.add("W_dec", scaled(f.Dec, out), f.N, f.Out)
	w.add("b_dec", scaled(orZeros(f.DecBias, f.Out), out), f.Out)
	switch a.Kind {
	case Gated:
		w.add("b_gate", a.GateBias, f.N)
		w.add("b_mag", a.MagBias, f.N)
		logs := make([]float32, f.N)
		for i, v := range a.MagScale {
			logs[i] = float32(math.Log(float64(v)))
		}
		w.add("r_mag", logs, f.N)
	case Pursuit:
	default:
		w.add("b_enc", orZeros(f.EncBias, f.N), f.N)
	}
	if a.Kind == JumpReLU {
		w.add("threshold", a.Threshold, f.N)
	}
	if f.Skip != nil {
		w.add("W_skip", f.Skip, f.Out, f.In)
	}
}

func orZeros(v []float32, n int) []float32 {
	if v == nil {
		return make([]float32, n)
	}
	return v
}

func scaled(v []float32, by float32) []float32 {
	if by == 1 {
		return v
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = x * by
	}
	return out
}

func (w *saelensWriter) describe() {
	f, a := w.f, w.d.Address
	norms := map[Norm]string{NoNorm: "none", ConstantNorm: "none", RescaleNorm: "constant_norm_rescale", LayerNorm: "layer_norm"}
	reshape := "none"
	if a.Site.Point == hooks.AttnZ {
		reshape = "hook_z"
	}
	for key, v := range map[string]any{
		"d_in": f.In, "d_sae": f.N, "dtype": "float32", "device": "cpu",
		"apply_b_dec_to_input": f.PreSub != nil, "normalize_activations": norms[f.Norm], "reshape_activations": reshape,
	} {
		w.cfg[key] = v
	}
	meta := map[string]any{"sae_lens_version": "6.0.0", "hook_name": a.Hook, "model_name": a.Model, "hook_head_index": nil}
	if s := a.Site.TransformerLens(); a.Site.Point != "" && s != "" {
		meta["hook_name"] = s
	}
	if s := a.Out.TransformerLens(); f.OneWay && a.Out.Point != "" {
		meta["hook_name_out"] = s
	}
	if a.Head >= 0 {
		meta["hook_head_index"] = a.Head
	}
	if a.PrependBOS != Unknown {
		meta["prepend_bos"] = a.PrependBOS == Yes
	}
	if a.Context > 0 {
		meta["context_size"] = a.Context
	}
	if a.SkipFirst {
		meta["skip_first_position"] = true
	}
	if a.ExcludeSpecial {
		meta["exclude_special_tokens"] = true
	}
	w.cfg["metadata"] = meta
}
