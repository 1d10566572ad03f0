// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"slices"
	"strings"
)

// saelensFile is a SAELens folder of any version (sae_lens/saes/*.py, sae_lens/loading/pretrained_sae_loaders.py). Before
// version 6 the metadata stood beside the rest, and some keys had other names.
type saelensFile struct {
	*reader
	cfg, meta  config
	arch       string
	transcoder bool
	subtract   bool // b_dec is subtracted from the input
}

func (r *reader) saelens() error {
	r.format = "SAELens"
	name := r.firstOf("cfg.json", "config.json")
	if name == "" {
		return r.fault("folder", "cfg.json beside the weights", "none", "fetch it from where the weights come from")
	}
	cfg, err := readJSON(r.file(name))
	if err != nil {
		return err
	}
	if err := r.load("sae_weights.safetensors"); err != nil {
		return err
	}
	s := &saelensFile{reader: r, cfg: cfg, meta: cfg}
	if cfg.has("metadata") {
		s.meta = cfg.sub("metadata")
	}
	for _, step := range []func() error{s.architecture, s.sizes, s.norm, s.encoder, s.decoder, s.activation, s.place} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// architecture settles what the file is, what it is called, and whether it subtracts its decoder's bias.
func (s *saelensFile) architecture() (err error) {
	if s.arch, err = s.cfg.text("architecture"); err != nil {
		return err
	}
	if s.arch == "" {
		s.arch = "standard"
	}
	if s.cfg.str("activation_fn", "activation_fn_str") == "topk" {
		s.arch = "topk"
	}
	s.arch = strings.ReplaceAll(strings.ReplaceAll(s.arch, "-", "_"), "abs_topk", "abstopk")
	s.transcoder = strings.HasSuffix(s.arch, "transcoder")
	known := []string{
		"standard", "gated", "jumprelu", "topk", "abstopk", "matching_pursuit", "batchtopk", "matryoshka", "matryoshka_batchtopk", "top_afa", "topafa",
		"transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder",
	}
	if !slices.Contains(known, s.arch) {
		return s.cfg.fault("architecture", "one of "+strings.Join(known, ", "))
	}
	if s.subtract, err = s.cfg.flag("apply_b_dec_to_input", !s.transcoder); err != nil {
		return err
	}
	if s.transcoder && s.subtract {
		return s.cfg.fault("apply_b_dec_to_input", "false for a transcoder, whose bias belongs to its output")
	}
	return nil
}

func (s *saelensFile) sizes() (err error) {
	f := s.form
	if f.In, err = s.cfg.integer("d_in", 1, 0); err != nil {
		return err
	}
	if f.N, err = s.cfg.integer("d_sae", 1, 0); err != nil {
		return err
	}
	if f.In == 0 || f.N == 0 {
		rows, cols, err := s.w.dims("W_dec")
		if err != nil {
			return err
		}
		f.N, f.In = rows, cols
	}
	f.Out = f.In
	if s.transcoder {
		f.Out, err = s.w.size("b_dec")
	}
	return err
}

// norm reads normalize_activations, which once was a boolean.
func (s *saelensFile) norm() error {
	f := s.form
	f.OneWay = s.transcoder
	if shape := s.cfg.str("reshape_activations"); shape != "" && shape != "none" && shape != "hook_z" {
		return s.cfg.fault("reshape_activations", "none or hook_z")
	}
	mode, ok := s.cfg.m["normalize_activations"].(string)
	if old, isBool := s.cfg.m["normalize_activations"].(bool); isBool && old {
		mode, ok = "expected_average_only_in", true
	} else if isBool || !s.cfg.has("normalize_activations") {
		mode, ok = "none", true
	}
	switch mode {
	case "none":
	case "expected_average_only_in":
		s.averageNorm()
	case "constant_norm_rescale":
		f.Norm = RescaleNorm
	case "layer_norm":
		f.Norm = LayerNorm
	case "covariance_whitening":
		s.warn("normalize_activations covariance_whitening is folded into the weights after training: read as it stands")
	default:
		ok = false
	}
	if !ok {
		return s.cfg.fault("normalize_activations", "none, expected_average_only_in, constant_norm_rescale or layer_norm")
	}
	return nil
}

// averageNorm scales by a constant that SAELens keeps elsewhere.
func (s *saelensFile) averageNorm() {
	if s.opt.ActivationScale == 0 {
		s.warn("normalize_activations expected_average_only_in needs a constant that the files lack: run unscaled; give it as activation scale (√width / the average norm of the activations)")
		return
	}
	s.form.Norm, s.form.Scale, s.form.OutScale = ConstantNorm, float32(s.opt.ActivationScale), float32(1/s.opt.ActivationScale)
}

func (s *saelensFile) encoder() (err error) {
	f := s.form
	if s.arch == "matching_pursuit" {
		s.w.used["W_enc"] = true // tied to the decoder
		return nil
	}
	if f.Enc, err = s.matrix("W_enc", f.N, f.In, true); err != nil {
		return err
	}
	f.EncBias, err = s.w.optional("b_enc", f.N)
	if f.EncBias == nil && err == nil && s.arch != "gated" {
		_, err = s.w.get("b_enc")
	}
	return err
}

// matrix reads a matrix and speaks up where the file has it the other way round.
func (r *reader) matrix(name string, rows, cols int, transposed bool) ([]float32, error) {
	m, turned, err := r.w.matrix(name, rows, cols, transposed)
	if turned {
		r.warn("tensor %s lies the other way round than the format has it: it was transposed", name)
	}
	return m, err
}

func (s *saelensFile) decoder() (err error) {
	f := s.form
	if f.Dec, err = s.matrix("W_dec", f.N, f.Out, false); err != nil {
		return err
	}
	if f.DecBias, err = s.w.vector("b_dec", f.Out); err != nil {
		return err
	}
	if s.subtract {
		f.PreSub = f.DecBias
	} else if s.arch == "matching_pursuit" {
		f.DecBias = nil // its bias is added back only where it was subtracted
	}
	if strings.Contains(s.arch, "skip") {
		if f.Skip, err = s.matrix("W_skip", f.Out, f.In, false); err != nil {
			return err
		}
	}
	return s.finetuned()
}

// finetuned multiplies decoder rows by the factors of the fine-tuning that versions up to 5 had.
func (s *saelensFile) finetuned() error {
	name := "scaling_factor"
	if s.w.has("finetuning_scaling_factor") {
		name = "finetuning_scaling_factor"
	}
	factor, err := s.w.optional(name, s.form.N)
	if err != nil || factor == nil {
		return err
	}
	const equal = 1e-5 // torch.allclose, by which SAELens drops factors of one
	if !slices.ContainsFunc(factor, func(v float32) bool { return v < 1-equal || v > 1+equal }) {
		return nil
	}
	flagged, err := s.cfg.flag("finetuning_scaling_factor", false)
	if err != nil {
		return err
	}
	if !flagged {
		return s.w.fault(name, "finetuning_scaling_factor true in the configuration", "false")
	}
	scaleRows(s.form.Dec, factor)
	return nil
}

// scaleRows is M[i] *= factor[i].
func scaleRows(m, factor []float32) {
	width := len(m) / len(factor)
	for i, v := range factor {
		row := m[i*width : (i+1)*width]
		for j := range row {
			row[j] *= v
		}
	}
}

// place fills the address.
func (s *saelensFile) place() error {
	a := &s.address
	a.setHook(firstString(s.meta, s.cfg, "hook_name", "hook_point"))
	if module, ok := siteOf(firstString(s.meta, s.cfg, "hf_hook_name")); ok && a.Site.Point == "" {
		a.Site, a.Out = module, module
	}
	if out := firstString(s.meta, s.cfg, "hook_name_out"); s.transcoder {
		a.Out = NoAddress().Out
		a.setOut(out)
	}
	a.Model = firstString(s.meta, s.cfg, "model_name")
	head, err := s.meta.integer("hook_head_index", 0, -1)
	if err != nil {
		return err
	}
	a.Head = head
	bos, err := s.meta.flag("prepend_bos", true)
	if err != nil {
		return err
	}
	a.PrependBOS = answer(bos)
	if special, ok := s.meta.m["exclude_special_tokens"]; ok && special != false && special != nil {
		a.ExcludeSpecial = true
	}
	if a.SkipFirst, err = s.meta.flag("skip_first_position", false); err != nil {
		return err
	}
	a.Context, err = s.meta.integer("context_size", 0, 0)
	if kwargs := s.meta.sub("model_from_pretrained_kwargs"); len(kwargs.m) > 0 {
		s.warn("trained on a model loaded with %s", fmt.Sprint(kwargs.m))
	}
	return err
}

func firstString(meta, cfg config, keys ...string) string {
	if s := meta.str(keys...); s != "" {
		return s
	}
	return cfg.str(keys...)
}
