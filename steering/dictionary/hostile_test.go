// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaultyFolders holds that what is wrong is named: file, thing, what was wanted, what was found.
func TestFaultyFolders(t *testing.T) {
	s := tinySAE()
	saelens := func(more map[string]any, weights []entry) map[string]any {
		cfg := map[string]any{"d_in": tinyIn, "d_sae": tinyN, "architecture": "standard", "metadata": map[string]any{"hook_name": "blocks.0.hook_resid_post"}}
		maps.Copy(cfg, more)
		return map[string]any{"cfg.json": cfg, "sae_weights.safetensors": weights}
	}
	set := func(key string, v any) map[string]any { return map[string]any{key: v} }
	sparse := []entry{mat("encoder.weight", s.enc, tinyN, tinyIn), mat("encoder.bias", s.bEnc, tinyN), mat("W_dec", s.dec, tinyN, tinyIn), mat("b_dec", s.bDec, tinyIn)}
	for _, tc := range []struct {
		name  string
		files map[string]any
		want  string
	}{
		{"nothing", map[string]any{"readme": []byte("x")}, "want the files of a sparse dictionary, found a folder with readme"},
		{"folders of dictionaries", map[string]any{"layers.0/cfg.json": []byte("{}"), "layers.1/cfg.json": []byte("{}")}, "name one of the folders layers.0, layers.1"},
		{"two files", map[string]any{"a.pt": []byte("x"), "b.pt": []byte("x")}, "name one of the files a.pt, b.pt"},
		{"weights alone", map[string]any{"sae_weights.safetensors": s.plain()}, "want cfg.json beside the weights, found none"},
		{"no JSON", map[string]any{"cfg.json": []byte("{"), "sae_weights.safetensors": s.plain()}, "want a JSON object"},
		{"architecture", saelens(set("architecture", "temporal"), s.plain()), "architecture: want one of standard,"},
		{"norm", saelens(set("normalize_activations", "odd"), s.plain()), "normalize_activations: want none, expected_average_only_in"},
		{"activation", saelens(set("activation_fn_str", "gelu"), s.plain()), "activation_fn_str: want relu, tanh-relu or topk"},
		{"size", saelens(set("d_sae", 1<<30), s.plain()), "tensor W_enc: want shape [10 1073741824], found [10 26]"},
		{"size a fraction", saelens(set("d_sae", 2.5), s.plain()), "d_sae: want a whole number of at least 1, found 2.5"},
		{"size negative", saelens(set("d_in", -4), s.plain()), "d_in: want a whole number of at least 1, found -4"},
		{"flag", saelens(set("apply_b_dec_to_input", "yes"), s.plain()), "apply_b_dec_to_input: want true or false, found yes"},
		{"missing tensor", saelens(nil, s.plain()[1:]), "tensors: want W_enc, found W_dec, b_dec, b_enc"},
		{"missing threshold", saelens(set("architecture", "jumprelu"), s.plain()), "tensors: want threshold"},
		{"top-k without k", saelens(set("architecture", "topk"), s.plain()), "k: want a number of features to keep, found nothing"},
		{"a transcoder's bias subtracted", saelens(map[string]any{"architecture": "transcoder", "apply_b_dec_to_input": true}, s.plain()), "false for a transcoder"},
		{"scaling factor without its flag", saelens(nil, s.plain(mat("scaling_factor", constant(tinyN, 2), tinyN))), "finetuning_scaling_factor true in the configuration"},
		{"whole numbers", map[string]any{"cfg.json": set("d_in", tinyIn), "sae.safetensors": sparse[1:]}, "tensors: want encoder.weight"},
		{"sparsify without width", map[string]any{"cfg.json": set("k", 5), "sae.safetensors": sparse}, "d_in: want the activation's width, found nothing"},
		{"sparsify activation", map[string]any{"cfg.json": map[string]any{"d_in": tinyIn, "num_latents": tinyN, "activation": "softmax"}, "sae.safetensors": sparse}, "activation: want topk or groupmax"},
		{"groups that do not divide", map[string]any{"cfg.json": map[string]any{"d_in": tinyIn, "num_latents": tinyN, "activation": "groupmax", "k": 5}, "sae.safetensors": sparse}, "groups that divides 26 features"},
		{"params without b_dec", map[string]any{"params.npz": npzFile(t, zip.Store, s.plain()[:3])}, "tensors: want b_dec"},
		{"Llama Scope without weights", map[string]any{"hyperparams.json": []byte("{}")}, "checkpoints/final.safetensors beside hyperparams.json"},
		{"Llama Scope without norms", map[string]any{
			"hyperparams.json": map[string]any{"d_model": tinyIn, "act_fn": "jumprelu", "norm_activation": "dataset-wise"}, "checkpoints/final.safetensors": s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("decoder.bias", s.bDec, tinyIn)),
		}, "dataset_average_activation_norm.in: want the average norm"},
		{"sigmoid gates", map[string]any{
			"hyperparams.json": map[string]any{"use_glu_encoder": true}, "checkpoints/final.safetensors": s.plain(),
		}, "use_glu_encoder: want false"},
		{"crosscoder", map[string]any{"config.json": map[string]any{"d_model": tinyIn, "sae_type": "crosscoder"}, "sae_weights.safetensors": s.plain()}, "sae_type: want sae"},
		{"a whole module", map[string]any{"x.pt": torchModule(t)}, `"__main__.SAE", which is never called`},
		{"a model", map[string]any{"x.pt": torchFile(t, []entry{mat("lm_head.weight", s.enc, tinyN, tinyIn)})}, "want the names of a known dictionary, found lm_head.weight"},
		{"overcomplete without k", map[string]any{"x.pt": torchFile(t, []entry{mat("dictionary._weights", s.dec, tinyN, tinyIn)})}, "give k"},
		{"Goodfire top-k without k", map[string]any{"topk_sae.pt": torchFile(t, s.linear("encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight", mat("decoder_linear.bias", s.bDec, tinyIn)))}, "give k"},
		{"a k that the weights have otherwise", map[string]any{
			"config.json": map[string]any{"trainer": map[string]any{"dict_class": "AutoEncoderTopK", "k": 7}},
			"ae.pt":       torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("b_dec", s.bDec, tinyIn), entry{name: "k", plain: 5}, entry{name: "threshold", data: []float32{-1}})),
		}, "trainer.k: want 5, as the weights have it, found 7: give k"},
		{"dictionary_learning's size", map[string]any{
			"config.json": map[string]any{"trainer": map[string]any{"dict_class": "AutoEncoderNew", "dict_size": 27}},
			"ae.pt":       torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("decoder.bias", s.bDec, tinyIn))),
		}, "trainer.dict_size: want 26, as the weights have it, found 27"},
		{"an identity", map[string]any{"config.json": map[string]any{"trainer": map[string]any{"dict_class": "IdentityDict"}}, "ae.pt": torchFile(t, nil)}, "dict_class: want a dictionary of one activation, found IdentityDict"},
		{"a crosscoder of dictionary_learning", map[string]any{
			"config.json": map[string]any{"trainer": map[string]any{"dict_class": "BatchTopKCrossCoder"}}, "ae.pt": torchFile(t, nil),
		}, "dict_class: want a dictionary of one activation, found BatchTopKCrossCoder"},
		{"a crosscoder without configuration", map[string]any{"ae.pt": torchFile(t, []entry{mat("encoder.weight", s.enc, 2, tinyIn, tinyN/2)})}, "shape [2 10 13], as a crosscoder has it"},
		{"a trainer that is a list", map[string]any{"config.json": map[string]any{"trainer": []int{1}}, "ae.pt": torchFile(t, s.plain())}, "trainer: want an object"},
		{"k above the features", saelens(map[string]any{"architecture": "topk", "k": 27}, s.plain()), "k: want at most 26, the number of features, found 27"},
		{"architecture as a number", saelens(set("architecture", 5), s.plain()), "architecture: want a string, found 5"},
		{"another reshaping", saelens(set("reshape_activations", "odd"), s.plain()), "reshape_activations: want none or hook_z, found odd"},
		{"null", map[string]any{"cfg.json": []byte("null"), "sae_weights.safetensors": s.plain()}, "want a JSON object, found null"},
		{"sparsify without its skip", map[string]any{"cfg.json": map[string]any{"d_in": tinyIn, "num_latents": tinyN, "k": 3, "skip_connection": true}, "sae.safetensors": sparse}, "tensors: want W_skip"},
		{"Gemma Scope without thresholds", map[string]any{"params.npz": npzFile(t, zip.Store, s.plain())}, "tensors: want threshold"},
		{"Llama Scope's size", map[string]any{
			"hyperparams.json": map[string]any{"d_model": tinyIn, "d_sae": 27, "act_fn": "relu"}, "checkpoints/final.safetensors": s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("decoder.bias", s.bDec, tinyIn)),
		}, "d_sae: want 26, as the weights have it, found 27"},
		{"ITDA's width", map[string]any{"itda.safetensors": []entry{mat("atoms", s.dec, tinyN, tinyIn)}, "metadata.yaml": []byte("activation_dim: 11\n")}, "activation_dim: want 10, as the weights have it, found 11"},
		{"a temporal SAE", map[string]any{"latest_ckpt.safetensors": []entry{mat("D", s.dec, tinyN, tinyIn), mat("b", s.bDec, tinyIn)}}, "a temporal SAE, which needs the whole context"},
		{"Qwen Scope without k", map[string]any{"layer3.sae.pt": torchFile(t, []entry{mat("W_enc", s.enc, tinyN, tinyIn), mat("W_dec", turn(s.dec), tinyIn, tinyN), mat("b_enc", s.bEnc, tinyN), mat("b_dec", s.bDec, tinyIn)})}, "give k"},
		{"half of a cross-layer transcoder", map[string]any{"W_enc_3.safetensors": []entry{mat("W_enc_3", s.enc, tinyN, tinyIn)}}, "want W_dec_3.safetensors beside W_enc_3.safetensors"},
		{"overcomplete's quantised codes", map[string]any{"x.pt": torchFile(t, []entry{mat("Q", s.bDec, tinyIn), mat("dictionary._weights", s.dec, tinyN, tinyIn)})}, "found QSAE"},
		{"overcomplete's class", map[string]any{"x.pt": torchFile(t, []entry{mat("encoder.weight", s.enc, tinyN, tinyIn), mat("dictionary._weights", s.dec, tinyN, tinyIn)})}, "give k where it is TopKSAE"},
		{"overcomplete's layer norm", map[string]any{"x.pt": torchFile(t, []entry{
			mat("encoder.final_block.0.weight", s.enc, tinyN, tinyIn), mat("encoder.final_block.1.weight", s.bEnc, tinyN), mat("dictionary._weights", s.dec, tinyN, tinyIn),
		})}, "want an encoder of one linear layer"},
		{"overcomplete's threshold", map[string]any{"config.json": set("class", "BatchTopKSAE"), "x.pt": torchFile(t, []entry{mat("encoder.weight", s.enc, tinyN, tinyIn), mat("dictionary._weights", s.dec, tinyN, tinyIn)})}, "running_threshold: want the threshold"},
		{"a name with a control character", map[string]any{"x.pt": torchFile(t, []entry{mat("a\x1b[2Jb", s.enc, tinyN, tinyIn)})}, `found "a\x1b[2Jb"`},
		{"vector as matrix", map[string]any{"x.pt": torchFile(t, []entry{mat("encoder_linear.weight", s.bEnc, tinyN)})}, "tensor encoder.weight: want a matrix, found shape [26]"},
		{"k of a half", map[string]any{"ae.pt": torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("b_dec", s.bDec, tinyIn), entry{name: "k", data: []float32{2.5}}))}, "tensor k: want a whole number above 0, found 2.5"},
		{"ITDA sources", map[string]any{"itda.safetensors": []entry{mat("atoms", s.dec, tinyN, tinyIn), mat("atom_indices", s.bEnc, tinyN)}, "metadata.yaml": []byte("k: 3\n")}, "tensor atom_indices: want a matrix"},
		{"ITDA k", map[string]any{"itda.safetensors": []entry{mat("atoms", s.dec, tinyN, tinyIn)}, "metadata.yaml": []byte("k: three\n")}, "k: want a whole number of at least 1, found three"},
		{"ITDA of the future", map[string]any{"itda.safetensors": []entry{mat("atoms", s.dec, tinyN, tinyIn)}, "itda.json": map[string]any{"format": "trimtab-itda-9"}}, "a later version of trimtab"},
		{"atoms that are not a number", map[string]any{"itda.safetensors": []entry{mat("atoms", []float32{1, nanValue(), 0, 1}, 2, 2)}, "metadata.yaml": []byte("k: 1\n")}, "decoder: want finite numbers, found NaN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Open(folder(t, tc.files), Options{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open = %v, want an error with %q", err, tc.want)
			}
		})
	}
	var format *FormatError
	if _, err := Open(folder(t, saelens(set("architecture", "odd"), s.plain())), Options{}); !errors.As(err, &format) || filepath.Base(format.Path) != "cfg.json" || format.What != "architecture" {
		t.Errorf("Open = %#v, want a *FormatError of cfg.json's architecture", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of nothing = %v, want os.ErrNotExist", err)
	}
}

