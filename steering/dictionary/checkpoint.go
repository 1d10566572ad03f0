// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// checkpoint reads one file of weights whose tensors' names tell whose it is.
func (r *reader) checkpoint(name string) error {
	if err := r.load(name); err != nil {
		return err
	}
	has := r.w.has
	cfg, err := r.sidecar(name)
	if err != nil {
		return err
	}
	switch {
	case has("pre_bias"):
		return r.openAI()
	case has("encoder_linear.weight"):
		return r.goodfire(name)
	case has("dictionary._weights") || has("dictionary.C"):
		return r.overcomplete(cfg)
	case has("W_E"):
		return r.fault("file", "config.json beside the weights", "tensors of OpenMOSS alone", "")
	case cfg.has("sae_type") || cfg.has("act_size"):
		return r.trainingFolder(cfg)
	case has("") || has("atoms"):
		return r.fault("file", "atoms.pt, atom_indices.pt and metadata.yaml in one folder", name, "")
	case has("encoder.weight"):
		return r.linears(name)
	case has("W_enc") && qwenPattern.MatchString(name):
		return r.qwenScope(name)
	case r.circuitLayer(name) != "":
		return r.circuit(name)
	case has("D") && has("b"):
		return r.fault("tensors", "a dictionary of one activation", "a temporal SAE, which needs the whole context", "")
	case has("W_enc") || has("w_enc"):
		r.format = "plain matrices"
		return r.bareMatrices()
	}
	return r.fault("tensors", "the names of a known dictionary", r.w.listed(), "")
}

// sidecar reads the configuration that lies beside a file of weights, where there is one.
func (r *reader) sidecar(name string) (config, error) {
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	found := r.firstOf(stem+"_cfg.json", stem+".json", "config.json", "cfg.json")
	if found == "" {
		return config{path: r.file(name)}, nil
	}
	return readJSON(r.file(found))
}

// openAI reads openai/sparse_autoencoder (model.py). Its TopK models normalise their input; the file does not say so itself.
func (r *reader) openAI() (err error) {
	r.format = "OpenAI sparse_autoencoder"
	f, a := r.form, &r.form.Act
	f.N, f.In, err = r.w.dims("encoder.weight")
	if err != nil {
		return err
	}
	f.Out = f.In
	if f.Enc, err = r.matrix("encoder.weight", f.N, f.In, false); err != nil {
		return err
	}
	if f.EncBias, err = r.w.vector("latent_bias", f.N); err != nil {
		return err
	}
	if f.PreSub, err = r.w.vector("pre_bias", f.In); err != nil {
		return err
	}
	f.DecBias, f.Dec = f.PreSub, f.Enc // tied models have no decoder of their own
	if r.w.has("decoder.weight") {
		if f.Dec, err = r.matrix("decoder.weight", f.N, f.Out, true); err != nil {
			return err
		}
	}
	for _, name := range []string{"stats_last_nonzero", "latents_activation_frequency", "latents_mean_square", "decoder.linear.weight"} {
		r.w.used[name] = true
	}
	r.openAIPlace()
	v := r.w.values
	switch name := v.str("activation"); name {
	case "", "ReLU":
		return nil
	case "TopK":
		f.Norm, a.Kind = LayerNorm, TopK
	case "Identity": // every pre-activation is a code
		a.Kind, a.K = RawTopK, f.N
		return nil
	default:
		return v.fault("activation", "ReLU, TopK or Identity")
	}
	if a.K, err = v.integer("activation_state_dict.k", 1, 0); err == nil && a.K == 0 {
		return v.fault("activation_state_dict.k", "a number of features to keep")
	}
	if v.str("activation_state_dict.postact_fn") == "Identity" {
		a.Kind = RawTopK
	}
	return err
}

var openAIPattern = regexp.MustCompile(`(resid_delta_attn|resid_delta_mlp|resid_post_attn|resid_post_mlp|mlp_post_act)(?:_v\d[^/]*)?/(?:[^/]+/)*(\d+)\.\w+$`)

// openAIPlace reads location and layer from the path, as the published files lie.
func (r *reader) openAIPlace() {
	m := openAIPattern.FindStringSubmatch(r.whole)
	if m == nil {
		return
	}
	points := map[string]hooks.Point{
		"resid_delta_attn": hooks.AttnPost, "resid_delta_mlp": hooks.MLPPost, "resid_post_attn": hooks.ResidMid,
		"resid_post_mlp": hooks.ResidPost, "mlp_post_act": hooks.MLPAct,
	}
	a := &r.address
	a.Site = at(points[m[1]], m[2])
	a.Out, a.Hook, a.Model = a.Site, m[1]+" "+m[2], "gpt2-small"
}

var (
	fileLayerPattern = regexp.MustCompile(`(?:^|[-_])l(\d+)(?:[-_.]|$)`)
	fileKPattern     = regexp.MustCompile(`(?:^|[-_])k(\d+)(?:[-_.]|$)`)
)

