// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/experts"
)

// Parse reads one spec by the grammar in the package comment, without opening a file; what it refuses it refuses with a *SpecError.
func Parse(spec string) (*Spec, error) {
	p := &parser{text: spec, end: len(spec)}
	out := &Spec{}
	for _, step := range []func(*Spec) error{p.kind, p.quotes, p.modifiers, p.sites, p.features, p.mask, p.value, p.strength, p.sources} {
		if err := step(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// parser takes a spec off from the right; text[start:end] is what is left of it.
type parser struct {
	text       string
	start, end int
	quoted     []bool // which bytes of text stand in quotes, the quotes themselves included
}

// fault reports what stands at text[at:to], or the end of the spec where that is empty.
func (p *parser) fault(at, to int, want string) error {
	got := "nothing"
	if at < to {
		got = strconv.Quote(p.text[at:to])
	}
	return &SpecError{Spec: p.text, Column: utf8.RuneCountInString(p.text[:at]) + 1, Want: want, Got: got}
}

func (p *parser) kind(s *Spec) error {
	if !utf8.ValidString(p.text) {
		return p.fault(0, len(p.text), "UTF-8 text")
	}
	name, _, found := strings.Cut(p.text, ":")
	s.Kind = Kind(name)
	if !found || !slices.Contains(Kinds(), s.Kind) {
		var known []string
		for _, k := range Kinds() {
			known = append(known, string(k)+":")
		}
		return p.fault(0, len(name), "one of "+strings.Join(known, ", "))
	}
	p.start = len(name) + 1
	return nil
}

// mark returns the index of the last marker c outside quotes, or -1. A marker that a slash follows is part of a path.
func (p *parser) mark(c byte) int {
	for i := p.end - 1; i >= p.start; i-- {
		switch {
		case p.quoted[i]:
		case p.text[i] == c:
			return i
		case p.text[i] == '/' || p.text[i] == '\\':
			return -1
		}
	}
	return -1
}

func (p *parser) sites(s *Spec) error {
	at := p.mark('@')
	if at < 0 {
		return nil
	}
	var parts []string
	pos := at + 1
	for part := range strings.SplitSeq(p.text[at+1:p.end], ",") {
		if !siteLike(strings.TrimSpace(part)) {
			return p.fault(pos, pos+len(part), "sites such as resid_post.10-20 after @ (a file name with @ stands in quotes)")
		}
		parts = append(parts, strings.TrimSpace(part))
		pos += len(part) + 1
	}
	s.Sites, p.end = strings.Join(parts, ","), at
	return nil
}

// siteLike tells whether a text has the form of a site in either spelling or of a pattern; whether there is such a site is for the model's shape to say.
func siteLike(part string) bool {
	point, layers, perLayer := strings.Cut(part, ".")
	if point == "blocks" {
		layers, after, _ := strings.Cut(layers, ".")
		return layersLike(layers) && strings.HasPrefix(after[strings.LastIndexByte(after, '.')+1:], "hook_")
	}
	if strings.ContainsAny(point, "*?[") {
		return !strings.ContainsAny(point, "\"@= ") && layersLike(layers)
	}
	for _, known := range hooks.Points() {
		if point == string(known) {
			return known.PerLayer() == perLayer && (!perLayer || layersLike(layers))
		}
	}
	return part == "hook_embed"
}

// layersLike accepts *, 7, -1, 10-20.
func layersLike(layers string) bool {
	return layers == "*" || (layers != "" && strings.Trim(layers, "0123456789-") == "")
}

// features reads what follows # in sae and itda, which the dictionary's own reader takes apart.
func (p *parser) features(s *Spec) error {
	if !s.dictionary() {
		return nil
	}
	at := p.mark('#')
	if at < 0 {
		return nil
	}
	s.Text = strings.TrimSpace(p.text[at+1 : p.end])
	if s.Text == "" {
		return p.fault(at+1, p.end, "FEATURE=VALUE behind # (a file name with # stands in quotes)")
	}
	p.end = at
	return nil
}

// mask reads MODE=LAYER/EXPERT,...[*STRENGTH] and the word watch in experts; anything else is a file.
func (p *parser) mask(s *Spec) error {
	name, _, found := strings.Cut(p.text[p.start:p.end], "=")
	name, _, _ = strings.Cut(name, "*")
	name = strings.TrimSpace(name)
	if s.Kind == KindExperts && name == expertsWatch && !found {
		s.Text, p.end = name, p.start
		return nil
	}
	if _, err := experts.ParseMode(name); s.Kind != KindExperts || !found || err != nil {
		return nil
	}
	if err := p.strength(s); err != nil {
		return err
	}
	text := strings.TrimSpace(p.text[p.start:p.end])
	if _, err := experts.Parse(text); err != nil {
		return p.fault(p.start, p.end, "a mask as MODE=LAYER/EXPERT,... ("+err.Error()+")")
	}
	s.Text, p.end = text, p.start
	return nil
}

// value reads what follows = in clamp and rotate; in the other kinds = is part of a name.
func (p *parser) value(s *Spec) error {
	if s.Kind != KindClamp && !s.rotates() {
		return nil
	}
	want := "=DEGREES"
	if s.Kind == KindClamp {
		want = "=LO..HI"
	}
	at := p.mark('=')
	if at < 0 {
		return p.fault(p.end, p.end, want+" behind the file")
	}
	end := p.end
	p.end = at
	if s.rotates() {
		degrees, err := p.float(at+1, end, "a number of degrees")
		s.Strength = &degrees
		return err
	}
	low, _, found := strings.Cut(p.text[at+1:end], "..")
	if !found {
		return p.fault(at+1, end, "bounds as LO..HI")
	}
	var err error
	if s.Low, err = p.float(at+1, at+1+len(low), "the lower bound"); err != nil {
		return err
	}
	if s.High, err = p.float(at+len(low)+3, end, "the upper bound"); err != nil {
		return err
	}
	if s.Low > s.High {
		return p.fault(at+1, end, "a lower bound that is not above the upper one")
	}
	return nil
}

func (p *parser) strength(s *Spec) error {
	at := p.mark('*')
	if at < 0 || s.rotates() {
		return nil
	}
	c, err := p.float(at+1, p.end, "a number after * (a file name with * stands in quotes)")
	s.Strength, p.end = &c, at
	return err
}

func (p *parser) float(at, to int, want string) (float32, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(p.text[at:to]), 32)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, p.fault(at, to, want)
	}
	return float32(f), nil
}

// sources reads what is left: one file, or for a plane two with a comma between them where no .npy file has both.
func (p *parser) sources(s *Spec) error {
	if s.Kind == KindExperts && s.Text != "" {
		return nil
	}
	if !s.rotates() {
		return p.source(s)
	}
	commas := 0
	comma := p.end
	for i := p.start; i < p.end; i++ {
		if p.text[i] == ',' && !p.quoted[i] {
			commas, comma = commas+1, i
		}
	}
	if commas == 0 && strings.HasSuffix(strings.Trim(p.text[p.start:p.end], ` "`), ".npy") {
		return p.source(s)
	}
	if commas != 1 {
		const want = "two files with one comma between them, or one .npy file of planes (found %d; a file name with a comma stands in quotes)"
		return p.fault(p.start, p.end, fmt.Sprintf(want, commas))
	}
	end := p.end
	p.end = comma
	if err := p.source(s); err != nil {
		return err
	}
	p.start, p.end = comma+1, end
	return p.source(s)
}

// labels returns the index of the colon before a file of labels, whose path may have slashes, or -1.
func (p *parser) labels() int {
	for i := p.end - 1; i >= p.start; i-- {
		if p.text[i] == ':' && !p.quoted[i] && strings.HasSuffix(strings.Trim(p.text[i:p.end], `" `), ".json") {
			return i
		}
	}
	return -1
}

func (p *parser) source(s *Spec) error {
	var src Source
	var err error
	colon := p.mark(':')
	if s.dictionary() {
		colon = p.labels()
	}
	if colon >= 0 {
		const want = "the name of a family of directions after the colon (a file name with a colon stands in quotes)"
		if src.Family, err = p.name(colon+1, p.end, want); err != nil {
			return err
		}
		p.end = colon
	}
	if src.Path, err = p.name(p.start, p.end, "a file"); err != nil {
		return err
	}
	s.Sources = append(s.Sources, src)
	return nil
}
