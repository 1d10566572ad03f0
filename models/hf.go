// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"
	"fmt"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// openHF opens a Hugging Face folder: config.json beside model.safetensors, or the index of its shards.
func openHF(dir string) (*Model, error) {
	s, err := readSettings(dir, "config.json", false)
	if err != nil {
		return nil, fmt.Errorf("models: open %s: %w", dir, err)
	}
	f, err := safetensors.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("models: open %s: %w", dir, err)
	}
	m := &Model{Path: dir, Types: map[quant.Type]int64{}, close: f.Close}
	if err := m.describe(s, f); err != nil {
		return nil, errors.Join(fmt.Errorf("models: open %s: %w", dir, err), f.Close())
	}
	m.tokenizer = once(func() (tokenizer.Tokenizer, error) { return hfTokenizer(dir, s, m.Native) })
	m.template = once(func() (*chat.Template, error) { return hfTemplate(dir, m.tokenizer) })
	return m, nil
}

func (m *Model) describe(s settings, f *safetensors.File) error {
	d, family, err := describeHF(s)
	if err != nil {
		return err
	}
	var tied *bool
	if s.has("tie_word_embeddings") {
		flag := s.flagOr(false, "tie_word_embeddings")
		tied = &flag
	}
	source, err := newHFSource(f, &d, family, tied)
	if err != nil {
		return err
	}
	for _, t := range source.tensors {
		m.Types[t.Type] += t.Bytes()
		m.Bytes += t.Bytes()
	}
	if err := s.checkPresence(source); err != nil {
		return err
	}
	m.Description, m.Source = d, source
	return checkUse(&d, source, source.names())
}

// checkPresence holds what the config says of biases and norms against what the file has: transformers goes by the config, the description by the file.
func (s settings) checkPresence(source decoder.Source) error {
	for _, c := range []struct {
		fields  []string
		tensors []string
	}{
		{[]string{"attention_bias", "qkv_bias", "use_qkv_bias"}, []string{"attn_q.bias", "attn_qkv.bias", "attn_kv_a_mqa.bias"}},
		{[]string{"mlp_bias"}, []string{"ffn_up.bias"}},
		{[]string{"qk_layernorm"}, []string{"attn_q_norm.weight"}},
	} {
		field, v := s.find(c.fields...)
		if v == nil {
			continue
		}
		found := false
		for _, t := range c.tensors {
			_, ok := source.Tensor("blk.0." + t)
			found = found || ok
		}
		if found != s.flagOr(false, field) {
			s.fail(field, fmt.Sprintf("%v, as the tensors have it", found), fmt.Sprint(!found))
		}
	}
	return *s.err
}