func nanValue() float32 {
	zero := float32(0)
	return zero / zero
}

// torchModule is what torch.save(sae) writes instead of torch.save(sae.state_dict()).
func torchModule(t testing.TB) []byte {
	p := &pickler{}
	p.WriteString("\x80\x02c__main__\nSAE\n)\x81}b.")
	return torchArchive(t, p)
}

// fuzzLayouts are folders whose configuration is fuzzed; the weights stay.
func fuzzLayouts(t testing.TB) []struct {
	config string
	files  map[string]any
} {
	s := tinySAE()
	half := s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("b_dec", s.bDec, tinyIn), entry{name: "k", data: []float32{5}}, entry{name: "threshold", data: []float32{0.5}})
	return []struct {
		config string
		files  map[string]any
	}{
		{"cfg.json", map[string]any{"sae_weights.safetensors": s.plain(
			mat("threshold", s.threshold, tinyN), mat("b_gate", s.bEnc, tinyN), mat("b_mag", s.bEnc, tinyN), mat("r_mag", s.bEnc, tinyN), mat("W_skip", s.enc[:100], tinyIn, tinyIn))}},
		{"cfg.json", map[string]any{"sae.safetensors": []entry{mat("encoder.weight", s.enc, tinyN, tinyIn), mat("encoder.bias", s.bEnc, tinyN), mat("W_dec", s.dec, tinyN, tinyIn), mat("b_dec", s.bDec, tinyIn)}}},
		{"config.json", map[string]any{"ae.pt": torchFile(t, half)}},
		{"hyperparams.json", map[string]any{"checkpoints/final.safetensors": s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("decoder.bias", s.bDec, tinyIn))}},
		{"metadata.yaml", map[string]any{"itda.safetensors": []entry{mat("atoms", s.dec, tinyN, tinyIn)}}},
		{"itda.json", map[string]any{"itda.safetensors": []entry{mat("atoms", s.dec, tinyN, tinyIn)}}},
		{"config.json", map[string]any{"sae.pt": torchFile(t, s.plain(mat("jumprelu.log_threshold", s.threshold, tinyN)))}},
		{"config.json", map[string]any{"x.pt": torchFile(t, []entry{
			mat("encoder.weight", s.enc, tinyN, tinyIn), mat("dictionary.C", s.enc[:30], 3, tinyIn), mat("dictionary.W", s.enc[:3*tinyN], tinyN, 3), mat("dictionary.Relax", s.dec, tinyN, tinyIn),
		})}},
	}
}

