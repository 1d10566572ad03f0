// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// libraryCase is a dictionary of 4 features and width 3, with what the library that reads such files makes of libraryRows: the codes, the
// reconstruction, and the row plus what setting feature 1 to 2 changes (for a transcoder the reconstruction plus that).
// The numbers come from sae-lens 6.54.12 and overcomplete 0.3.0 in double precision.
type libraryCase struct {
	name    string
	path    string
	files   map[string]any
	opt     Options
	address string
	codes   []float32
	recon   []float32
	edited  []float32
}

func libraryRows() [][]float32 { return [][]float32{{1.5, -.5, 2}, {-1, 1.25, .5}, {.25, -2, -1}} }

func libraryCases(t *testing.T) []libraryCase {
	enc := []float32{1, .5, -.25, -.5, 1, .75, .25, -1, .5, .75, .25, 1}
	dec := []float32{.5, .5, -.5, -1, .5, .25, .25, -.75, 1, 1, 0, .5}
	side := []float32{.5, .5, -.5, .25, 0, 0, -1, .5, .25, 0, .5, 0, .25, -.75, 1, 0, 0, -.25, 1, 0, .5, .5, .5, .5} // dec and a second layer's
	unit := []float32{.6, .8, 0, 0, -.6, .8, -.8, 0, .6, 0, 0, 1}
	bEnc, bDec := mat("b_enc", []float32{.125, -.25, .25, 0}, 4), mat("b_dec", []float32{.25, -.125, .5}, 3)
	threshold := mat("threshold", []float32{.5, -.25, .75, .25}, 4)
	wide := func(name string, m []float32) entry { return mat(name, transpose(m, 4, 3), 3, 4) } // [3, 4] of [4, 3]
	plain := []entry{wide("W_enc", enc), mat("W_dec", dec, 4, 3), bEnc, bDec}
	named := func(e entry, name string) entry { e.name = name; return e }
	type m = map[string]any
	six := m{"sae_lens_version": "6.30.0", "hook_name": "blocks.2.hook_resid_post"}
	scope := func(more ...entry) []entry {
		return append([]entry{wide("w_enc", enc), bEnc, bDec, threshold}, more...)
	}
	layer := []entry{mat("encoder.final_block.0.weight", enc, 4, 3), named(bEnc, "encoder.final_block.0.bias")}
	overcomplete := func(more ...entry) []byte { return torchFile(t, append(slices.Clone(layer), more...)) }
	one := func(name string, v float32) entry { return entry{name: name, data: []float32{v}} }
	four := func(name string, v ...float32) entry { return mat(name, v, 4) }
	return []libraryCase{
		{
			name: "Qwen Scope", path: "SAE-Res-Qwen3-1.7B-Base-W32K-L0_2/layer7.sae.pt",
			files:   m{"SAE-Res-Qwen3-1.7B-Base-W32K-L0_2/layer7.sae.pt": torchFile(t, []entry{mat("W_enc", enc, 4, 3), wide("W_dec", dec), bEnc, bDec})},
			address: "resid_post.7, of Qwen/Qwen3-1.7B-Base, begin token first",
			codes:   []float32{0, 0, 2.125, 3, 0, 1.875, 0, 0.0625, 0, 0, 1.8125, 0},
			recon:   []float32{3.78125, -1.71875, 4.125, -1.5625, 0.8125, 1, 0.703125, -1.484375, 2.3125},
			edited:  []float32{-0.5, 0.5, 2.5, -1.125, 1.3125, 0.53125, -1.75, -1, -0.5},
		},
		{
			name: "transcoder set", path: "qwen3-4b-transcoders/layer_3.safetensors",
			files: m{
				"qwen3-4b-transcoders/layer_3.safetensors": []entry{mat("W_enc", enc, 4, 3), mat("W_dec", dec, 4, 3), bEnc, bDec},
				"qwen3-4b-transcoders/config.yaml":         []byte("model_name: Qwen/Qwen3-4B\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"),
			},
			address: "mlp_in.3 to mlp_out.3, of Qwen/Qwen3-4B",
			codes:   []float32{0.875, 0, 2.125, 3, 0, 1.875, 0, 0.0625, 0, 0, 1.8125, 0},
			recon:   []float32{4.21875, -1.28125, 3.6875, -1.5625, 0.8125, 1, 0.703125, -1.484375, 2.3125},
			edited:  []float32{2.21875, -0.28125, 4.1875, -1.6875, 0.875, 1.03125, -1.296875, -0.484375, 2.8125},
		},
		{
			name: "cross-layer transcoder in two files", path: "W_enc_5.safetensors",
			files: m{
				"W_enc_5.safetensors": []entry{mat("W_enc_5", enc, 4, 3), named(bEnc, "b_enc_5"), named(bDec, "b_dec_5")},
				"W_dec_5.safetensors": []entry{mat("W_dec_5", side, 4, 2, 3)},
				"config.yaml":         []byte("model_name: google/gemma-2-2b\nmodel_kind: cross_layer_transcoder\nfeature_input_hook: hook_resid_mid\nfeature_output_hook: hook_mlp_out\n"),
			},
			address: "resid_mid.5 to mlp_post.5, of google/gemma-2-2b",
			codes:   []float32{0.875, 0, 2.125, 3, 0, 1.875, 0, 0.0625, 0, 0, 1.8125, 0},
			recon:   []float32{5.9375, 0.21875, 4.65625, -1.53125, 1.78125, 1.03125, 0.703125, -1.484375, 1.859375},
			edited:  []float32{3.9375, 2.21875, 5.15625, -1.65625, 1.90625, 1.0625, -1.296875, 0.515625, 2.359375},
		},
		{
			name: "Gemma Scope 2 transcoder", path: "gemma-scope-2-4b-pt/transcoder_all/layer_9_width_16k_l0_big_affine",
			files: m{"gemma-scope-2-4b-pt/transcoder_all/layer_9_width_16k_l0_big_affine/params.safetensors": scope(
				mat("w_dec", dec, 4, 3), mat("affine_skip_connection", []float32{.5, .125, 0, 0, 1, -.5, -.25, 0, .25}, 3, 3))},
			address: "mlp_in.9 to mlp_post.9, of gemma-3-4b-pt, begin token first",
			codes:   []float32{0.875, 0, 2.125, 3, 0, 1.875, 0, 0, 0, 0, 1.8125, 0},
			recon:   []float32{4.46875, -1.59375, 4.4375, -2.25, 1.9375, 0.46875, 1.078125, -3.453125, 3.0625},
			edited:  []float32{2.46875, -0.59375, 4.9375, -2.375, 2, 0.5, -0.921875, -2.453125, 3.5625},
		},
		{
			name: "Gemma Scope 2 cross-layer transcoder", path: "gemma-scope-2-4b-pt/clt/width_262k_l0_big/params_layer_9.safetensors",
			files:   m{"gemma-scope-2-4b-pt/clt/width_262k_l0_big/params_layer_9.safetensors": scope(mat("w_dec", side, 4, 2, 3))},
			address: "mlp_in.9 to mlp_post.9, of gemma-3-4b-pt, begin token first",
			codes:   []float32{0.875, 0, 2.125, 3, 0, 1.875, 0, 0, 0, 0, 1.8125, 0},
			recon:   []float32{5.9375, 0.21875, 4.65625, -1.625, 1.75, 0.96875, 0.703125, -1.484375, 1.859375},
			edited:  []float32{3.9375, 2.21875, 5.15625, -1.75, 1.875, 1, -1.296875, 0.515625, 2.359375},
		},
		{
			name: "SAELens 4 with two k", files: m{
				"cfg.json":                m{"d_in": 3, "d_sae": 4, "architecture": "topk", "hook_name": "blocks.2.hook_resid_post", "k": 1, "activation_fn_kwargs": m{"k": 2}},
				"sae_weights.safetensors": plain,
			},
			address: "resid_post.2, begin token first",
			codes:   []float32{0, 0, 1.6875, 2.34375, 0, 1.75, 0, 0, 0, 0, 1.375, 0},
			recon:   []float32{3.015625, -1.390625, 3.359375, -1.5, 0.75, 0.9375, 0.59375, -1.15625, 1.875},
			edited:  []float32{-0.5, 0.5, 2.5, -1.25, 1.375, 0.5625, -1.75, -1, -0.5},
		},
		{
			name: "SAELens in two files", path: "sae_weights.safetensors.index.json", files: m{
				"cfg.json":                           m{"d_in": 3, "d_sae": 4, "metadata": six},
				"sae_weights.safetensors.index.json": m{"weight_map": m{"W_enc": "a.safetensors", "W_dec": "a.safetensors", "b_enc": "b.safetensors", "b_dec": "b.safetensors"}},
				"a.safetensors":                      plain[:2], "b.safetensors": plain[2:],
			},
			address: "resid_post.2, begin token first",
			codes:   []float32{0.8125, 0, 1.6875, 2.34375, 0, 1.75, 0, 0, 0, 0, 1.375, 0},
			recon:   []float32{3.421875, -0.984375, 2.953125, -1.5, 0.75, 0.9375, 0.59375, -1.15625, 1.875},
			edited:  []float32{-0.5, 0.5, 2.5, -1.25, 1.375, 0.5625, -1.75, -1, -0.5},
		},
		{
			name: "SAELens pursuit with a constant", opt: Options{ActivationScale: .5}, files: m{
				"cfg.json": m{
					"d_in": 3, "d_sae": 4, "architecture": "matching_pursuit", "max_iterations": 2, "residual_threshold": .4,
					"normalize_activations": "expected_average_only_in", "metadata": six,
				},
				"sae_weights.safetensors": []entry{mat("W_dec", unit, 4, 3), bDec},
			},
			address: "resid_post.2, begin token first",
			codes:   []float32{0.4, 0, 0, 1, 0.732, 0, 0.9, 0, 0, 0, 0, 0},
			recon:   []float32{0.74, 0.07, 2, 0.2192, 0.3356, 1.54, 0.5, -0.25, 1},
			edited:  []float32{1.5, -1.7, 3.6, -1, 0.05, 2.1, 0.25, -3.2, 0.6},
		},
		{
			name: "SAELens batch top-k in training", files: m{
				"cfg.json":                m{"d_in": 3, "d_sae": 4, "architecture": "batchtopk", "k": 2, "rescale_acts_by_decoder_norm": true, "metadata": six},
				"sae_weights.safetensors": append(slices.Clone(plain), one("topk_threshold", .75)),
			},
			address: "resid_post.2, begin token first",
			codes:   []float32{0, 0, 2.151149, 2.620392, 0, 2.004877, 0, 0, 0, 0, 1.752788, 0},
			recon:   []float32{3.015625, -1.390625, 3.359375, -1.5, 0.75, 0.9375, 0.59375, -1.15625, 1.875},
			edited:  []float32{-0.245743, 0.3728715, 2.436436, -0.9957431, 1.247872, 0.4989358, -1.495743, -1.127128, -0.5635642},
		},
		{
			name: "overcomplete TopKSAE", opt: Options{K: 2}, files: m{
				"sae.pt": overcomplete(mat("dictionary._weights", dec, 4, 3), one("dictionary.multiplier", .5)),
			},
			codes:  []float32{0, 0, 2.125, 3, 0, 1.875, 0, 0.0625, 0, 0, 1.8125, 0},
			recon:  []float32{5.111083, -2.061298, 4.960389, -2.606187, 1.349177, 0.7206715, 0.5860553, -1.758166, 2.344221},
			edited: []float32{-1.378244, 0.9391219, 2.719561, -1.17989, 1.339945, 0.5449726, -2.628244, -0.5608781, -0.2804391},
		},
		{
			name: "overcomplete JumpSAE with a batch norm", files: m{
				"sae.pt": overcomplete(
					four("thresholds", -1, -2, -.5, -3), mat("dictionary._weights", dec, 4, 3), one("dictionary.multiplier", 0), one("encoder.final_block.1.num_batches_tracked", 9),
					four("encoder.final_block.1.running_mean", .25, 0, -.5, .125), four("encoder.final_block.1.running_var", .5, 1, 2, .25),
					four("encoder.final_block.1.weight", 1, .5, 1.5, 2), four("encoder.final_block.1.bias", 0, .5, -.25, .125),
				),
			},
			codes:  []float32{0.8838746, 0.5, 2.534226, 11.62477, 0, 1.437495, 0, 0, 0, 0, 2.202771, 0},
			recon:  []float32{10.96838, -0.7624847, 6.785569, -1.254749, 0.6273744, 0.3136872, 0.4319988, -1.295997, 1.727995},
			edited: []float32{0.1906927, 0.1546537, 2.327327, -1.490994, 1.495497, 0.6227486, -1.495743, -1.127128, -0.5635642},
		},
		{
			name: "overcomplete archetypes", files: m{
				"config.json": m{"class": "RATopKSAE", "top_k": 2}, "sae.pt": overcomplete(
					mat("dictionary.C", unit[:9], 3, 3), mat("dictionary.W", []float32{1, .5, 0, 0, -1, 2, .25, .25, .5, 0, 0, 3}, 4, 3),
					mat("dictionary.Relax", []float32{.25, 0, 0, 1.5, 0, 2, 0, 0, 0, 0, -.5, 0}, 4, 3), one("dictionary.multiplier", 0)),
			},
			codes:  []float32{0, 0, 2.125, 3, 0, 1.875, 0, 0.0625, 0, 0, 1.8125, 0},
			recon:  []float32{-2.93125, -1.39375, 2.8625, -0.425, -0.03125, 2.6625, -0.453125, 0.090625, 0.90625},
			edited: []float32{1.1, -0.5, 4.8, -1.025, 1.25, 0.675, -0.15, -2, 1.8},
		},
	}
}

