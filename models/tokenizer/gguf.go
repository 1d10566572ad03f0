// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"fmt"
	"strings"
)

// GGUF is a tokenizer as a GGUF file's metadata hold it; each field names its key below tokenizer.ggml.
// An id of -1 and a nil pointer mean that the file has no such key.
type GGUF struct {
	Model  string    // model: gpt2 is byte-level BPE, llama SentencePiece BPE, t5 unigram
	Pre    string    // pre: the name of the pre-tokenizer
	Tokens []string  // tokens
	Scores []float32 // scores
	Types  []int32   // token_type
	Merges []string  // merges

	BOS, EOS, EOT, EOM, UNK int32 // bos_token_id, eos_token_id, eot_token_id, eom_token_id, unknown_token_id

	AddBOS         *bool  // add_bos_token
	AddSpacePrefix *bool  // add_space_prefix
	Name           string // general.name: the Phi-3 family is told by it, whose special tokens take the white space after them
}

// Token types of token_type, the same numbers as in SentencePiece's model files.
const (
	typeNormal  = 1
	typeUnknown = 2
	typeControl = 3
	typeUser    = 4
	typeUnused  = 5
	typeByte    = 6
)

// FromGGUF builds the tokenizer of a GGUF file. It keeps the slices of g.
func FromGGUF(g GGUF) (*Coder, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	var c *Coder
	var err error
	switch g.Model {
	case "gpt2":
		c, err = g.byteLevel()
	case "llama":
		c, err = g.sentencePiece()
	case "t5":
		c, err = g.unigram()
	default:
		err = unsupported("tokenizer.ggml.model", g.Model)
	}
	if err != nil {
		return nil, err
	}
	c.bos, c.eos = g.BOS, g.EOS
	c.eog = endings(c, g.EOS, g.EOT, g.EOM)
	if g.AddBOS != nil {
		c.addBOS = *g.AddBOS
	}
	c.addBOS = c.addBOS && c.bos >= 0
	return c, nil
}

func (g *GGUF) check() error {
	n := len(g.Tokens)
	if n == 0 && g.Model != "none" && g.Model != "no_vocab" {
		return fmt.Errorf("tokenizer: tokenizer.ggml.tokens: want tokens, found none")
	}
	if g.Types != nil && len(g.Types) != n {
		return fmt.Errorf("tokenizer: tokenizer.ggml.token_type: want %d entries as there are tokens, found %d", n, len(g.Types))
	}
	if g.Scores != nil && len(g.Scores) != n {
		return fmt.Errorf("tokenizer: tokenizer.ggml.scores: want %d entries as there are tokens, found %d", n, len(g.Scores))
	}
	ids := []struct {
		key string
		id  int32
	}{{"bos", g.BOS}, {"eos", g.EOS}, {"eot", g.EOT}, {"eom", g.EOM}, {"unknown", g.UNK}}
	for _, f := range ids {
		if f.id < -1 || int(f.id) >= n {
			return fmt.Errorf("tokenizer: tokenizer.ggml.%s_token_id: want an id below %d, found %d", f.key, n, f.id)
		}
	}
	return nil
}

// kind is the type of a token; without a list all are normal. Markup that a file calls text is markup all the same.
func (g *GGUF) kind(id int) int32 {
	kind := int32(typeNormal)
	if g.Types != nil {
		kind = g.Types[id]
	}
	if kind == typeNormal && endsGeneration(g.Tokens[id]) || kind == typeUser && markup(g.Tokens[id]) {
		return typeControl
	}
	return kind
}

// start makes a Coder with the tables that all kinds share; spell gives the text of a normal token.
func (g *GGUF) start(spell func(id int, token string) string) *Coder {
	c := &Coder{pieces: make([]string, len(g.Tokens)), special: make([]bool, len(g.Tokens)), names: make(map[string]int32)}
	phi3 := strings.Contains(strings.ToLower(g.Name), "phi-3") || strings.Contains(strings.ToLower(g.Name), "phi3")
	var added []addedToken
	for i, t := range g.Tokens {
		switch g.kind(i) {
		case typeControl, typeUnknown:
			c.special[i] = true
			c.pieces[i] = t
			added = append(added, addedToken{text: t, id: int32(i), special: true, rstrip: phi3 && takesSpace(t)})
		case typeUser:
			c.pieces[i] = t
			added = append(added, addedToken{text: t, id: int32(i), rstrip: phi3 && t == "</s>"})
		default:
			c.pieces[i] = spell(i, t)
			continue
		}
		if _, twice := c.names[t]; !twice {
			c.names[t] = int32(i)
		}
	}
	c.raw = newAddedSet(added)
	return c
}

