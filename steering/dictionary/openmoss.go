// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
	"strings"
)

// openMOSSFile is a dictionary of OpenMOSS/Language-Model-SAEs: Llama Scope's hyperparams.json, or config.json since 2025.
//
// Codes are those of training, in the space where activations have length √d on average: u = (s x) Wᵀ + b with
// s = √d / the data set's average norm, and the reconstruction is divided by the output's s. Llama Scope's one threshold is
// published in the units of raw activations (SAELens pull request 483), so that here it is times s; later files keep a
// threshold for each feature in the units of training.
type openMOSSFile struct {
	*reader
	cfg     config
	gate    bool // selection multiplies by the length of decoder rows
	in, out float64
}

func (r *reader) llamaScope() error {
	r.format = "Llama Scope"
	cfg, err := readJSON(r.file("hyperparams.json"))
	if err != nil {
		return err
	}
	name := r.firstOf("sae_weights.safetensors", "checkpoints/pruned.safetensors", "checkpoints/final.safetensors", "final.safetensors", "checkpoints/final.pt", "sae_weights.pt")
	if name == "" {
		return r.fault("folder", "checkpoints/final.safetensors beside hyperparams.json", "none", "fetch it from where the hyperparameters come from")
	}
	return r.openMOSSWeights(cfg, name)
}

// openMOSS reads config.json beside sae_weights.safetensors, which by its tensors may also be SAELens' own.
func (r *reader) openMOSS() error {
	cfg, err := readJSON(r.file("config.json"))
	if err != nil {
		return err
	}
	if cfg.has("d_sae") && !cfg.has("act_fn") && !cfg.has("d_model") {
		return r.saelens()
	}
	r.format = "OpenMOSS"
	return r.openMOSSWeights(cfg, "sae_weights.safetensors")
}

