// SPDX-License-Identifier: Apache-2.0

// Package corpus turns files of texts into sequences of tokens, and runs those through a model to get at its activations.
//
// [Load] reads files into a [Corpus]; a [Reader] runs one sequence after the other, each alone; a [Source] feeds a trainer.
package corpus

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// Sequence is tokens that a model runs from position 0.
type Sequence struct {
	IDs    []int32
	Source int // number of the text that it is a piece of
}

// Corpus is all sequences of some files.
type Corpus struct {
	Sequences []Sequence
	Sources   int // texts and dialogues
	Dialogues int // of these
	Tokens    int
}

// Options says how texts become sequences.
type Options struct {
	Piece    int  // most tokens of a sequence of running text, which is cut into such pieces
	Dialogue int  // most tokens of a dialogue, which is never cut but for its end: each is run alone (FAST, arXiv 2506.07691)
	BOS      bool // begin every piece of text with the tokenizer's begin token
	Limit    int  // most sequences; 0 is all
}

// Model is what makes tokens of text: a model on disk or an opened one.
type Model interface {
	Tokenizer() (tokenizer.Tokenizer, error)
	Template() (*chat.Template, error)
}

// loader makes one corpus.
type loader struct {
	o        Options
	model    Model
	tok      tokenizer.Tokenizer
	template *chat.Template
	corpus   Corpus
}

// Load reads texts: .jsonl has one a line, .json a list; each is a string, {"text": …} or {"messages": […]}, which goes through the model's chat template.
// .safetensors has one integer tensor [sequences, tokens], negative numbers behind the end of a row. Any other file is one running text.
func Load(paths []string, m Model, o Options) (*Corpus, error) {
	if o.Piece < 2 || o.Dialogue < 2 {
		return nil, fmt.Errorf("corpus: want sequences of at least 2 tokens, found %d and %d", o.Piece, o.Dialogue)
	}
	tok, err := m.Tokenizer()
	if err != nil && !errors.Is(err, models.ErrNoTokenizer) {
		return nil, err
	}
	l := &loader{o: o, model: m, tok: tok}
	if o.BOS && (tok == nil || tok.BOS() < 0) {
		return nil, errors.New("corpus: want a begin token before every text, but the model's tokenizer has none")
	}
	for _, path := range paths {
		if err := l.file(path); err != nil {
			return nil, fmt.Errorf("corpus: %s: %w", path, err)
		}
	}
	if len(l.corpus.Sequences) == 0 {
		return nil, fmt.Errorf("corpus: want texts of at least 2 tokens, found none in %d files", len(paths))
	}
	return &l.corpus, nil
}

func (l *loader) file(path string) error {
	switch filepath.Ext(path) {
	case ".jsonl":
		return l.lines(path)
	case ".json":
		return l.list(path)
	case ".safetensors":
		return l.ids(path)
	}
	return l.plain(path)
}

func (l *loader) full() bool { return l.o.Limit > 0 && len(l.corpus.Sequences) >= l.o.Limit }

// add takes a sequence that is long enough to predict a token of.
func (l *loader) add(ids []int32) {
	if len(ids) < 2 || l.full() {
		return
	}
	l.corpus.Sequences = append(l.corpus.Sequences, Sequence{IDs: ids, Source: l.corpus.Sources})
	l.corpus.Tokens += len(ids)
}

// text cuts a text into pieces. Special tokens that are written out in it are ordinary text.
func (l *loader) text(s string) error {
	if l.tok == nil {
		return models.ErrNoTokenizer
	}
	ids := l.tok.Encode(nil, s, false)
	for len(ids) > 0 && !l.full() {
		var piece []int32
		if l.o.BOS {
			piece = append(piece, l.tok.BOS())
		}
		n := min(l.o.Piece-len(piece), len(ids))
		l.add(append(piece, ids[:n]...))
		ids = ids[n:]
	}
	l.corpus.Sources++
	return nil
}

func (l *loader) dialogue(messages []chat.Message) error {
	if l.tok == nil {
		return models.ErrNoTokenizer
	}
	if l.template == nil {
		t, err := l.model.Template()
		if err != nil {
			return err
		}
		l.template = t
	}
	ids, err := l.template.Tokens(nil, l.tok, messages, false)
	if err != nil {
		return err
	}
	l.add(ids[:min(len(ids), l.o.Dialogue)])
	l.corpus.Sources++
	l.corpus.Dialogues++
	return nil
}

// Order returns the numbers of all sequences, for a seed above 0 in an order that depends on it alone.
func (c *Corpus) Order(seed uint64) []int {
	if seed > 0 {
		return rand.New(rand.NewPCG(seed, 0)).Perm(len(c.Sequences))
	}
	out := make([]int, len(c.Sequences))
	for i := range out {
		out[i] = i
	}
	return out
}

// Digest sums up the tokens of some sequences: equal texts in another tokenisation or order have another.
func (c *Corpus) Digest(order []int) string {
	sum := sha256.New()
	for _, s := range order {
		ids := c.Sequences[s].IDs
		buf := binary.LittleEndian.AppendUint32(nil, uint32(len(ids)))
		for _, id := range ids {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
		}
		sum.Write(buf)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
