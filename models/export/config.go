// SPDX-License-Identifier: Apache-2.0

package export

import (
	"path/filepath"
	"regexp"
)

// Settings is what the files beside a graph say of it; 0 and "" are unknown.
type Settings struct {
	Family  string
	Name    string
	Layers  int
	Width   int // of the residual stream
	Vocab   int
	Context int
	Heads   int
	KVHeads int
	HeadDim int

	states []namePair        // patterns of the names of cache inputs and outputs
	inputs map[string]string // the name that the graph has for an input, by the usual one
	logits string
}

// namePair is the name of an input and of the output that becomes it, as a pattern with a number.
type namePair struct{ in, out string }

// readSettings reads genai_config.json or config.json beside the graph or one folder above, and tells which folder that was.
func readSettings(path string) (string, Settings, error) {
	dir := filepath.Dir(path)
	for _, folder := range []string{dir, filepath.Dir(filepath.Clean(dir))} {
		if folder != dir && filepath.Base(dir) != "onnx" {
			break
		}
		genai, err := readJSON(filepath.Join(folder, "genai_config.json"))
		if err != nil {
			return dir, Settings{}, err
		}
		if genai != nil {
			return folder, genaiSettings(genai), nil
		}
		config, err := readJSON(filepath.Join(folder, "config.json"))
		if err != nil {
			return dir, Settings{}, err
		}
		if config != nil {
			return folder, configSettings(config), nil
		}
	}
	return dir, Settings{}, nil
}

func configSettings(c object) Settings {
	if inner := c.object("text_config"); len(inner) > 0 {
		if inner.text("model_type") == "" {
			inner["model_type"] = c["model_type"]
		}
		c = inner
	}
	return Settings{
		Family:  c.text("model_type"),
		Name:    c.text("_name_or_path"),
		Layers:  c.count("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
		Width:   c.count("hidden_size", "n_embd", "d_model", "dim"),
		Vocab:   c.count("vocab_size"),
		Context: c.count("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"),
		Heads:   c.count("num_attention_heads", "n_head", "num_heads", "n_heads"),
		KVHeads: c.count("num_key_value_heads", "num_kv_heads"),
		HeadDim: c.count("head_dim"),
	}
}

// genaiSettings reads the file of onnxruntime-genai (https://onnxruntime.ai/docs/genai/reference/config.html).
func genaiSettings(c object) Settings {
	m := c.object("model")
	d := m.object("decoder")
	s := Settings{
		Family:  m.text("type"),
		Layers:  d.count("num_hidden_layers"),
		Width:   d.count("hidden_size"),
		Vocab:   m.count("vocab_size"),
		Context: m.count("context_length"),
		Heads:   d.count("num_attention_heads"),
		KVHeads: d.count("num_key_value_heads"),
		HeadDim: d.count("head_size"),
		inputs:  map[string]string{},
		logits:  d.object("outputs").text("logits"),
	}
	in, out := d.object("inputs"), d.object("outputs")
	for name := range in {
		s.inputs[name] = in.text(name)
	}
	for _, p := range []namePair{
		{in.text("past_key_names"), out.text("present_key_names")},
		{in.text("past_value_names"), out.text("present_value_names")},
		{in.text("past_names"), out.text("present_names")},
		{in.text("past_conv_names"), out.text("present_conv_names")},
		{in.text("past_recurrent_names"), out.text("present_recurrent_names")},
	} {
		if p.in != "" && p.out != "" {
			s.states = append(s.states, p)
		}
	}
	return s
}

// stem matches what names of caches begin with.
var stem = regexp.MustCompile(`^(past|present|new|updated|cache)(_key_values|_kv|_states?|_cache)?`)

// pairs tells whether an output becomes an input of the next pass, by their names.
func (s *Settings) pairs(in, out string) bool {
	for _, p := range s.states {
		if n, ok := match(p.in, in); ok {
			if m, ok := match(p.out, out); ok && n == m {
				return true
			}
		}
	}
	i, o := stem.FindString(in), stem.FindString(out)
	return i != "" && o != "" && i != o && in[len(i):] == out[len(o):]
}

// match returns what stands in a name where its pattern has %d.
func match(pattern, name string) (string, bool) {
	for i := range pattern {
		if i+2 > len(pattern) || pattern[i:i+2] != "%d" {
			continue
		}
		before, after := pattern[:i], pattern[i+2:]
		if len(name) > len(before)+len(after) && name[:i] == before && name[len(name)-len(after):] == after {
			return name[i : len(name)-len(after)], true
		}
	}
	return "", false
}
