// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"cmp"
	"regexp"
	"strings"
)

var (
	singleLayerPattern = regexp.MustCompile(`^layer_(\d+)\.safetensors$`)
	crossLayerPattern  = regexp.MustCompile(`^W_(enc|dec)_(\d+)\.safetensors$`)
)

// circuitLayer returns the layer of a file of a transcoder set as circuit-tracer reads it (safety-research/circuit-tracer): layer_N.safetensors of
// single-layer transcoders, or W_enc_N.safetensors with W_dec_N.safetensors of cross-layer ones; "" for other files.
func (r *reader) circuitLayer(name string) string {
	if m := crossLayerPattern.FindStringSubmatch(name); m != nil {
		return m[2]
	}
	m := singleLayerPattern.FindStringSubmatch(name)
	if m == nil || !r.w.has("W_enc") {
		return ""
	}
	if strings.Contains(r.whole, "transcoder") || r.firstOf("wandb-config.yaml", "wanb-config.yaml") != "" {
		return m[1]
	}
	if meta, err := readFlatYAML(r.file("config.yaml")); err == nil && strings.Contains(meta.str("model_kind"), "transcoder") {
		return m[1]
	}
	return ""
}

// circuit reads one layer of a transcoder set: W_enc [n, d], W_dec [n, d] or [n, layers, d], ReLU or JumpReLU, no pre-bias and no norm.
func (r *reader) circuit(name string) (err error) {
	r.format = "transcoder set"
	layer, f := r.circuitLayer(name), r.form
	if crossLayerPattern.MatchString(name) {
		if err := r.joinHalves(name, layer); err != nil {
			return err
		}
	}
	r.w.rename("activation_function.threshold", "threshold")
	f.OneWay = true
	if f.N, f.In, err = r.w.dims("W_enc"); err != nil {
		return err
	}
	if f.Out, err = r.w.size("b_dec"); err != nil {
		return err
	}
	if f.Enc, err = r.matrix("W_enc", f.N, f.In, false); err != nil {
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
	return r.circuitPlace(layer)
}

// joinHalves brings the encoder's and the decoder's file together, whichever of them was named.
func (r *reader) joinHalves(name, layer string) error {
	enc, dec := "W_enc_"+layer+".safetensors", "W_dec_"+layer+".safetensors"
	other := dec
	if name == dec {
		other = enc
	}
	if r.firstOf(other) == "" {
		return r.fault("folder", other+" beside "+name, "none", "fetch it from where the other comes from")
	}
	if err := r.w.join(r.file(other)); err != nil {
		return err
	}
	for _, t := range []string{"W_enc", "W_dec", "b_enc", "b_dec", "threshold"} {
		r.w.rename(t+"_"+layer, t)
	}
	return nil
}

func (r *reader) circuitPlace(layer string) error {
	meta := config{path: r.file("config.yaml")}
	if r.firstOf("config.yaml") != "" {
		var err error
		if meta, err = readFlatYAML(r.file("config.yaml")); err != nil {
			return err
		}
	}
	a, block := &r.address, "blocks."+layer+"."
	a.Model = meta.str("model_name")
	a.setModule(block+cmp.Or(meta.str("feature_input_hook"), "mlp.hook_in"), block+cmp.Or(meta.str("feature_output_hook"), "hook_mlp_out"))
	return nil
}
