// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"archive/zip"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	tinyIn = 10
	tinyN  = 26
)

// tiny is the SAE that the formats below all hold; enc is [n, d], the usual order of nn.Linear.
type tiny struct{ enc, bEnc, dec, bDec, threshold []float32 }

func tinySAE() tiny {
	s := tiny{
		enc: randomVector(1, tinyN*tinyIn), bEnc: randomVector(2, tinyN), dec: randomVector(3, tinyN*tinyIn),
		bDec: randomVector(4, tinyIn), threshold: constant(tinyN, 0.7),
	}
	unitRows(s.dec, tinyIn)
	return s
}

func turn(m []float32) []float32 { return transpose(m, tinyN, tinyIn) }

// linear has the tensors under nn.Linear's names.
func (s tiny) linear(enc, bEnc, dec string, more ...entry) []entry {
	return append([]entry{
		mat(enc, s.enc, tinyN, tinyIn), mat(bEnc, s.bEnc, tinyN), mat(dec, turn(s.dec), tinyIn, tinyN),
	}, more...)
}

// plain has them as matrices that a row vector is multiplied with.
func (s tiny) plain(more ...entry) []entry {
	return append([]entry{
		mat("W_enc", turn(s.enc), tinyIn, tinyN), mat("b_enc", s.bEnc, tinyN), mat("W_dec", s.dec, tinyN, tinyIn), mat("b_dec", s.bDec, tinyIn),
	}, more...)
}

func (s tiny) form(act Activation, pre bool) *Form {
	f := &Form{In: tinyIn, Out: tinyIn, N: tinyN, Enc: s.enc, EncBias: s.bEnc, Dec: s.dec, DecBias: s.bDec, Act: act}
	if pre {
		f.PreSub = s.bDec
	}
	return f
}

func half(entries []entry) []entry {
	out := slices.Clone(entries)
	for i := range out {
		out[i].half = true
	}
	return out
}

type sameCase struct {
	name  string
	path  string         // inside the folder
	files map[string]any // see folder
	want  *Form
	loose bool   // half precision
	site  string // expected address, "" for none
	opt   Options
}

