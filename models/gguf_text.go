// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// ggufTokenizer reads the keys below tokenizer.ggml.
func ggufTokenizer(f *gguf.File) (tokenizer.Tokenizer, error) {
	k := textKeys{meta: f.Meta}
	kind := k.text("model")
	if k.err == nil && (kind == "" || kind == "none" || kind == "no_vocab") {
		return nil, ErrNoTokenizer
	}
	g := tokenizer.GGUF{
		Model:  kind,
		Pre:    k.text("pre"),
		Tokens: optional(&k, f.Meta.Strings, "tokens"),
		Scores: optional(&k, f.Meta.Floats, "scores"),
		Types:  k.types(),
		Merges: optional(&k, f.Meta.Strings, "merges"),
		BOS:    k.id("bos_token_id"), EOS: k.id("eos_token_id"), EOT: k.id("eot_token_id"), EOM: k.id("eom_token_id"), UNK: k.id("unknown_token_id"),
		AddBOS:         k.flag("add_bos_token"),
		AddSpacePrefix: k.flag("add_space_prefix"),
	}
	g.Name, _ = f.Meta.String("general.name")
	if k.err != nil {
		return nil, k.err
	}
	return tokenizer.FromGGUF(g)
}

// textKeys reads optional keys below tokenizer.ggml and keeps the first error.
type textKeys struct {
	meta gguf.Meta
	err  error
}

func optional[T any](k *textKeys, get func(string) (T, error), name string) T {
	v, _, err := gguf.Optional(get("tokenizer.ggml." + name))
	k.err = errors.Join(k.err, err)
	return v
}

func (k *textKeys) text(name string) string { return optional(k, k.meta.String, name) }

func (k *textKeys) types() []int32 {
	wide := optional(k, k.meta.Ints, "token_type")
	out := make([]int32, len(wide))
	for i, t := range wide {
		out[i] = int32(t)
	}
	return out
}

func (k *textKeys) id(name string) int32 {
	n, ok, err := gguf.Optional(k.meta.Int("tokenizer.ggml." + name))
	k.err = errors.Join(k.err, err)
	if !ok {
		return -1
	}
	return int32(n)
}

func (k *textKeys) flag(name string) *bool {
	b, ok, err := gguf.Optional(k.meta.Bool("tokenizer.ggml." + name))
	k.err = errors.Join(k.err, err)
	if !ok {
		return nil
	}
	return &b
}

// ggufTemplate parses the chat template that the file carries, with the texts of its BOS and EOS tokens.
func ggufTemplate(f *gguf.File, tok func() (tokenizer.Tokenizer, error)) (*chat.Template, error) {
	source, ok, err := gguf.Optional(f.Meta.String("tokenizer.chat_template"))
	if err != nil {
		return nil, err
	}
	t, err2 := tok()
	if !ok || err2 != nil {
		return nil, ErrNoTemplate
	}
	return chat.Parse(source, chat.Options{BOS: t.Piece(t.BOS()), EOS: t.Piece(t.EOS())})
}
