// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"slices"
	"strings"
)

// markers are the characters that may mean something to the grammar.
const markers = `*@=[]:,#"`

// quote puts a name in double quotes where it has one of some characters, or spaces around it.
func quote(name, chars string) string {
	if !strings.ContainsAny(name, chars) && name == strings.TrimSpace(name) {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// quotes marks what stands in quotes, so that the later steps see no marker there.
func (p *parser) quotes(*Spec) error {
	p.quoted = make([]bool, len(p.text))
	open := -1
	for i := p.start; i < p.end; i++ {
		p.quoted[i] = open >= 0 || p.text[i] == '"'
		switch {
		case p.text[i] == '\\' && open >= 0 && i+1 < p.end && strings.IndexByte(`\"`, p.text[i+1]) >= 0:
			i++
			p.quoted[i] = true
		case p.text[i] == '"' && open >= 0:
			open = -1
		case p.text[i] == '"':
			open = i
		}
	}
	if open >= 0 {
		return p.fault(open, p.end, "a closing quote")
	}
	return nil
}

// name reads text[at:to], which is in quotes as a whole or not at all.
func (p *parser) name(at, to int, want string) (string, error) {
	raw := strings.TrimSpace(p.text[at:to])
	if raw == "" {
		return "", p.fault(at, to, want)
	}
	if !strings.Contains(raw, `"`) {
		return raw, nil
	}
	at += strings.Index(p.text[at:to], raw)
	to = at + len(raw)
	if raw[0] != '"' || slices.Contains(p.quoted[at:to], false) {
		return "", p.fault(at, to, "quotes around the whole name")
	}
	name, closed := unquote(raw[1:])
	if name == "" || !closed {
		return "", p.fault(at, to, want)
	}
	return name, nil
}

// unquote reads up to the closing quote and tells whether that is the last character.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			return b.String(), i == len(s)-1
		}
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == '"') {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), false
}