func sameCases(t *testing.T) []sameCase {
	s := tinySAE()
	relu, jump, topk := Activation{}, Activation{Kind: JumpReLU, Threshold: s.threshold}, Activation{Kind: TopK, K: 5}
	cfg := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	trainer := func(class string) map[string]any {
		return cfg("trainer", cfg("dict_class", class, "lm_name", "m", "layer", 3, "k", 5, "submodule_name", "resid_post_layer_3"), "buffer", cfg("ctx_len", 64))
	}
	kItem := entry{name: "k", data: []float32{5}}
	unset := entry{name: "threshold", data: []float32{-1}}
	set := entry{name: "threshold", data: []float32{0.7}}
	bias := mat("decoder.bias", s.bDec, tinyIn)
	threshold := mat("threshold", s.threshold, tinyN)
	noEncBias := s.form(topk, true)
	noEncBias.EncBias = nil
	afa := s.form(Activation{Kind: TopAFA}, true)
	afa.EncBias = nil
	afa.Norm = LayerNorm
	ln := s.form(topk, true)
	ln.Norm = LayerNorm
	raw := s.form(Activation{Kind: RawTopK, K: 20}, true)
	raw.Norm = LayerNorm
	scope := s.form(Activation{Kind: JumpReLU, Threshold: constant(tinyN, 0.7)}, false)
	scope.Norm, scope.Scale, scope.OutScale = ConstantNorm, float32(math.Sqrt(tinyIn)/8), float32(4/math.Sqrt(tinyIn))
	tied := s.form(relu, true)
	tied.Dec = tied.Enc
	jumpBatch := s.form(jump, true)
	hyper := func(more ...any) map[string]any {
		return cfg(append([]any{
			"d_model", tinyIn, "d_sae", tinyN, "act_fn", "jumprelu", "jump_relu_threshold", 0.7 * 8 / math.Sqrt(tinyIn), "norm_activation", "dataset-wise",
			"dataset_average_activation_norm", cfg("in", 8, "out", 4), "sparsity_include_decoder_norm", true, "use_decoder_bias", true,
			"apply_decoder_bias_to_pre_encoder", false, "hook_point_in", "blocks.15.hook_resid_post", "hook_point_out", "blocks.15.hook_resid_post", "top_k", 50,
		}, more...)...)
	}
	scopeTensors := s.linear("encoder.weight", "encoder.bias", "decoder.weight", bias)
	logs := mat("log_jumprelu_threshold", constant(tinyN, float32(math.Log(0.7))), tinyN)
	newScope := []entry{
		mat("W_E", turn(s.enc), tinyIn, tinyN), mat("b_E", s.bEnc, tinyN), mat("W_D", s.dec, tinyN, tinyIn), mat("b_D", s.bDec, tinyIn), logs,
		{name: "dataset_average_activation_norm.blocks.1.hook_mlp_out", data: []float32{8}, shape: []int{1}},
		{name: "dataset_average_activation_norm.blocks.1.hook_resid_post", data: []float32{4}, shape: []int{1}},
	}
	newTranscoder := s.form(Activation{Kind: JumpReLU, Threshold: constant(tinyN, 0.7)}, false)
	newTranscoder.Norm, newTranscoder.Scale, newTranscoder.OutScale, newTranscoder.OneWay = ConstantNorm, scope.Scale, scope.OutScale, true
	openAI := func(activation entry, more ...entry) []entry {
		return append([]entry{
			mat("pre_bias", s.bDec, tinyIn), mat("encoder.weight", s.enc, tinyN, tinyIn), mat("latent_bias", s.bEnc, tinyN),
			mat("stats_last_nonzero", make([]float32, tinyN), tinyN), activation,
		}, more...)
	}
	dec := mat("decoder.weight", turn(s.dec), tinyIn, tinyN)
	topkState := func(post string) entry {
		return entry{name: "activation_state_dict", plain: []entry{{name: "k", plain: 5}, {name: "postact_fn", plain: post}}}
	}
	rawState := entry{name: "activation_state_dict", plain: []entry{{name: "k", plain: 20}, {name: "postact_fn", plain: "Identity"}}}
	mpsae := &Form{In: tinyIn, Out: tinyIn, N: tinyN, Dec: s.dec, Act: Activation{Kind: Pursuit, Pursuit: PursuitRule{Method: PlainMatching, K: 4}}}
	saelensMP := &Form{
		In: tinyIn, Out: tinyIn, N: tinyN, Dec: s.dec, DecBias: s.bDec, PreSub: s.bDec,
		Act: Activation{Kind: Pursuit, Pursuit: PursuitRule{Method: NonNegativeMatching, K: tinyIn, Tolerance: 0.01, StopOnSameSupport: true}},
	}
	skipped := s.form(jump, false)
	skipped.OneWay, skipped.Skip = true, randomVector(9, tinyIn*tinyIn)
	itda := &Form{In: tinyIn, Out: tinyIn, N: tinyN, Dec: s.dec, Act: Activation{Kind: Pursuit, Pursuit: PursuitRule{K: 40}}}
	meta := func(hook string) map[string]any {
		return cfg("sae_lens_version", "6.1.0", "hook_name", hook, "model_name", "m")
	}
	return []sameCase{
		{
			name: "SAELens topk", files: map[string]any{
				"cfg.json":                cfg("d_in", tinyIn, "d_sae", tinyN, "architecture", "topk", "k", 5, "metadata", meta("blocks.2.hook_resid_pre")),
				"sae_weights.safetensors": s.plain(),
			}, want: s.form(topk, true), site: "resid_pre.2",
		},
		{
			name: "SAELens turned", files: map[string]any{
				"cfg.json": cfg("d_in", tinyIn, "d_sae", tinyN, "architecture", "standard", "metadata", meta("blocks.2.hook_mlp_out")),
				"sae_weights.safetensors": []entry{
					mat("W_enc", s.enc, tinyN, tinyIn), mat("b_enc", s.bEnc, tinyN), mat("W_dec", turn(s.dec), tinyIn, tinyN), mat("b_dec", s.bDec, tinyIn),
				},
			}, want: s.form(relu, true), site: "mlp_post.2",
		},
		{
			name: "SAELens jumprelu skip transcoder", files: map[string]any{
				"cfg.json": cfg("d_in", tinyIn, "d_out", tinyIn, "d_sae", tinyN, "architecture", "jumprelu_skip_transcoder",
					"metadata", cfg("hook_name", "blocks.2.mlp.hook_in", "hook_name_out", "blocks.2.hook_mlp_out", "sae_lens_version", "6.5.0")),
				"sae_weights.safetensors": s.plain(threshold, mat("W_skip", skipped.Skip, tinyIn, tinyIn)),
			}, want: skipped, site: "mlp_in.2 to mlp_post.2",
		},
		{
			name: "SAELens matching pursuit", files: map[string]any{
				"cfg.json":                cfg("d_in", tinyIn, "d_sae", tinyN, "architecture", "matching_pursuit", "metadata", meta("blocks.2.hook_resid_post")),
				"sae_weights.safetensors": []entry{mat("W_dec", s.dec, tinyN, tinyIn), mat("b_dec", s.bDec, tinyIn)},
			}, want: saelensMP, site: "resid_post.2",
		},
		{
			name: "sparsify topk", path: "layers.4", files: map[string]any{
				"layers.4/cfg.json":        cfg("d_in", tinyIn, "num_latents", tinyN, "k", 5, "multi_topk", true),
				"layers.4/sae.safetensors": []entry{mat("encoder.weight", s.enc, tinyN, tinyIn), mat("encoder.bias", s.bEnc, tinyN), mat("W_dec", s.dec, tinyN, tinyIn), mat("b_dec", s.bDec, tinyIn)},
				"config.json":              cfg("model", "org/m"),
			}, want: s.form(topk, true), site: "resid_post.4",
		},
		{
			name: "sparsify transcoder", path: "layers.4.mlp", files: map[string]any{
				"layers.4.mlp/cfg.json":        cfg("d_in", tinyIn, "num_latents", tinyN, "k", 5, "transcode", true),
				"layers.4.mlp/sae.safetensors": []entry{mat("encoder.weight", s.enc, tinyN, tinyIn), mat("encoder.bias", s.bEnc, tinyN), mat("W_dec", s.dec, tinyN, tinyIn), mat("b_dec", s.bDec, tinyIn)},
			}, want: s.form(topk, false), site: "mlp_in.4 to mlp_out.4",
		},
		{
			name: "dictionary_learning topk", files: map[string]any{
				"config.json": trainer("AutoEncoderTopK"),
				"ae.pt":       torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("b_dec", s.bDec, tinyIn), kItem, unset)),
			}, want: s.form(topk, true), site: "resid_post.3",
		},
		{
			name: "dictionary_learning batch topk", files: map[string]any{
				"config.json": trainer("BatchTopKSAE"),
				"ae.pt":       torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("b_dec", s.bDec, tinyIn), kItem, set)),
			}, want: jumpBatch, site: "resid_post.3",
		},
		{
			name: "dictionary_learning AutoEncoder without configuration", files: map[string]any{
				"ae.pt": torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("bias", s.bDec, tinyIn))),
			}, want: s.form(relu, true),
		},
		{
			name: "dictionary_learning JumpRelu", files: map[string]any{
				"config.json": trainer("JumpReluAutoEncoder"), "ae.pt": torchFile(t, s.plain(threshold)),
			}, want: s.form(jump, false), site: "resid_post.3",
		},
		{
			name: "variational SAE", files: map[string]any{
				"config.json": trainer("VSAETopK"),
				"ae.pt": torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", bias, kItem, unset,
					mat("var_encoder.weight", s.dec, tinyN, tinyIn), mat("var_encoder.bias", s.bEnc, tinyN))),
			}, want: s.form(topk, false), site: "resid_post.3",
		},
		{
			name: "Gemma Scope", path: "google/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82", files: map[string]any{
				"google/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82/params.npz": npzFile(t, zip.Store, s.plain(threshold)),
			}, want: s.form(jump, false), site: "resid_post.12",
		},
		{
			name: "Gemma Scope deflated, one file", path: "gemma-scope-9b-it-att/layer_3/width_16k/average_l0_5/params.npz", files: map[string]any{
				"gemma-scope-9b-it-att/layer_3/width_16k/average_l0_5/params.npz": npzFile(t, zip.Deflate, s.plain(threshold)),
			}, want: s.form(jump, false), site: "attn_z.3",
		},
		{
			name: "Gemma Scope transcoder", path: "gemma-scope-2b-pt-transcoders/layer_3/width_16k/average_l0_5", files: map[string]any{
				"gemma-scope-2b-pt-transcoders/layer_3/width_16k/average_l0_5/params.npz": npzFile(t, zip.Deflate, []entry{
					mat("w_enc", turn(s.enc), tinyIn, tinyN), mat("b_enc", s.bEnc, tinyN), mat("w_dec", s.dec, tinyN, tinyIn), mat("b_dec", s.bDec, tinyIn), threshold,
				}),
			}, want: s.form(jump, false), site: "mlp_in.3 to mlp_post.3", opt: Options{Site: "mlp_in.3"},
		},
		{
			name: "Goodfire", path: "Llama-3.1-8B-Instruct-SAE-l19.pth", files: map[string]any{
				"Llama-3.1-8B-Instruct-SAE-l19.pth": torchFile(t, half(s.linear("encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight", mat("decoder_linear.bias", s.bDec, tinyIn)))),
			}, want: s.form(relu, false), site: "resid_post.19", loose: true,
		},
		{
			name: "Goodfire folder", files: map[string]any{
				"Llama-3.3-70B-Instruct-SAE-l50.pt": torchFile(t, s.linear("encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight", mat("decoder_linear.bias", s.bDec, tinyIn))),
			}, want: s.form(relu, false), site: "resid_post.50",
		},
		{
			name: "Goodfire topk", files: map[string]any{
				"topk_sae_l15_exp16_k5.pt": torchFile(t, s.linear("encoder_linear.weight", "encoder_linear.bias", "decoder.weight", bias)),
			}, want: s.form(topk, false), site: "resid_post.15",
		},
		{
			name: "DeepSeek R1", files: map[string]any{
				"DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt": torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", bias)),
			}, want: s.form(relu, false), site: "resid_post.19",
		},
		{
			name: "Llama Scope", files: map[string]any{"hyperparams.json": hyper(), "checkpoints/final.safetensors": scopeTensors}, want: scope, site: "resid_post.15",
		},
		{
			name: "OpenMOSS 2025, transcoder", files: map[string]any{
				"config.json": cfg("sae_type", "sae", "d_model", tinyIn, "expansion_factor", 2.6, "act_fn", "jumprelu", "norm_activation", "dataset-wise",
					"sparsity_include_decoder_norm", true, "hook_point_in", "blocks.1.hook_mlp_out", "hook_point_out", "blocks.1.hook_resid_post"),
				"sae_weights.safetensors": newScope,
			}, want: newTranscoder, site: "mlp_post.1 to resid_post.1",
		},
		{
			name: "OpenMOSS inference", files: map[string]any{
				"config.json": cfg("d_model", tinyIn, "expansion_factor", 3, "act_fn", "jumprelu", "norm_activation", "inference",
					"hook_point_in", "blocks.1.hook_resid_post", "hook_point_out", "blocks.1.hook_resid_post"),
				"sae_weights.safetensors": append(slices.Clone(scopeTensors), logs),
			}, want: s.form(Activation{Kind: JumpReLU, Threshold: constant(tinyN, 0.7)}, false), site: "resid_post.1",
		},
		{
			name: "OpenAI topk", path: "resid_post_mlp_v5_32k/autoencoders/8.pt", files: map[string]any{
				"resid_post_mlp_v5_32k/autoencoders/8.pt": torchFile(t, openAI(entry{name: "activation", plain: "TopK"}, dec, topkState("ReLU"))),
			}, want: ln, site: "resid_post.8",
		},
		{
			name: "OpenAI topk without ReLU", files: map[string]any{
				"8.pt": torchFile(t, openAI(entry{name: "activation", plain: "TopK"}, dec, rawState)),
			}, want: raw,
		},
		{
			name: "OpenAI ReLU", files: map[string]any{"a.pt": torchFile(t, openAI(entry{name: "activation", plain: "ReLU"}, dec))}, want: s.form(relu, true),
		},
		{
			name: "OpenAI Identity", files: map[string]any{"a.pt": torchFile(t, openAI(entry{name: "activation", plain: "Identity"}, dec))}, want: s.form(Activation{Kind: RawTopK, K: tinyN}, true),
		},
		{
			name: "dictionary_learning topk, k as a number, without configuration", files: map[string]any{
				"ae.pt": torchFile(t, s.linear("encoder.weight", "encoder.bias", "decoder.weight", mat("b_dec", s.bDec, tinyIn), entry{name: "k", plain: 5}, unset)),
			}, want: s.form(topk, true),
		},
		{
			name: "OpenAI tied", files: map[string]any{"a.pt": torchFile(t, openAI(entry{name: "activation", plain: "ReLU"}))}, want: tied,
		},
		{
			name: "top-AFA", files: map[string]any{
				"config.json": cfg("sae_type", "topafa", "input_unit_norm", true, "act_size", tinyIn, "dict_size", tinyN, "hook_point", "blocks.8.hook_resid_pre", "model_name", "gpt2-small"),
				"sae.pt":      torchFile(t, s.plain()),
			}, want: afa, site: "resid_pre.8",
		},
		{
			name: "BatchTopK-style topk", files: map[string]any{
				"config.json": cfg("sae_type", "topk", "top_k", 5, "input_unit_norm", false, "act_size", tinyIn, "hook_point", "blocks.8.hook_resid_pre"),
				"sae.pt":      torchFile(t, s.plain()),
			}, want: noEncBias, site: "resid_pre.8",
		},
		{
			name: "BatchTopK-style jumprelu", files: map[string]any{
				"config.json": cfg("sae_type", "jumprelu", "act_size", tinyIn, "hook_point", "blocks.8.hook_resid_pre"),
				"sae.pt":      torchFile(t, s.plain(mat("jumprelu.log_threshold", logs.data, tinyN))),
			}, want: s.form(jump, false), site: "resid_pre.8",
		},
		{
			name: "Kissane attention", path: "gpt2-small_L5_Hcat_z_v9.pt", files: map[string]any{
				"gpt2-small_L5_Hcat_z_v9.pt":       torchFile(t, s.plain()),
				"gpt2-small_L5_Hcat_z_v9_cfg.json": cfg("act_size", tinyIn, "dict_size", tinyN, "act_name", "blocks.5.attn.hook_z", "enc_dtype", "fp32"),
			}, want: s.form(relu, true), site: "attn_z.5",
		},
		{
			name: "overcomplete", files: map[string]any{
				"config.json": cfg("k", 4), "mpsae.pt": torchFile(t, []entry{mat("dictionary._weights", scaled(s.dec, 3), tinyN, tinyIn), {name: "dictionary.multiplier", data: []float32{0}}}),
			}, want: mpsae,
		},
		{
			name: "ITDA without metadata", files: map[string]any{"atoms.pt": torchFile(t, []entry{mat("atoms", s.dec, tinyN, tinyIn)})}, want: itda,
		},
		{
			name: "wrapped state_dict", files: map[string]any{
				"x.pt": torchFile(t, []entry{{name: "state_dict", plain: s.linear("encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight", mat("decoder_linear.bias", s.bDec, tinyIn))}}),
			}, want: s.form(relu, false),
		},
	}
}