// FuzzConfiguration opens a dictionary with any configuration: a dictionary that encodes, or an error.
func FuzzConfiguration(f *testing.F) {
	layouts := fuzzLayouts(f)
	dirs := make([]string, len(layouts))
	for i, l := range layouts {
		dirs[i] = folder(f, l.files)
	}
	for i, seed := range []string{
		`{"d_in":10,"d_sae":26,"architecture":"gated","normalize_activations":"layer_norm","metadata":{"hook_name":"blocks.1.attn.hook_z"}}`,
		`{"d_in":10,"num_latents":26,"k":2,"activation":"groupmax","skip_connection":true}`,
		`{"trainer":{"dict_class":"BatchTopKSAE","layer":3,"k":5,"submodule_name":"resid_post_layer_3"},"buffer":{"ctx_len":64}}`,
		`{"d_model":10,"act_fn":"jumprelu","jump_relu_threshold":0.5,"norm_activation":"dataset-wise","dataset_average_activation_norm":{"in":7,"out":9},"sparsity_include_decoder_norm":true}`,
		"layer: 3\nk: 5\nlm_name: \"x\" # y\nseed: 0\n",
		`{"format":"trimtab-itda-1","k":3,"method":"gradient","site":"resid_post.3","atoms":[]}`,
		`{"sae_type":"jumprelu","top_k":4,"input_unit_norm":true,"act_size":10,"hook_point":"blocks.8.hook_resid_pre"}`,
		`{"class":"RATopKSAE","top_k":4,"delta":0.5}`,
	} {
		f.Add(i, []byte(seed))
	}
	f.Add(0, []byte(`{"architecture":"matching_pursuit","max_iterations":2147483647,"residual_threshold":1e-300,"stop_on_duplicate_support":false}`))
	f.Add(0, []byte(`{"architecture":"jumprelu_skip_transcoder","normalize_activations":true}`))
	x := randomVector(1, tinyIn)
	f.Fuzz(func(t *testing.T, layout int, config []byte) {
		i := layout % len(layouts)
		if i < 0 {
			return
		}
		if err := os.WriteFile(filepath.Join(dirs[i], layouts[i].config), config, 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := Open(dirs[i], Options{})
		if err != nil {
			return
		}
		if a := &d.Form.Act; a.Kind == Pursuit {
			a.Pursuit.K = min(a.Pursuit.K, 50) // a pursuit may ask for two billion rounds and does not end sooner
		}
		code := d.NewCoder().Encode(nil, x)
		d.Decode(make([]float32, d.Form.Out), code, x)
		for _, z := range code {
			if int(z.Index) >= d.Form.N || z.Index < 0 {
				t.Fatalf("feature %d of %d", z.Index, d.Form.N)
			}
		}
		_ = d.Address.String()
	})
}

// TestConfigurationSeeds runs the fuzz target's layouts with configurations that must be readable.
func TestConfigurationSeeds(t *testing.T) {
	l := fuzzLayouts(t)[0]
	for _, arch := range []string{"standard", "gated", "jumprelu", "topk", "abstopk", "matching_pursuit", "topafa", "transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder", "matryoshka_batchtopk"} {
		files := maps.Clone(l.files)
		text, err := json.Marshal(map[string]any{"d_in": tinyIn, "d_sae": tinyN, "architecture": arch, "k": 3})
		if err != nil {
			t.Fatal(err)
		}
		files["cfg.json"] = text
		d := open(t, folder(t, files), Options{})
		if code := d.NewCoder().Encode(nil, randomVector(3, tinyIn)); len(code) == 0 {
			t.Errorf("%s: an empty code", arch)
		}
	}
}
