// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// sparsify reads a folder of EleutherAI's sparsify (sparsify/sparse_coder.py). Its name is the module it was trained on.
func (r *reader) sparsify() error {
	r.format = "EleutherAI sparsify"
	cfg, err := readJSON(r.file("cfg.json"))
	if err != nil {
		return err
	}
	if err := r.load("sae.safetensors"); err != nil {
		return err
	}
	r.w.rename("W_enc", "encoder.weight", "b_enc", "encoder.bias", "decoder.bias", "b_dec")
	if err := r.sparsifySizes(cfg); err != nil {
		return err
	}
	transcode, err := cfg.flag("transcode", false)
	if err != nil {
		return err
	}
	if err := r.sparsifyWeights(transcode); err != nil {
		return err
	}
	skip, err := cfg.flag("skip_connection", false)
	if err == nil && skip && r.form.Skip == nil {
		_, err = r.w.get("W_skip")
	}
	if err != nil {
		return err
	}
	r.sparsifyPlace(transcode)
	return r.sparsifyActivation(cfg)
}

func (r *reader) sparsifySizes(cfg config) (err error) {
	f := r.form
	if f.In, err = cfg.integer("d_in", 1, 0); err != nil {
		return err
	}
	if f.In == 0 {
		return cfg.fault("d_in", "the activation's width")
	}
	factor, err := cfg.integer("expansion_factor", 1, 32)
	if err != nil {
		return err
	}
	if f.N, err = cfg.integer("num_latents", 0, 0); err != nil {
		return err
	}
	if f.N == 0 {
		f.N = f.In * factor
	}
	f.Out = f.In
	return nil
}

func (r *reader) sparsifyWeights(transcode bool) (err error) {
	f := r.form
	if f.Enc, err = r.matrix("encoder.weight", f.N, f.In, false); err != nil {
		return err
	}
	if f.EncBias, err = r.w.optional("encoder.bias", f.N); err != nil {
		return err
	}
	name, transposed := "W_dec", false
	if r.w.has("decoder.weight") {
		name, transposed = "decoder.weight", true
	}
	if f.Dec, err = r.matrix(name, f.N, f.Out, transposed); err != nil {
		return err
	}
	if f.DecBias, err = r.w.optional("b_dec", f.Out); err != nil {
		return err
	}
	f.OneWay = transcode
	if !transcode {
		f.PreSub = f.DecBias
	}
	if r.w.has("W_skip") {
		f.Skip, err = r.matrix("W_skip", f.Out, f.In, false)
	}
	return err
}

func (r *reader) sparsifyActivation(cfg config) (err error) {
	a := &r.form.Act
	a.Kind = TopK
	switch name := cfg.str("activation"); name {
	case "", "topk":
	case "groupmax":
		a.Kind = GroupMax
	default:
		return cfg.fault("activation", "topk or groupmax")
	}
	signed, err := cfg.flag("signed", false)
	if err != nil {
		return err
	}
	if signed && a.Kind == TopK {
		a.Kind = AbsTopK
	}
	a.K, err = cfg.integer("k", 1, 32)
	return err
}

func (r *reader) sparsifyPlace(transcode bool) {
	a := &r.address
	a.setHook(path.Base(r.folderPath()))
	if transcode && a.Site.Point == hooks.MLPOut {
		a.Site.Point = hooks.MLPIn // a module's transcoder reads the module's input
	}
	if parent, err := readJSON(filepath.Join(r.folder, "..", "config.json")); err == nil {
		a.Model = parent.str("model")
	}
}

// folderPath is the path from the root of the folder that holds the files, with slashes.
func (r *reader) folderPath() string {
	if strings.HasSuffix(r.whole, "/"+filepath.Base(r.folder)) || r.folder == r.path {
		return r.whole
	}
	return path.Dir(r.whole)
}
