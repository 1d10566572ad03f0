// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// learning reads a folder of dictionary_learning (saprmarks/dictionary_learning, dictionary.py and trainers/).
func (r *reader) learning() error {
	if err := r.load(r.firstOf("ae.safetensors", "ae.pt")); err != nil {
		return err
	}
	return r.learningState()
}

// learningState reads tensors with the names that torch's nn.Linear and dictionary_learning's classes give them.
func (r *reader) learningState() error {
	trainer := config{path: r.folder}
	if name := r.firstOf("config.json"); name != "" {
		cfg, err := readJSON(r.file(name))
		if err != nil {
			return err
		}
		if trainer = cfg.sub("trainer"); trainer.m == nil && cfg.has("trainer") {
			return cfg.fault("trainer", "an object")
		}
		r.learningPlace(trainer, cfg.sub("buffer"))
	}
	class, err := r.learningClass(trainer)
	if err != nil {
		return err
	}
	r.format = "dictionary_learning " + class
	r.w.rename("W_enc", "W_enc", "decoder_bias", "b_dec", "bias", "b_dec", "decoder.bias", "b_out")
	for _, name := range []string{"k", "threshold", "group_sizes", "var_encoder.weight", "var_encoder.bias", "W_enc_var", "b_enc_var"} {
		r.w.used[name] = true
	}
	if err := r.linearPair(); err != nil {
		return err
	}
	if err := trainer.agrees("activation_dim", r.form.In); err != nil {
		return err
	}
	if err := trainer.agrees("dict_size", r.form.N); err != nil {
		return err
	}
	return r.learningActivation(class, trainer)
}

// learningClass takes the class from the configuration or, where that lacks it, from the tensors' names.
func (r *reader) learningClass(trainer config) (string, error) {
	class := trainer.str("dict_class")
	class = class[strings.LastIndexByte(class, '.')+1:]
	known := []string{
		"AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "JumpReluAutoEncoder",
		"AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE", "VSAETopK",
	}
	switch {
	case slices.Contains(known, class):
		return class, nil
	case class == "IdentityDict" || strings.Contains(class, "CrossCoder"):
		return "", trainer.fault("dict_class", "a dictionary of one activation")
	}
	guess := r.classByNames(trainer.str("trainer_class"))
	if class != "" {
		r.warn("dict_class %s is not known: read as %s by the names of its tensors", class, guess)
	}
	return guess, nil
}

func (r *reader) classByNames(trainer string) string {
	has := r.w.has
	k := r.w.hasNumber("k")
	switch {
	case has("r_mag"):
		return "GatedAutoEncoder"
	case has("group_sizes"):
		return "MatryoshkaBatchTopKSAE"
	case k && strings.Contains(trainer, "BatchTopK"):
		return "BatchTopKSAE"
	case k && has("decoder.bias"):
		return "VSAETopK"
	case k:
		if trainer == "" {
			r.warn("the files do not say whether this is AutoEncoderTopK or BatchTopKSAE: read as AutoEncoderTopK, which keeps k features whatever the threshold")
		}
		return "AutoEncoderTopK"
	case has("threshold"):
		return "JumpReluAutoEncoder"
	case has("bias"):
		return "AutoEncoder"
	}
	return "AutoEncoderNew"
}

// linearPair reads encoder and decoder, as nn.Linear or as plain matrices. b_dec is subtracted from the input, b_out is not.
func (r *reader) linearPair() (err error) {
	f := r.form
	plain := r.w.has("W_enc")
	if err := r.linearSizes(plain); err != nil {
		return err
	}
	enc, bias, dec := "encoder.weight", "encoder.bias", "decoder.weight"
	if plain {
		enc, bias, dec = "W_enc", "b_enc", "W_dec"
	}
	if f.Enc, err = r.matrix(enc, f.N, f.In, plain); err != nil {
		return err
	}
	if f.EncBias, err = r.w.optional(bias, f.N); err != nil {
		return err
	}
	if f.Dec, err = r.matrix(dec, f.N, f.Out, !plain); err != nil {
		return err
	}
	if r.w.has("b_out") {
		f.DecBias, err = r.w.vector("b_out", f.Out)
		return err
	}
	f.DecBias, err = r.w.optional("b_dec", f.Out)
	f.PreSub = f.DecBias
	return err
}

