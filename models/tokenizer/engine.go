// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Engine encodes and decodes for tokenizer.json files that this package does not implement; cgo/tokenizers has one.
// It must bear calls from several goroutines at once.
type Engine interface {
	// Encode appends ids to dst; special tokens in the text count only with parseSpecial.
	Encode(dst []int32, text string, parseSpecial bool) []int32
	// Decode gives the text of ids, special tokens included.
	Decode(ids []int32) string
}

// FromEngine makes an engine's tokenizer of the same methods as all others: it finds special tokens for EncodeGuarded itself,
// and fills the table of pieces by decoding each token behind another. Stretches between guarded special tokens are encoded
// one by one.
func FromEngine(e Engine, data, config []byte) (*Coder, error) {
	var f jsonFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	cfg, err := readConfig(config)
	if err != nil {
		return nil, err
	}
	b := builder{c: &Coder{names: make(map[string]int32), engine: e}, file: &f, limit: len(data)}
	b.c.bos, b.c.eos = -1, -1
	if err := b.vocabulary(); err != nil {
		return nil, err
	}
	for i := range f.AddedTokens {
		f.AddedTokens[i].Normalized = false
	}
	if err := b.addTokens(); err != nil {
		return nil, err
	}
	b.c.model = &wordLevel{vocab: b.table(nil), unk: b.unk}
	b.enginePieces(e)
	b.ends(cfg)
	return b.c, nil
}

// encodeByEngine leaves everything to the engine, unless guards forbid that.
func (c *Coder) encodeByEngine(w *worker, dst []int32, text string, g guard) []int32 {
	if len(g.offsets) == 0 {
		return c.engine.Encode(dst, text, g.special)
	}
	at := 0
	for at < len(text) {
		h, ok := c.raw.next(text, at, g, w.matches)
		if !ok {
			break
		}
		dst = append(c.engine.Encode(dst, text[at:h.from], false), h.id)
		at = h.to
	}
	return c.engine.Encode(dst, text[at:], false)
}

// enginePieces decodes each token behind a word, because many decoders treat the first token of a text in a way of its own.
func (b *builder) enginePieces(e Engine) {
	c := b.c
	c.pieces = make([]string, len(b.tokens))
	anchor := b.anchor(e)
	before := e.Decode([]int32{anchor})
	letters := newAlphabet()
	for id := range b.tokens {
		if !b.known[id] {
			continue
		}
		text := e.Decode([]int32{anchor, int32(id)})
		piece, ok := strings.CutPrefix(text, before)
		if !ok || strings.Contains(piece, "\uFFFD") {
			piece = b.bytesOf(letters, id)
		}
		c.pieces[id] = piece
		if int32(id) == anchor && piece != before {
			c.trimFirst = piece == " "+before
		}
	}
	for _, a := range b.file.AddedTokens {
		c.pieces[a.ID] = a.Content
	}
}

// anchor is a token that decodes to plain letters.
func (b *builder) anchor(e Engine) int32 {
	for id, t := range b.tokens {
		if b.known[id] && len(t) == 1 && (t[0] >= 'a' && t[0] <= 'z' || t[0] >= 'A' && t[0] <= 'Z') && e.Decode([]int32{int32(id)}) == t {
			return int32(id)
		}
	}
	return 0
}

// bytesOf is a token that is part of a character.
func (b *builder) bytesOf(letters *alphabet, id int) string {
	if x, ok := hexByte(b.tokens[id]); ok {
		return string([]byte{x})
	}
	return letters.decode(b.tokens[id])
}