// TestSameDictionaryInEveryFormat writes one SAE in each format that has no fixture of its own and wants one code.
func TestSameDictionaryInEveryFormat(t *testing.T) {
	for _, c := range sameCases(t) {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, filepath.Join(folder(t, c.files), filepath.FromSlash(c.path)), c.opt)
			if got, _, _ := strings.Cut(d.Address.String(), ","); (c.site == "") != (d.Address.Site.Point == "") || c.site != "" && got != c.site {
				t.Errorf("address %q, want %q", d.Address, c.site)
			}
			want, err := New(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if d.Form.Act.Kind != c.want.Act.Kind || d.Form.Norm != c.want.Norm || d.Form.OneWay != (c.want.OneWay || strings.Contains(c.site, " to ")) {
				t.Errorf("%s, norm %d, one way %v, want %s, norm %d", d.Form.Act.Kind, d.Form.Norm, d.Form.OneWay, c.want.Act.Kind, c.want.Norm)
			}
			compareCoders(t, d, want, c.loose)
		})
	}
}

// compareCoders wants equal codes and reconstructions of random activations.
func compareCoders(t *testing.T, got, want *Dictionary, loose bool) {
	t.Helper()
	tolerance := 2e-6 // the same numbers, but for a scale or a logarithm on the way
	if loose {
		tolerance = 2e-2 // bfloat16
	}
	a, b, f := got.NewCoder(), want.NewCoder(), want.Form
	active := 0
	for seed := range uint64(30) {
		x := scaled(randomVector(500+seed, f.In), 3)
		code, wanted := a.Encode(nil, x), b.Encode(nil, x)
		active += len(wanted)
		left, right := dense(code, f.N), dense(wanted, f.N)
		if e := worst(t, left, right); e > tolerance || !loose && !sameSupport(left, right) {
			t.Fatalf("seed %d: codes off by %.2g\n got %v\nwant %v", seed, e, code, wanted)
		}
		y, z := make([]float32, f.Out), make([]float32, f.Out)
		got.Decode(y, code, x)
		want.Decode(z, wanted, x)
		if e := worst(t, y, z); e > tolerance {
			t.Fatalf("seed %d: reconstructions off by %.2g", seed, e)
		}
	}
	if active < 30 {
		t.Errorf("%d features in 30 activations: the test sees too little", active)
	}
}

