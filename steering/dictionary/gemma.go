// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// gemmaScope reads params.npz of Gemma Scope or params.safetensors of Gemma Scope 2: JumpReLU without pre-bias and norm.
// Transcoders have the same names in lower case, and may have a skip connection.
func (r *reader) gemmaScope() error {
	if err := r.npz(r.firstOf("params.npz", "params.safetensors")); err != nil {
		return err
	}
	if r.form.Act.Kind != JumpReLU {
		_, err := r.w.get("threshold")
		return err
	}
	return nil
}

func (r *reader) npz(name string) error {
	if err := r.load(name); err != nil {
		return err
	}
	r.format = "Gemma Scope"
	return r.bareMatrices()
}

// bareMatrices reads W_enc, b_enc, W_dec, b_dec and perhaps threshold where nothing else says what they are.
func (r *reader) bareMatrices() (err error) {
	r.w.rename("w_enc", "W_enc", "w_dec", "W_dec", "w_skip", "W_skip")
	f := r.form
	if f.N, err = r.w.size("b_enc"); err != nil {
		return err
	}
	if f.Out, err = r.w.size("b_dec"); err != nil {
		return err
	}
	rows, cols, err := r.w.dims("W_enc")
	if err != nil {
		return err
	}
	f.In = rows
	if rows == f.N && cols != f.N {
		f.In = cols
	}
	if f.Enc, err = r.matrix("W_enc", f.N, f.In, true); err != nil {
		return err
	}
	if f.EncBias, err = r.w.vector("b_enc", f.N); err != nil {
		return err
	}
	if err := r.bareDecoder(); err != nil {
		return err
	}
	if err := r.bareExtras(); err != nil {
		return err
	}
	return r.gemmaPlace()
}

// bareDecoder reads a decoder; a cross-layer transcoder has one for each layer it writes to, side by side.
func (r *reader) bareDecoder() (err error) {
	f := r.form
	if t := r.w.m["W_dec"]; len(t.shape) == 3 {
		f.OneWay = true
		r.warn("a cross-layer transcoder writes to %d layers: their decoders are added up, which serves for its codes, not for reconstructing one layer", t.shape[1])
		f.Dec, err = r.w.summed("W_dec", f.N, f.Out)
	} else {
		f.Dec, err = r.matrix("W_dec", f.N, f.Out, false)
	}
	if err != nil {
		return err
	}
	f.DecBias, err = r.w.vector("b_dec", f.Out)
	return err
}

func (r *reader) bareExtras() (err error) {
	f := r.form
	if r.w.has("threshold") {
		f.Act.Kind = JumpReLU
		if f.Act.Threshold, err = r.w.threshold("threshold", f.N); err != nil {
			return err
		}
	}
	switch {
	case r.w.has("W_skip"):
		f.Skip, err = r.matrix("W_skip", f.Out, f.In, false)
	case r.w.has("affine_skip_connection"): // applied as x · M
		f.Skip, err = r.matrix("affine_skip_connection", f.Out, f.In, true)
	}
	f.OneWay = f.OneWay || f.Skip != nil
	return err
}

var (
	layerPattern     = regexp.MustCompile(`layer_(\d+)`)
	embeddingPattern = regexp.MustCompile(`/embedding/width_[^/]+/`)
	kindPattern      = regexp.MustCompile(`/(resid_post|attn_out|mlp_out|transcoder|clt)(?:_all)?/[^/]*(?:/params)?_?layer_\d+`)
	scopePattern     = regexp.MustCompile(`gemma-scope(?:-2)?-(\w+-\w+)(?:-(res|mlp|att|transcoders))?(?:/|$)`)
)

// gemmaPlace reads what the folders' names say: the repository's tells model and kind, its subfolders the layer.
// Gemma Scope 2 has the kind as a folder, and may have config.json.
func (r *reader) gemmaPlace() error {
	a, f := &r.address, r.form
	m := scopePattern.FindStringSubmatch(r.whole)
	kind := ""
	if m != nil {
		a.Model, kind = "gemma-"+scopeModel(r.whole)+"-"+m[1], m[2]
		a.PrependBOS, a.Context = Yes, 1024
	}
	if embeddingPattern.MatchString(r.whole + "/") {
		a.setHook(string(hooks.Embeddings))
		r.scaleEmbedding()
		return nil
	}
	l := layerPattern.FindAllStringSubmatch(r.whole, -1)
	if l == nil {
		return nil
	}
	if k := kindPattern.FindStringSubmatch(r.whole); k != nil {
		kind = k[1]
	}
	layer := l[len(l)-1][1]
	switch kind {
	case "res", "resid_post":
		a.setHook("blocks." + layer + ".hook_resid_post")
	case "mlp", "mlp_out":
		a.setHook("blocks." + layer + ".hook_mlp_out")
	case "att", "attn_out":
		a.setHook("blocks." + layer + ".attn.hook_z")
	case "transcoder", "clt": // of normed inputs, by the module's name in config.json
		f.OneWay = true
		a.setHook("blocks." + layer + ".mlp.hook_in")
		a.setOut("blocks." + layer + ".hook_mlp_out")
	case "transcoders":
		f.OneWay = true
		a.Hook = "blocks." + layer + ".ln2.hook_normalized"
		a.setOut("blocks." + layer + ".hook_mlp_out")
		r.warn("a Gemma Scope transcoder reads the MLP's normed input: mlp_in.%s if it was trained behind the norm's weight; name the site", layer)
	default:
		a.Hook = filepath.Base(r.folder)
		r.warn("the folders' names say layer %s, not whether the residual stream, the MLP or the attention is meant (width %d)", layer, f.In)
	}
	return r.gemmaConfig()
}

// gemmaConfig reads the modules' names that Gemma Scope 2 keeps in config.json, for folders out of their place.
func (r *reader) gemmaConfig() error {
	if r.firstOf("config.json") == "" {
		return nil
	}
	cfg, err := readJSON(r.file("config.json"))
	if err != nil {
		return err
	}
	if a := cfg.str("architecture"); a != "" && a != "jump_relu" {
		return cfg.fault("architecture", "jump_relu")
	}
	if cfg.str("hf_hook_point_out") != "" {
		r.form.OneWay = true
	}
	if r.address.Site.Point != "" {
		return nil
	}
	r.address.setModule(cfg.str("hf_hook_point_in"), cfg.str("hf_hook_point_out"))
	return nil
}

func scopeModel(path string) string {
	if strings.Contains(path, "gemma-scope-2-") && !strings.Contains(path, "gemma-scope-2b") {
		return "3"
	}
	return "2"
}

// scaleEmbedding makes an embedding SAE work on scaled embeddings: it was trained on embeddings less Gemma's factor √d.
func (r *reader) scaleEmbedding() {
	f := r.form
	root := float32(math.Sqrt(float64(f.In)))
	for i := range f.Enc {
		f.Enc[i] /= root
	}
	for i := range f.Dec {
		f.Dec[i] *= root
	}
}