// linearSizes takes the sizes from the encoder and, where its shape leaves a doubt, from its bias.
func (r *reader) linearSizes(plain bool) error {
	f := r.form
	name, bias := "encoder.weight", "encoder.bias"
	if plain {
		name, bias = "W_enc", "b_enc"
	}
	rows, cols, err := r.w.dims(name)
	if err != nil {
		return err
	}
	f.N, f.In = rows, cols
	if plain {
		f.N, f.In = cols, rows
	}
	if n, err := r.w.size(bias); err == nil && n == f.In && n != f.N {
		f.N, f.In = f.In, f.N
	}
	f.Out = f.In
	return nil
}

func (r *reader) learningActivation(class string, trainer config) (err error) {
	f, a := r.form, &r.form.Act
	switch class {
	case "AutoEncoder":
		r.unitDecoder()
	case "GatedAutoEncoder":
		return r.gated("gate_bias", "mag_bias", "r_mag")
	case "JumpReluAutoEncoder":
		f.PreSub = nil
		a.Kind = JumpReLU
		a.Threshold, err = r.w.threshold("threshold", f.N)
	case "BatchTopKSAE", "MatryoshkaBatchTopKSAE":
		return r.batchThreshold()
	case "AutoEncoderTopK", "VSAETopK":
		if class == "VSAETopK" && r.w.has("W_enc") { // the older names' b_dec is what decoder.bias is now
			f.PreSub = nil
		}
		a.Kind = TopK
		a.K, err = r.storedK(trainer)
	}
	return err
}

// unitDecoder makes decoder rows unit vectors as AutoEncoder.from_pretrained does, which leaves them where they are unit
// already by torch.allclose.
func (r *reader) unitDecoder() {
	const equal = 1e-5
	norms := rowNorms(r.form.Dec, r.form.Out)
	if slices.ContainsFunc(norms, func(n float32) bool { return math.Abs(float64(n)-1) > equal }) {
		r.foldNorms()
	}
}

// batchThreshold is a batch top-k at inference: one threshold for all features.
func (r *reader) batchThreshold() error {
	t, err := r.w.scalar("threshold")
	if err != nil {
		return err
	}
	if t < 0 {
		r.warn("the threshold was never set in training: every positive feature is kept")
	}
	r.form.Act.Kind, r.form.Act.Threshold = JumpReLU, constant(r.form.N, float32(t))
	return nil
}

func (r *reader) storedK(trainer config) (int, error) {
	k, err := trainer.integer("k", 1, 0)
	if err != nil {
		return 0, err
	}
	if r.w.hasNumber("k") {
		stored, err := r.w.scalar("k")
		switch {
		case err == nil && (stored < 1 || stored != math.Trunc(stored) || stored > math.MaxInt32):
			return 0, r.w.fault("k", "a whole number above 0", fmt.Sprint(stored))
		case err == nil && k != 0 && float64(k) != stored && r.opt.K == 0:
			return 0, fmt.Errorf("%w: give k", trainer.fault("k", fmt.Sprintf("%g, as the weights have it", stored)))
		}
		return int(stored), err
	}
	if k == 0 && r.opt.K == 0 {
		return 0, trainer.fault("k", "a number of features to keep")
	}
	return k, nil
}

// learningPlace reads the address. Where a submodule's name is no site, the output of the layer is meant, as SAELens has it.
func (r *reader) learningPlace(trainer, buffer config) {
	a := &r.address
	a.Model = trainer.str("lm_name")
	a.setHook(trainer.str("submodule_name"))
	layer, err := trainer.integer("layer", 0, -1)
	if err == nil && layer >= 0 && a.Site.Point == "" {
		a.Site = hooks.At(hooks.ResidPost, layer)
		a.Out = a.Site
		if a.Hook != "" {
			r.warn("submodule %q is no site that is known: taken to be the output of block %d", a.Hook, layer)
		}
	}
	if context, err := buffer.integer("ctx_len", 0, 0); err == nil {
		a.Context = context
	}
}