// TestSAELensRoundTrip writes every form that SAELens has a name for and reads it again.
func TestSAELensRoundTrip(t *testing.T) {
	forms := map[string]*Form{}
	for _, kind := range []Kind{ReLU, JumpReLU, TopK, AbsTopK, Gated} {
		for norm := NoNorm; norm <= LayerNorm; norm++ {
			f := example(kind, norm)
			if f.PreSub != nil && norm != ConstantNorm {
				f.PreSub = f.DecBias
			} else {
				f.PreSub = nil
			}
			forms[kind.String()+string(rune('0'+norm))] = f
		}
	}
	f := example(Pursuit, NoNorm)
	f.PreSub, f.Act.Pursuit = f.DecBias, PursuitRule{Method: NonNegativeMatching, K: 9, Tolerance: 0.1, StopOnSameSupport: true}
	forms["pursuit"] = f
	f = example(JumpReLU, RescaleNorm)
	f.PreSub, f.OneWay, f.Out, f.Dec, f.DecBias, f.Skip = nil, true, 16, randomVector(9, 60*16), randomVector(10, 16), randomVector(11, 16*24)
	forms["transcoder"] = f
	for name, f := range forms {
		d, err := New(f)
		if err != nil {
			t.Fatal(err)
		}
		d.Address.setHook("blocks.7.attn.hook_z")
		d.Address.Model, d.Address.PrependBOS, d.Address.SkipFirst, d.Address.Context = "m", No, true, 128
		dir := t.TempDir()
		if err := WriteSAELens(dir, d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again := open(t, dir, Options{})
		if f.OneWay {
			d.Address.Out = again.Address.Out
		}
		if again.Address != d.Address || len(again.Warnings()) > 0 {
			t.Errorf("%s: address %+v, warnings %q, want %+v and none", name, again.Address, again.Warnings(), d.Address)
		}
		compareCoders(t, again, d, false)
	}
	for name, spoil := range map[string]func(f *Form){
		"groupmax":     func(f *Form) { f.Act = Activation{Kind: GroupMax, K: 12} },
		"another bias": func(f *Form) { f.PreSub = randomVector(99, f.In) },
	} {
		f := example(ReLU, NoNorm)
		spoil(f)
		d, err := New(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteSAELens(t.TempDir(), d); err == nil {
			t.Errorf("%s: WriteSAELens = nil, want an error", name)
		}
	}
}

func TestITDARoundTrip(t *testing.T) {
	d := pursueFlat(t, unitDictionary(1, 30, 12), 12, PursuitRule{Method: Matching, K: 9})
	d.Address.setHook("resid_post.14")
	d.Address.Model, d.Address.Context = `a "model": x`, 128
	for i := range 30 {
		d.Atoms = append(d.Atoms, Atom{Text: i / 3, Position: i % 3, Token: " t", Context: "a\nb"})
	}
	d.Atoms[7] = Atom{Text: -1, Position: -1}
	d.Facts = &Facts{Rule: "cos", Threshold: 0.88, Seed: 4, Texts: "corpus", Sources: map[int]string{0: "a:1"}}
	for name, write := range map[string]func(string, *Dictionary) error{"twin": WriteITDA, "original": WriteOriginalITDA} {
		dir := t.TempDir()
		if err := write(dir, d); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir, Options{})
		compareCoders(t, again, d, false)
		a := again.Address
		if a.Site != d.Address.Site || a.Model != d.Address.Model || a.Context != 128 {
			t.Errorf("%s: address %+v, want %+v", name, a, d.Address)
		}
		if again.Facts.Rule != "cos" || again.Facts.Threshold != 0.88 || again.Facts.Seed != 4 || again.Facts.Texts != "corpus" {
			t.Errorf("%s: facts %+v", name, again.Facts)
		}
		for i, want := range d.Atoms {
			got := again.Atoms[i]
			if name == "original" { // it keeps numbers only
				want.Token, want.Context = "", ""
			}
			if got != want {
				t.Errorf("%s: atom %d = %+v, want %+v", name, i, got, want)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	c := sameCases(t)[0]
	dir := folder(t, c.files)
	d := open(t, dir, Options{K: 3})
	if d.Form.Act.K != 3 {
		t.Errorf("k = %d, want 3", d.Form.Act.K)
	}
	for name, opt := range map[string]Options{
		"site": {Site: "nowhere.3"}, "pursuit of a top-k": {Pursuit: new(Method)},
	} {
		if _, err := Open(dir, opt); err == nil {
			t.Errorf("%s: Open = nil, want an error", name)
		}
	}
	relu := folder(t, sameCases(t)[1].files)
	if _, err := Open(relu, Options{K: 3}); err == nil {
		t.Error("k of a ReLU: Open = nil, want an error")
	}
}
