// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"encoding/json"
	"fmt"
)

// model builds what turns words into ids.
func (b *builder) model() error {
	m := &b.file.Model
	switch {
	case m.Type == "BPE" || m.Type == "" && m.Merges != nil:
		return b.bpe()
	case m.Type == "Unigram":
		u := newUnigram(b.tokens[:len(b.scores)], b.scores, b.unk, func(id int32) bool { return !b.c.special[id] })
		u.bytes = b.byteTokens()
		b.c.model = u
	case m.Type == "WordLevel":
		b.c.model = &wordLevel{vocab: b.table(nil), unk: b.unk}
	default:
		return unsupported("model", m.Type)
	}
	return nil
}

// table maps the model's tokens to ids, in the byte-level alphabet where letters is given. Special tokens are left out, so that
// ordinary text never becomes one.
func (b *builder) table(letters *alphabet) map[string]int32 {
	vocab := make(map[string]int32, len(b.tokens))
	for id, t := range b.tokens {
		if !b.known[id] || b.c.special[id] {
			continue
		}
		if letters != nil {
			t = letters.decode(t)
		}
		if _, twice := vocab[t]; !twice {
			vocab[t] = int32(id)
		}
	}
	return vocab
}

func (b *builder) byteTokens() (ids [256]int32) {
	return byteTokens(b.tokens, func(id int) bool { return b.file.Model.ByteFallback && b.known[id] })
}

func (b *builder) bpe() error {
	f := &b.file.Model
	switch {
	case f.Prefix != "":
		return unsupported("model.continuing_subword_prefix", f.Prefix)
	case f.Suffix != "":
		return unsupported("model.end_of_word_suffix", f.Suffix)
	}
	var letters *alphabet
	if b.byteLevel {
		letters = newAlphabet()
	}
	vocab := b.table(letters)
	pair, n, err := b.merges(letters)
	if err != nil {
		return err
	}
	table, err := mergeTable(vocab, n, pair)
	if err != nil {
		return err
	}
	m := &bpe{vocab: vocab, merges: table, unk: b.unk, byteLevel: b.byteLevel, whole: f.IgnoreMerges, fuseUnk: f.FuseUnk, byteTokens: f.ByteFallback}
	if b.byteLevel {
		m.bytes = byteIDs(func(x byte) (int32, bool) { return m.id(string([]byte{x})) })
	} else {
		m.bytes = b.byteTokens()
	}
	if !b.byteLevel && len(b.c.split) == 0 {
		b.c.split = byWords(vocab)
	}
	b.c.model = m
	return nil
}

// merges reads the list as pairs, or as strings with a space between the halves as older files have it.
func (b *builder) merges(letters *alphabet) (pair func(i int) (string, string, error), n int, err error) {
	var lines []string
	if json.Unmarshal(b.file.Model.Merges, &lines) == nil {
		return func(i int) (string, string, error) { return splitMerge(letters, lines[i], i) }, len(lines), nil
	}
	var halves [][]string
	if err := json.Unmarshal(b.file.Model.Merges, &halves); err != nil {
		return nil, 0, fmt.Errorf("tokenizer: tokenizer.json: model.merges: %w", err)
	}
	pair = func(i int) (string, string, error) {
		h := halves[i]
		if len(h) != 2 {
			return "", "", fmt.Errorf("tokenizer: tokenizer.json: merge %d: want two tokens, found %d", i, len(h))
		}
		if letters == nil {
			return h[0], h[1], nil
		}
		return letters.decode(h[0]), letters.decode(h[1]), nil
	}
	return pair, len(halves), nil
}
