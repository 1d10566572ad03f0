// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// FromJSON builds the tokenizer of a tokenizer.json. config is the tokenizer_config.json beside it, or nil; from it come the
// tokens that begin and end a text. A part that Go does not implement is an [*UnsupportedError].
func FromJSON(data, config []byte) (*Coder, error) {
	var f jsonFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	cfg, err := readConfig(config)
	if err != nil {
		return nil, err
	}
	b := builder{c: &Coder{names: make(map[string]int32)}, file: &f, limit: len(data)}
	if err := b.build(); err != nil {
		return nil, err
	}
	b.ends(cfg)
	return b.c, nil
}

func readConfig(config []byte) (cfg jsonConfig, err error) {
	if len(config) == 0 {
		return cfg, nil
	}
	if err := json.Unmarshal(config, &cfg); err != nil {
		return cfg, fmt.Errorf("tokenizer: tokenizer_config.json: %w", err)
	}
	return cfg, nil
}

// jsonFile is the part of tokenizer.json that ids depend on.
type jsonFile struct {
	AddedTokens   []jsonAdded `json:"added_tokens"`
	Normalizer    *jsonPart   `json:"normalizer"`
	PreTokenizer  *jsonPart   `json:"pre_tokenizer"`
	PostProcessor *jsonPart   `json:"post_processor"`
	Decoder       *jsonPart   `json:"decoder"`
	Model         jsonModel   `json:"model"`
}

type jsonAdded struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type jsonModel struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       json.RawMessage `json:"merges"`
	Unk          string          `json:"unk_token"`
	UnkID        *int32          `json:"unk_id"`
	Prefix       string          `json:"continuing_subword_prefix"`
	Suffix       string          `json:"end_of_word_suffix"`
	FuseUnk      bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
}

// jsonConfig is the part of tokenizer_config.json that names tokens; each is a string or an object with content.
type jsonConfig struct {
	BOS    jsonToken `json:"bos_token"`
	EOS    jsonToken `json:"eos_token"`
	AddBOS *bool     `json:"add_bos_token"`
}

type jsonToken string

func (t *jsonToken) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = jsonToken(s)
		return nil
	}
	var o struct {
		Content string `json:"content"`
	}
	err := json.Unmarshal(data, &o)
	*t = jsonToken(o.Content)
	return err
}

// builder collects a Coder from the parts of a tokenizer.json.
type builder struct {
	c      *Coder
	file   *jsonFile
	limit  int      // ids must be below: no vocabulary has more tokens than its file has bytes
	tokens []string // by id, in the model's spelling; added tokens are not among them unless the model has them
	known  []bool   // by id: the model has it
	scores []float64
	unk    int32

	byteLevel  bool // tokens are in the byte-level alphabet
	wordSpaces bool // decoding puts a space between tokens
}

func (b *builder) build() error {
	b.c.bos, b.c.eos = -1, -1
	if err := b.vocabulary(); err != nil {
		return err
	}
	if err := b.addTokens(); err != nil {
		return err
	}
	if err := b.normalizers(b.file.Normalizer); err != nil {
		return err
	}
	if err := b.preTokenizers(b.file.PreTokenizer); err != nil {
		return err
	}
	if err := b.model(); err != nil {
		return err
	}
	return b.pieces()
}

func (b *builder) grow(id int32) error {
	if id < 0 || int(id) > b.limit {
		return fmt.Errorf("tokenizer: tokenizer.json: want ids between 0 and %d, found %d", b.limit, id)
	}
	for int(id) >= len(b.tokens) {
		b.tokens = append(b.tokens, "")
		b.known = append(b.known, false)
	}
	return nil
}

// vocabulary reads an object of ids, or unigram's list of pairs of token and score.
func (b *builder) vocabulary() error {
	if b.file.Model.Type == "Unigram" {
		return b.scored()
	}
	var vocab map[string]int32
	if err := json.Unmarshal(b.file.Model.Vocab, &vocab); err != nil {
		return fmt.Errorf("tokenizer: tokenizer.json: model.vocab: %w", err)
	}
	for t, id := range vocab {
		if err := b.grow(id); err != nil {
			return err
		}
		if b.known[id] {
			return fmt.Errorf("tokenizer: tokenizer.json: model.vocab: id %d belongs to %q and to %q", id, b.tokens[id], t)
		}
		b.tokens[id], b.known[id] = t, true
	}
	b.unk = -1
	if id, ok := vocab[b.file.Model.Unk]; ok && b.file.Model.Unk != "" {
		b.unk = id
	}
	return nil
}