func takesSpace(token string) bool {
	return token != "<unk>" && token != "<s>" && token != "<|endoftext|>"
}

func (g *GGUF) byteLevel() (*Coder, error) {
	pre, err := presetFor(g.Pre)
	if err != nil {
		return nil, err
	}
	letters := newAlphabet()
	c := g.start(func(_ int, t string) string { return letters.decode(t) })
	vocab := make(map[string]int32, len(g.Tokens))
	for i, p := range c.pieces {
		if k := g.kind(i); k == typeControl || k == typeUnknown || k == typeUser {
			continue
		}
		if _, twice := vocab[p]; !twice {
			vocab[p] = int32(i)
		}
	}
	table, err := mergeTable(vocab, len(g.Merges), func(i int) (string, string, error) { return splitMerge(letters, g.Merges[i], i) })
	if err != nil {
		return nil, err
	}
	m := &bpe{vocab: vocab, merges: table, unk: -1, byteLevel: true, whole: pre.whole}
	m.bytes = byteIDs(func(b byte) (int32, bool) { return m.id(string([]byte{b})) })
	c.model, c.split, c.addBOS = m, pre.split, pre.addBOS
	return c, nil
}

// splitMerge reads "left right", in the byte-level alphabet where letters is given.
func splitMerge(letters *alphabet, line string, i int) (string, string, error) {
	left, right, ok := strings.Cut(line, " ")
	if !ok || left == "" || right == "" {
		return "", "", fmt.Errorf("tokenizer: merge %d: want two tokens with a space between them, found %q", i, line)
	}
	if letters == nil {
		return left, right, nil
	}
	return letters.decode(left), letters.decode(right), nil
}

// plainPiece is the text of a SentencePiece token.
func (g *GGUF) plainPiece(id int, t string) string {
	if g.kind(id) == typeByte {
		if b, ok := hexByte(t); ok {
			return string([]byte{b})
		}
	}
	return strings.ReplaceAll(t, metaSpace, " ")
}

func (g *GGUF) sentencePiece() (*Coder, error) {
	if g.Scores == nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.ggml.scores: want a score for each token of a llama vocabulary, found none")
	}
	c := g.start(g.plainPiece)
	m := newSPM(g.Tokens, g.Scores, g.buildable)
	m.unk, m.bytes = g.unknown(), byteTokens(g.Tokens, func(i int) bool { return g.kind(i) == typeByte })
	g.finishPieces(c, m)
	c.split = byWords(m.vocab)
	return c, nil
}

func (g *GGUF) unigram() (*Coder, error) {
	if g.Scores == nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.ggml.scores: want a score for each token of a t5 vocabulary, found none")
	}
	scores := make([]float64, len(g.Scores))
	for i, s := range g.Scores {
		scores[i] = float64(s)
	}
	c := g.start(g.plainPiece)
	m := newUnigram(g.Tokens, scores, g.unknown(), g.buildable)
	m.bytes = byteTokens(g.Tokens, func(i int) bool { return g.kind(i) == typeByte })
	g.finishPieces(c, m)
	return c, nil
}

func (g *GGUF) buildable(id int32) bool {
	k := g.kind(int(id))
	return k == typeNormal || k == typeUser
}

// unknown is the id of the unknown token: the file's, else the first of that type, else -1.
func (g *GGUF) unknown() int32 {
	if g.UNK >= 0 {
		return g.UNK
	}
	for i := range g.Tokens {
		if g.Types != nil && g.Types[i] == typeUnknown {
			return int32(i)
		}
	}
	return -1
}

// finishPieces sets what SentencePiece kinds share. llama.cpp puts the space before every stretch between special tokens.
func (g *GGUF) finishPieces(c *Coder, m model) {
	c.model = m
	c.addBOS = true
	c.trimFirst = g.AddSpacePrefix == nil || *g.AddSpacePrefix
	if c.trimFirst {
		c.normalize = append(c.normalize, prepend(" ", false))
	}
	c.normalize = append(c.normalize, replace(" ", metaSpace))
}

// byteTokens finds the tokens <0x00> to <0xFF> among those that are of the right kind.
func byteTokens(tokens []string, kind func(id int) bool) (ids [256]int32) {
	for b := range ids {
		ids[b] = -1
	}
	for i, t := range tokens {
		if b, ok := hexByte(t); ok && kind(i) && ids[b] < 0 {
			ids[b] = int32(i)
		}
	}
	return ids
}