// placeByName takes the layer from a file's name such as Llama-3.1-8B-Instruct-SAE-l19.pth: the output of that block.
func (r *reader) placeByName(name string) {
	a := &r.address
	m := fileLayerPattern.FindStringSubmatch(name)
	if m == nil {
		return
	}
	a.Site = at(hooks.ResidPost, m[1])
	a.Out, a.Hook = a.Site, "l"+m[1]
	if model, _, ok := strings.Cut(name, "-SAE-"); ok {
		a.Model = model
	}
}

// goodfire reads the two linear layers of Goodfire's SAEs: ReLU without pre-bias and norm; with k in the name, top-k.
func (r *reader) goodfire(name string) (err error) {
	r.format = "Goodfire"
	r.w.rename("encoder_linear.weight", "encoder.weight", "encoder_linear.bias", "encoder.bias")
	r.w.rename("decoder_linear.weight", "decoder.weight", "decoder_linear.bias", "b_out", "decoder.bias", "b_out")
	if err := r.linearPair(); err != nil {
		return err
	}
	r.form.PreSub = nil
	r.placeByName(name)
	m := fileKPattern.FindStringSubmatch(name)
	if m == nil && !strings.Contains(name, "topk") {
		return nil
	}
	r.form.Act.Kind, r.form.Act.K = TopK, r.opt.K
	if m != nil {
		r.form.Act.K, err = strconv.Atoi(m[1])
	}
	if r.form.Act.K < 1 {
		return r.fault("file name", "k, as in topk_sae_l15_k32.pt", name, "give k")
	}
	return err
}

// linears reads encoder.weight and decoder.weight of nn.Linear: dictionary_learning's classes, whatever the file's name, and
// the ReLU SAEs without pre-bias that DeepSeek's and others' are.
func (r *reader) linears(name string) error {
	if err := r.learningState(); err != nil {
		return err
	}
	if r.address.Site.Point == "" {
		r.placeByName(name)
	}
	return nil
}

// trainingFolder reads what the BatchTopK training code and its descendant top-AFA write (training/sae.py and logs.py of
// SewoongLee/top-afa-sae), and ckkissane's attention SAEs, which have the same tensors and act_size in their configuration.
func (r *reader) trainingFolder(cfg config) (err error) {
	f, a := r.form, &r.form.Act
	kind := strings.ToLower(cfg.str("sae_type"))
	r.format = "BatchTopK-style " + kind
	if kind == "" {
		r.format = "Kissane attention SAE"
	}
	if err := r.linearPair(); err != nil {
		return err
	}
	unit, err := cfg.flag("input_unit_norm", false)
	if err != nil {
		return err
	}
	if unit {
		f.Norm = LayerNorm
	}
	r.trainingPlace(cfg)
	switch strings.NewReplacer("-", "", "_", "").Replace(kind) {
	case "", "vanilla", "standard", "relu":
	case "topk":
		f.EncBias, a.Kind = nil, TopK // the class does not use b_enc
		if a.K, err = cfg.integer("top_k", 1, 0); err == nil && a.K == 0 {
			return cfg.fault("top_k", "a number of features to keep")
		}
	case "topafa":
		f.EncBias, a.Kind = nil, TopAFA
	case "batchtopk":
		return r.trainingBatch(cfg)
	case "jumprelu":
		f.PreSub, a.Kind = nil, JumpReLU
		if a.Threshold, err = r.w.threshold("jumprelu.log_threshold", f.N); err == nil {
			exponentiate(a.Threshold)
		}
	default:
		return cfg.fault("sae_type", "vanilla, topk, batchtopk, jumprelu or topafa")
	}
	return err
}

// trainingBatch needs the threshold that later versions of the training code keep; a single row has no batch to share k with.
func (r *reader) trainingBatch(cfg config) error {
	r.form.EncBias = nil
	if r.w.has("threshold") {
		return r.batchThreshold()
	}
	k, err := cfg.integer("top_k", 1, 0)
	if err == nil && k == 0 {
		return cfg.fault("top_k", "a number of features to keep")
	}
	r.warn("a batch top-k without a threshold: each activation keeps %d features of its own, where training shared them over a batch", k)
	r.form.Act.Kind, r.form.Act.K = TopK, k
	return err
}

func (r *reader) trainingPlace(cfg config) {
	a := &r.address
	a.setHook(cfg.str("hook_point", "act_name", "hook_name"))
	a.Model = cfg.str("model_name", "model")
	a.PrependBOS = Yes
	if n, err := cfg.integer("seq_len", 0, 0); err == nil {
		a.Context = n
	}
	if n, err := cfg.integer("head", 0, -1); err == nil {
		a.Head = n
	}
}

// unitRows divides every row by its length; rows of zeros stay.
func unitRows(m []float32, width int) {
	norms := rowNorms(m, width)
	for i, n := range norms {
		norms[i] = 1
		if n > 0 {
			norms[i] = 1 / n
		}
	}
	scaleRows(m, norms)
}