// TestLibraries holds what reading published files gives in the libraries that read them.
func TestLibraries(t *testing.T) {
	const tolerance = 1e-6 // relative to the largest; the numbers have seven digits
	for _, c := range libraryCases(t) {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, filepath.Join(folder(t, c.files), filepath.FromSlash(c.path)), c.opt)
			if got := d.Address.String(); c.address != "" && got != c.address {
				t.Errorf("address %q, want %q", got, c.address)
			}
			set, err := ParseEdit("1=2")
			if err != nil {
				t.Fatal(err)
			}
			edits, err := d.Edits(set)
			if err != nil {
				t.Fatal(err)
			}
			var codes, recon, edited []float32
			coder := d.NewCoder()
			for _, x := range libraryRows() {
				code := coder.Encode(nil, x)
				y := make([]float32, 3)
				d.Decode(y, code, x)
				codes, recon = append(codes, dense(code, 4)...), append(recon, y...)
				h := slices.Clone(x)
				if d.Transcodes() {
					h = slices.Clone(y)
				}
				d.Edit(h, code, x, edits)
				edited = append(edited, h...)
			}
			if !sameSupport(codes, c.codes) {
				t.Errorf("codes %v, want %v", codes, c.codes)
			}
			for _, p := range [][2][]float32{{codes, c.codes}, {recon, c.recon}, {edited, c.edited}} {
				if e := worst(t, p[0], p[1]); !(e <= tolerance) || math.IsNaN(e) {
					t.Errorf("off by %.2g\n got %v\nwant %v", e, p[0], p[1])
				}
			}
		})
	}
}

// TestSumsAreNamed holds that a reader is told what a sum of decoders is good for.
func TestSumsAreNamed(t *testing.T) {
	for _, c := range libraryCases(t) {
		if !strings.Contains(c.name, "cross-layer") {
			continue
		}
		d := open(t, filepath.Join(folder(t, c.files), filepath.FromSlash(c.path)), c.opt)
		if w := strings.Join(d.Warnings(), "\n"); !strings.Contains(w, "writes to 2 layers") {
			t.Errorf("%s: warnings %q", c.name, w)
		}
	}
}
