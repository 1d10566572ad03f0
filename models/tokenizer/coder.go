// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"slices"
	"strings"
	"sync"
)

// Coder is a tokenizer in plain Go. It never changes after it was made and may be used from several goroutines at once.
type Coder struct {
	pieces  []string // by id: bytes of the token as text
	names   map[string]int32
	special []bool // by id

	raw   *addedSet // looked for in the text as it comes
	clean *addedSet // looked for after normalising; nil when there are none

	normalize []rewrite
	prepare   []rewrite // pre-tokenisers that change text
	split     []splitter
	model     model
	engine    Engine // does all of the above, for a tokenizer that is not implemented here; else nil

	trimFirst bool
	bos, eos  int32
	eog       []int32
	addBOS    bool

	workers sync.Pool // *worker
}

var _ Tokenizer = (*Coder)(nil)

// model turns one piece of pre-tokenised text into ids.
type model interface {
	encode(w *worker, dst []int32, word string) []int32
	// id is the id of a token in the model's own spelling.
	id(token string) (int32, bool)
}

// rewrite changes a stretch of text between added tokens; first is true when the stretch begins the text.
type rewrite func(text string, first bool) string

// Encode implements [Tokenizer].
func (c *Coder) Encode(dst []int32, text string, parseSpecial bool) []int32 {
	return c.encode(dst, text, guard{special: parseSpecial})
}

// EncodeGuarded implements [Tokenizer].
func (c *Coder) EncodeGuarded(dst []int32, text string, guards []int) []int32 {
	return c.encode(dst, text, guard{special: true, offsets: guards})
}

func (c *Coder) encode(dst []int32, text string, g guard) []int32 {
	w, _ := c.workers.Get().(*worker)
	if w == nil {
		w = newWorker()
	}
	if c.engine != nil {
		dst = c.encodeByEngine(w, dst, text, g)
		c.workers.Put(w)
		return dst
	}
	at := 0
	for at < len(text) {
		h, ok := c.raw.next(text, at, g, w.matches)
		if !ok {
			break
		}
		dst = c.stretch(w, dst, text[at:h.from], at, g)
		dst = append(dst, h.id)
		at = h.to
	}
	dst = c.stretch(w, dst, text[at:], at, g)
	c.workers.Put(w)
	return dst
}

// stretch encodes text that holds no added token, apart from those that show after normalising; base is where it begins in the whole.
func (c *Coder) stretch(w *worker, dst []int32, text string, base int, g guard) []int32 {
	if text == "" {
		return dst
	}
	clean := text
	for _, r := range c.normalize {
		clean = r(clean, base == 0)
	}
	if c.clean == nil {
		return c.words(w, dst, clean, base == 0)
	}
	g = w.rebase(g, base, len(text), clean == text)
	at := 0
	for at < len(clean) {
		h, ok := c.clean.next(clean, at, g, w.matches)
		if !ok {
			break
		}
		dst = append(c.words(w, dst, clean[at:h.from], base+at == 0), h.id)
		at = h.to
	}
	return c.words(w, dst, clean[at:], base+at == 0)
}

// words pre-tokenises and encodes.
func (c *Coder) words(w *worker, dst []int32, text string, first bool) []int32 {
	if text == "" {
		return dst
	}
	for _, r := range c.prepare {
		text = r(text, first)
	}
	spans := append(w.spans[:0], span{0, len(text)})
	other := w.other
	for _, s := range c.split {
		other = other[:0]
		for _, p := range spans {
			other = s.split(other, text, p)
		}
		spans, other = other, spans
	}
	w.spans, w.other = spans, other
	for _, p := range spans {
		dst = c.model.encode(w, dst, text[p.from:p.to])
	}
	return dst
}

// Piece implements [Tokenizer].
func (c *Coder) Piece(id int32) string {
	if id < 0 || int(id) >= len(c.pieces) {
		return ""
	}
	return c.pieces[id]
}

// Decode implements [Tokenizer].
func (c *Coder) Decode(ids []int32) string {
	var b strings.Builder
	for i, id := range ids {
		p := c.Piece(id)
		if i == 0 && c.trimFirst {
			p = strings.TrimPrefix(p, " ")
		}
		b.WriteString(p)
	}
	return b.String()
}

// TrimsFirst implements [Tokenizer].
func (c *Coder) TrimsFirst() bool { return c.trimFirst }

// ID implements [Tokenizer].
func (c *Coder) ID(piece string) (int32, bool) {
	if id, ok := c.names[piece]; ok {
		return id, true
	}
	if id, ok := c.model.id(piece); ok {
		return id, true
	}
	return c.model.id(strings.ReplaceAll(piece, " ", metaSpace))
}

// Special implements [Tokenizer].
func (c *Coder) Special(id int32) bool {
	return id >= 0 && int(id) < len(c.special) && c.special[id]
}

// Specials implements [Tokenizer].
func (c *Coder) Specials() []string {
	var out []string
	for _, set := range []*addedSet{c.raw, c.clean} {
		if set == nil {
			continue
		}
		for _, t := range set.tokens {
			if t.special && t.text != "" {
				out = append(out, t.text)
			}
		}
	}
	return out
}

// Vocab implements [Tokenizer].
func (c *Coder) Vocab() int { return len(c.pieces) }

// BOS implements [Tokenizer].
func (c *Coder) BOS() int32 { return c.bos }

// EOS implements [Tokenizer].
func (c *Coder) EOS() int32 { return c.eos }

// EOG implements [Tokenizer]; the caller owns the slice.
func (c *Coder) EOG() []int32 { return slices.Clone(c.eog) }

// AddBOS implements [Tokenizer].
func (c *Coder) AddBOS() bool { return c.addBOS }
