// SPDX-License-Identifier: Apache-2.0

package dictionary

func (s *saelensFile) activation() (err error) {
	f, a := s.form, &s.form.Act
	switch s.arch {
	case "jumprelu", "jumprelu_transcoder", "jumprelu_skip_transcoder", "batchtopk", "matryoshka", "matryoshka_batchtopk":
		if err := s.fromTraining(); err != nil {
			return err
		}
		a.Kind = JumpReLU
		a.Threshold, err = s.w.threshold("threshold", f.N)
		return err
	case "gated":
		return s.gated("b_gate", "b_mag", "r_mag")
	case "topk", "abstopk":
		return s.topK()
	case "matching_pursuit":
		return s.matchingPursuit()
	case "top_afa", "topafa":
		a.Kind = TopAFA
		return nil
	}
	switch name := s.cfg.str("activation_fn", "activation_fn_str"); name {
	case "", "relu":
	case "tanh-relu":
		a.Kind = TanhReLU
		s.warn("activation tanh-relu: SAELens from version 6 on runs it as relu")
	default:
		return s.cfg.fault("activation_fn_str", "relu, tanh-relu or topk, not "+name)
	}
	return nil
}

// fromTraining makes of a batch top-k in training what SAELens saves for inference.
func (s *saelensFile) fromTraining() error {
	if !s.w.has("topk_threshold") {
		return nil
	}
	s.w.rename("topk_threshold", "threshold")
	rescale, err := s.cfg.flag("rescale_acts_by_decoder_norm", false)
	if rescale {
		s.foldNorms()
	}
	return err
}

// gated reads the two biases and the scale of a gated encoder.
func (r *reader) gated(gate, mag, scale string) (err error) {
	f, a := r.form, &r.form.Act
	a.Kind = Gated
	if a.GateBias, err = r.w.vector(gate, f.N); err != nil {
		return err
	}
	if a.MagBias, err = r.w.vector(mag, f.N); err != nil {
		return err
	}
	if a.MagScale, err = r.w.vector(scale, f.N); err != nil {
		return err
	}
	exponentiate(a.MagScale)
	f.EncBias = nil
	return nil
}

func (s *saelensFile) topK() (err error) {
	a := &s.form.Act
	a.Kind = TopK
	if s.arch == "abstopk" {
		a.Kind = AbsTopK
	}
	k, err := s.cfg.integer("k", 1, 0)
	if err != nil {
		return err
	}
	if a.K, err = s.cfg.sub("activation_fn_kwargs").integer("k", 1, k); err != nil { // before version 6 this one counted
		return err
	}
	if a.K == 0 && s.opt.K == 0 {
		return s.cfg.fault("k", "a number of features to keep")
	}
	rescale, err := s.cfg.flag("rescale_acts_by_decoder_norm", false)
	if rescale {
		s.foldNorms()
	}
	return err
}

// foldNorms moves the lengths of decoder rows into the encoder: codes grow by them, rows become unit vectors.
func (r *reader) foldNorms() {
	f := r.form
	norms := rowNorms(f.Dec, f.Out)
	scaleRows(f.Enc, norms)
	for i := range f.EncBias {
		f.EncBias[i] *= norms[i]
	}
	for i, n := range norms {
		norms[i] = 1
		if n > 0 {
			norms[i] = 1 / n
		}
	}
	scaleRows(f.Dec, norms)
}

func (s *saelensFile) matchingPursuit() error {
	rule := PursuitRule{Method: NonNegativeMatching}
	tolerance, err := s.cfg.float("residual_threshold", 1e-2)
	if err != nil {
		return err
	}
	rule.Tolerance = float32(max(tolerance, 0))
	if rule.K, err = s.cfg.integer("max_iterations", 1, s.form.In); err != nil {
		return err
	}
	if rule.StopOnSameSupport, err = s.cfg.flag("stop_on_duplicate_support", true); err != nil {
		return err
	}
	s.rawUnits(&rule)
	s.form.Act = Activation{Kind: Pursuit, Pursuit: rule}
	return nil
}

// rawUnits folds the constant of expected_average_only_in into a pursuit as SAELens does: rows stay unit vectors, so that codes are in the units of
// the activations.
func (s *saelensFile) rawUnits(rule *PursuitRule) {
	f := s.form
	if f.Norm != ConstantNorm {
		return
	}
	for i := range f.DecBias { // PreSub is the same
		f.DecBias[i] /= f.Scale
	}
	rule.Tolerance /= f.Scale
	f.Norm, f.Scale, f.OutScale = NoNorm, 0, 1
}
