// SPDX-License-Identifier: Apache-2.0

package models

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// hfTokenizer reads tokenizer.json or tokenizer.model; what ends a generation may stand in generation_config.json and config.json too.
func hfTokenizer(dir string, config settings, native func(tokenizerJSON []byte) (tokenizer.Engine, error)) (tokenizer.Tokenizer, error) {
	c, err := tokenizer.OpenWith(dir, native)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoTokenizer
	}
	if err != nil {
		return nil, err
	}
	generation, err := readSettings(dir, "generation_config.json", true)
	if err != nil {
		return nil, err
	}
	ends := c.EOG()
	for _, s := range []settings{generation, config} {
		ends = append(slices.Clip(ends), s.ids("eos_token_id")...)
	}
	if *generation.err != nil {
		return nil, *generation.err
	}
	slices.Sort(ends)
	return ending{c, slices.Compact(ends)}, nil
}

// ending is a tokenizer with more ids that end a generation.
type ending struct {
	tokenizer.Tokenizer
	ends []int32
}

// EOG implements tokenizer.Tokenizer.
func (e ending) EOG() []int32 { return e.ends }

// EOS is the tokenizer's own, or else the first id that ends a generation.
func (e ending) EOS() int32 {
	if id := e.Tokenizer.EOS(); id >= 0 || len(e.ends) == 0 {
		return id
	}
	return e.ends[0]
}

// ids reads one id or a list of them.
func (s settings) ids(name string) []int32 {
	_, v := s.find(name)
	if v == nil {
		return nil
	}
	var list []int32
	if json.Unmarshal(v, &list) == nil {
		return list
	}
	return []int32{int32(s.countOr(0, name))}
}

// hfTemplate finds the chat template: a file of its own, or in tokenizer_config.json, where it may be one of several with names.
func hfTemplate(dir string, tok func() (tokenizer.Tokenizer, error)) (*chat.Template, error) {
	source, err := templateSource(dir)
	if err != nil {
		return nil, err
	}
	t, err := tok()
	if source == "" || err != nil {
		return nil, ErrNoTemplate
	}
	return chat.Parse(source, chat.Options{BOS: t.Piece(t.BOS()), EOS: t.Piece(t.EOS())})
}

func templateSource(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
	if err == nil {
		return string(data), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, name := range []string{"tokenizer_config.json", "chat_template.json"} {
		s, err := readSettings(dir, name, true)
		if err != nil {
			return "", err
		}
		if text := s.template(); text != "" {
			return text, nil
		}
	}
	return "", nil
}

// template reads chat_template: a text, or a list of named ones of which the one called default counts.
func (s settings) template() string {
	_, v := s.find("chat_template")
	var text string
	if v == nil || json.Unmarshal(v, &text) == nil {
		return text
	}
	var named []struct{ Name, Template string }
	if json.Unmarshal(v, &named) != nil {
		return ""
	}
	for _, t := range named {
		if t.Name == "default" {
			return t.Template
		}
	}
	return ""
}