func (b *builder) scored() error {
	var list []scoredToken
	if err := json.Unmarshal(b.file.Model.Vocab, &list); err != nil {
		return fmt.Errorf("tokenizer: tokenizer.json: model.vocab: %w", err)
	}
	for _, t := range list {
		b.tokens, b.known, b.scores = append(b.tokens, t.text), append(b.known, true), append(b.scores, t.score)
	}
	b.unk = -1
	if id := b.file.Model.UnkID; id != nil {
		if *id < 0 || int(*id) >= len(list) {
			return fmt.Errorf("tokenizer: tokenizer.json: model.unk_id: want an id below %d, found %d", len(list), *id)
		}
		b.unk = *id
	}
	return nil
}

// scoredToken is a pair ["token", score].
type scoredToken struct {
	text  string
	score float64
}

func (t *scoredToken) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&t.text, &t.score})
}

func (b *builder) addTokens() error {
	var raw, clean []addedToken
	for i := range b.file.AddedTokens {
		a := &b.file.AddedTokens[i]
		a.Special = a.Special || markup(a.Content)
		if err := b.grow(a.ID); err != nil {
			return err
		}
		t := addedToken{text: a.Content, id: a.ID, special: a.Special, lstrip: a.LStrip, rstrip: a.RStrip, singleWord: a.SingleWord}
		if a.Normalized {
			clean = append(clean, t)
		} else {
			raw = append(raw, t)
		}
		b.c.names[a.Content] = a.ID
	}
	b.c.raw = newAddedSet(raw)
	if len(clean) > 0 {
		b.c.clean = newAddedSet(clean)
	}
	b.c.special = make([]bool, len(b.tokens))
	for _, a := range b.file.AddedTokens {
		b.c.special[a.ID] = a.Special
	}
	return nil
}

// ends sets what begins and ends a text: from the config, and from the template that the post-processor puts around a text.
func (b *builder) ends(cfg jsonConfig) {
	c := b.c
	if id, ok := c.ID(string(cfg.BOS)); ok && cfg.BOS != "" {
		c.bos = id
	}
	if id, ok := c.ID(string(cfg.EOS)); ok && cfg.EOS != "" {
		c.eos = id
	}
	if first := b.file.PostProcessor.firstSpecial(); first != "" {
		if id, ok := c.ID(first); ok {
			c.bos, c.addBOS = id, true
		}
	} else if cfg.AddBOS != nil && b.file.PostProcessor == nil {
		c.addBOS = *cfg.AddBOS && c.bos >= 0
	}
	c.eog = endings(c, c.eos)
}

// firstSpecial is the special token that a TemplateProcessing puts before a single text.
func (p *jsonPart) firstSpecial() string {
	if p == nil {
		return ""
	}
	for i := range p.Processors {
		if s := p.Processors[i].firstSpecial(); s != "" {
			return s
		}
	}
	if p.Type == "TemplateProcessing" && len(p.Single) > 0 && p.Single[0].SpecialToken != nil {
		return p.Single[0].SpecialToken.ID
	}
	return ""
}

// spelled is the text of a token, without regard to joining spaces.
func (b *builder) spelled(letters *alphabet, id int) string {
	t := b.tokens[id]
	if b.byteLevel {
		return letters.decode(t)
	}
	if b.file.Model.ByteFallback {
		if x, ok := hexByte(t); ok {
			return string([]byte{x})
		}
	}
	return strings.ReplaceAll(t, metaSpace, " ")
}

// pieces fills the table of texts.
func (b *builder) pieces() error {
	if err := b.decoders(b.file.Decoder); err != nil {
		return err
	}
	letters := newAlphabet()
	b.c.pieces = make([]string, len(b.tokens))
	for id := range b.tokens {
		if b.known[id] {
			b.c.pieces[id] = b.spelled(letters, id)
		}
	}
	for _, a := range b.file.AddedTokens {
		b.c.pieces[a.ID] = a.Content
	}
	if b.wordSpaces {
		for id, p := range b.c.pieces {
			b.c.pieces[id] = " " + p
		}
	}
	return nil
}