func (r *reader) openMOSSWeights(cfg config, name string) error {
	if err := r.load(name); err != nil {
		return err
	}
	m := &openMOSSFile{reader: r, cfg: cfg}
	for _, step := range []func() error{m.check, m.matrices, m.norm, m.activation, m.place} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what is no plain SAE or transcoder.
func (m *openMOSSFile) check() error {
	if glu, err := m.cfg.flag("use_glu_encoder", false); err != nil || glu {
		return m.cfg.fault("use_glu_encoder", "false: encoders with a gate of sigmoids are not read")
	}
	if t := m.cfg.str("sae_type"); t != "" && t != "sae" && t != "transcoder" {
		return m.cfg.fault("sae_type", "sae: crosscoders and cross-layer transcoders are not read")
	}
	m.w.rename("encoder.weight", "W_E", "encoder.bias", "b_E", "decoder.weight", "W_D", "decoder.bias", "b_D")
	m.w.rename("activation_function.log_jumprelu_threshold", "log_jumprelu_threshold")
	return nil
}

// matrices reads the weights; the older names go with nn.Linear's shapes.
func (m *openMOSSFile) matrices() (err error) {
	f := m.form
	if f.In, err = m.cfg.integer("d_model", 1, 0); err != nil {
		return err
	}
	if f.N, err = m.w.size("b_E"); err != nil {
		return err
	}
	rows, cols, err := m.w.dims("W_E")
	if err != nil {
		return err
	}
	if f.In == 0 {
		f.In = rows + cols - f.N
	}
	f.Out = f.In
	rowsFirst := rows == f.N && cols == f.In // of features, as nn.Linear has it
	if err := m.cfg.agrees("d_sae", f.N); err != nil {
		return err
	}
	if f.Enc, _, err = m.w.matrix("W_E", f.N, f.In, !rowsFirst); err != nil {
		return err
	}
	if f.EncBias, err = m.w.vector("b_E", f.N); err != nil {
		return err
	}
	if f.Dec, _, err = m.w.matrix("W_D", f.N, f.Out, rowsFirst); err != nil {
		return err
	}
	return m.biases()
}

func (m *openMOSSFile) biases() error {
	f := m.form
	use, err := m.cfg.flag("use_decoder_bias", true)
	if err != nil || !use {
		return err
	}
	if f.DecBias, err = m.w.vector("b_D", f.Out); err != nil {
		return err
	}
	before, err := m.cfg.flag("apply_decoder_bias_to_pre_encoder", false)
	if before {
		f.PreSub = f.DecBias
	}
	return err
}

func (m *openMOSSFile) norm() (err error) {
	f := m.form
	m.in, m.out = 1, 1
	switch mode := m.cfg.str("norm_activation"); mode {
	case "inference", "":
	case "token-wise":
		f.Norm = RescaleNorm
	case "dataset-wise":
		if m.in, err = m.averageNorm("in", m.cfg.str("hook_point_in")); err != nil {
			return err
		}
		if m.out, err = m.averageNorm("out", m.cfg.str("hook_point_out", "hook_point_in")); err != nil {
			return err
		}
		f.Norm, f.Scale, f.OutScale = ConstantNorm, float32(m.in), float32(1/m.out)
	default:
		return m.cfg.fault("norm_activation", "dataset-wise, token-wise or inference")
	}
	for name := range m.w.m {
		if strings.HasPrefix(name, "dataset_average_activation_norm.") {
			m.w.used[name] = true
		}
	}
	return nil
}

// averageNorm returns √d over the average norm of a side's activations, from the configuration or from a tensor.
func (m *openMOSSFile) averageNorm(side, hook string) (float64, error) {
	norms := m.cfg.sub("dataset_average_activation_norm")
	for _, key := range []string{side, hook} {
		if !norms.has(key) {
			continue
		}
		n, err := norms.float(key, 0)
		if err == nil && !(n > 0) {
			err = norms.fault(key, "a norm above 0")
		}
		return math.Sqrt(float64(m.form.In)) / n, err
	}
	for _, key := range []string{hook, side} {
		name := "dataset_average_activation_norm." + key
		if !m.w.has(name) {
			continue
		}
		n, err := m.w.scalar(name)
		if err == nil && !(n > 0) {
			err = m.w.fault(name, "a norm above 0", fmt.Sprint(n))
		}
		return math.Sqrt(float64(m.form.In)) / n, err
	}
	if m.opt.ActivationScale != 0 {
		return m.opt.ActivationScale, nil
	}
	return 0, norms.fault(side, "the average norm of the "+side+"put's activations (or give the activation scale)")
}

func (m *openMOSSFile) activation() (err error) {
	f, a := m.form, &m.form.Act
	if m.gate, err = m.cfg.flag("sparsity_include_decoder_norm", false); err != nil {
		return err
	}
	one, err := m.cfg.float("jump_relu_threshold", 0)
	if err != nil {
		return err
	}
	name := strings.ToLower(m.cfg.str("act_fn"))
	if name == "topk" && one > 0 { // the library turns it into jumprelu for inference
		name = "jumprelu"
	}
	switch name {
	case "relu":
		return nil
	case "jumprelu":
		return m.jumpReLU(float32(one * m.in))
	case "topk":
		a.Kind = TopK
		if m.gate {
			a.Gate = rowNorms(f.Dec, f.Out)
		}
		a.K, err = m.cfg.integer("top_k", 1, 50)
		return err
	}
	return m.cfg.fault("act_fn", "relu, jumprelu or topk (a batch top-k has to be turned into jumprelu first)")
}

func (m *openMOSSFile) jumpReLU(one float32) (err error) {
	f, a := m.form, &m.form.Act
	a.Kind = JumpReLU
	if m.w.has("log_jumprelu_threshold") {
		if a.Threshold, err = m.w.threshold("log_jumprelu_threshold", f.N); err != nil {
			return err
		}
		exponentiate(a.Threshold)
	} else {
		a.Threshold = constant(f.N, one)
	}
	if !m.gate {
		return nil
	}
	for i, n := range rowNorms(f.Dec, f.Out) { // u·n > threshold
		if n > 0 {
			a.Threshold[i] /= n
		}
	}
	return nil
}

func exponentiate(v []float32) {
	for i, x := range v {
		v[i] = float32(math.Exp(float64(x)))
	}
}

func (m *openMOSSFile) place() error {
	a := &m.address
	a.setHook(m.cfg.str("hook_point_in", "hook_point"))
	if out := m.cfg.str("hook_point_out"); out != "" {
		a.setOut(out)
	}
	m.form.OneWay = m.cfg.str("hook_point_out", "hook_point_in") != m.cfg.str("hook_point_in")
	a.Model = m.cfg.str("model_name")
	if m.format == "Llama Scope" && a.Model == "" && m.form.In == 4096 {
		a.Model = "meta-llama/Llama-3.1-8B"
		a.PrependBOS, a.Context = Yes, 1024
	}
	return nil
}
