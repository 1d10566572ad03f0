// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"encoding/json"
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// jsonPart is a normalizer, pre-tokenizer, post-processor or decoder: the union of the fields of those that are implemented.
type jsonPart struct {
	Type string `json:"type"`

	Normalizers   []jsonPart `json:"normalizers"`
	PreTokenizers []jsonPart `json:"pretokenizers"`
	Processors    []jsonPart `json:"processors"`
	Decoders      []jsonPart `json:"decoders"`

	Pattern          *jsonPattern `json:"pattern"`
	Behavior         string       `json:"behavior"`
	Invert           bool         `json:"invert"`
	Content          string       `json:"content"`
	Prepend          string       `json:"prepend"`
	StripLeft        bool         `json:"strip_left"`
	StripRight       bool         `json:"strip_right"`
	Start            int          `json:"start"`
	Stop             int          `json:"stop"`
	AddPrefixSpace   *bool        `json:"add_prefix_space"`
	UseRegex         *bool        `json:"use_regex"`
	IndividualDigits bool         `json:"individual_digits"`
	Replacement      string       `json:"replacement"`
	PrependScheme    string       `json:"prepend_scheme"`
	SplitPieces      *bool        `json:"split"`

	Single []struct {
		SpecialToken *struct {
			ID string `json:"id"`
		} `json:"SpecialToken"`
	} `json:"single"`

	Charsmap json.RawMessage `json:"precompiled_charsmap"`
}

// jsonPattern is a fixed string or a regular expression.
type jsonPattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func (p *jsonPattern) finder(part string) (finder, error) {
	switch {
	case p != nil && p.String != nil && *p.String != "":
		return literal(*p.String), nil
	case p != nil && p.Regex != nil:
		return newExpression(part, *p.Regex)
	}
	return nil, fmt.Errorf("tokenizer: tokenizer.json: %s: want a pattern, found none", part)
}

// normalizers appends the rewrites of a normalizer.
func (b *builder) normalizers(p *jsonPart) error {
	if p == nil {
		return nil
	}
	if p.Type == "Sequence" {
		for i := range p.Normalizers {
			if err := b.normalizers(&p.Normalizers[i]); err != nil {
				return err
			}
		}
		return nil
	}
	r, err := p.normalizer()
	if err == nil && r != nil {
		b.c.normalize = append(b.c.normalize, r)
	}
	return err
}

func (p *jsonPart) normalizer() (rewrite, error) {
	switch p.Type {
	case "NFC":
		return normalForm(norm.NFC), nil
	case "NFD":
		return normalForm(norm.NFD), nil
	case "NFKC":
		return normalForm(norm.NFKC), nil
	case "NFKD":
		return normalForm(norm.NFKD), nil
	case "Lowercase":
		return lowercase, nil
	case "Strip":
		return strip(p.StripLeft, p.StripRight), nil
	case "StripAccents":
		return stripAccents, nil
	case "Prepend":
		return prepend(p.Prepend, false), nil
	case "Replace":
		f, err := p.Pattern.finder("normalizer Replace")
		if err != nil {
			return nil, err
		}
		return replaceFound(f, p.Content), nil
	case "Precompiled":
		return precompiled(p.Charsmap)
	}
	return nil, unsupported("normalizer", p.Type)
}

// preTokenizers appends the splitters of a pre-tokenizer.
func (b *builder) preTokenizers(p *jsonPart) error {
	if p == nil {
		return nil
	}
	switch p.Type {
	case "Sequence":
		for i := range p.PreTokenizers {
			if err := b.preTokenizers(&p.PreTokenizers[i]); err != nil {
				return err
			}
		}
		return nil
	case "ByteLevel":
		return b.byteLevelPart(p)
	case "Metaspace":
		return b.metaspace(p)
	case "Split":
		return b.splitPart(p)
	case "Digits":
		if p.IndividualDigits {
			b.split(numbers(1))
		} else {
			b.split(numbers(0))
		}
	case "Whitespace":
		b.split(matcher{match: matchWhitespace, noGaps: true})
	case "WhitespaceSplit":
		b.split(matcher{match: matchNonSpace, noGaps: true})
	case "Punctuation":
		if p.Behavior != "" && p.Behavior != isolated {
			return unsupported("pre_tokenizer Punctuation behavior", p.Behavior)
		}
		b.split(runOf{in: anyPunct, most: 1, least: 1}.splitter())
	default:
		return unsupported("pre_tokenizer", p.Type)
	}
	return nil
}

func (b *builder) split(s splitter) { b.c.split = append(b.c.split, s) }

// rewriteFirst adds a pre-tokenizer that changes text; it can only do so before the text is split.
func (b *builder) rewriteFirst(part string, r rewrite) error {
	if len(b.c.split) > 0 {
		return unsupported("pre_tokenizer order", part+" after a split")
	}
	b.c.prepare = append(b.c.prepare, r)
	return nil
}

func (b *builder) byteLevelPart(p *jsonPart) error {
	b.byteLevel = true
	if p.AddPrefixSpace == nil || *p.AddPrefixSpace {
		if err := b.rewriteFirst("ByteLevel add_prefix_space", leadingSpace); err != nil {
			return err
		}
	}
	if p.UseRegex == nil || *p.UseRegex {
		b.split(cutter(cutGPT2))
	}
	return nil
}

func (b *builder) metaspace(p *jsonPart) error {
	if p.Replacement != "" && p.Replacement != metaSpace {
		return unsupported("pre_tokenizer Metaspace replacement", p.Replacement)
	}
	scheme := p.PrependScheme
	if scheme == "" && p.AddPrefixSpace != nil && !*p.AddPrefixSpace {
		scheme = "never"
	}
	if err := b.rewriteFirst("Metaspace", metaspaced(scheme)); err != nil {
		return err
	}
	if p.SplitPieces == nil || *p.SplitPieces {
		b.split(cutter(cutMeta))
	}
	return nil
}

// splitPart uses a splitter by hand where there is one for the pattern: those cover the text, so the pieces are the matches
// whether gaps are kept (Isolated) or dropped (Removed, inverted).
func (b *builder) splitPart(p *jsonPart) error {
	covers := p.Behavior == isolated && !p.Invert || p.Behavior == removed && p.Invert
	if p.Pattern != nil && p.Pattern.Regex != nil && covers {
		if c := handMade(*p.Pattern.Regex); c != nil {
			b.split(c)
			return nil
		}
	}
	switch p.Behavior {
	case removed, isolated, withPrev, withNext, joined:
	default:
		return unsupported("pre_tokenizer Split behavior", p.Behavior)
	}
	f, err := p.Pattern.finder("pre_tokenizer Split")
	if err != nil {
		return err
	}
	b.split(pattern{finder: f, behaviour: p.Behavior, invert: p.Invert})
	return nil
}

// handMade is the splitter for a well-known pattern, or nil.
func handMade(pattern string) cutter {
	switch pattern {
	case patternGPT2:
		return cutGPT2
	case patternLlama3:
		return cl100k{digits: 3}.cut
	case patternQwen2:
		return cl100k{digits: 1}.cut
	case patternO200k:
		return o200k{digits: 3, contractions: true}.cut
	case patternTekken:
		return o200k{digits: 1}.cut
	}
	return nil
}

// decoders checks that decoding is what the table of pieces says, and notes how pieces are joined.
func (b *builder) decoders(p *jsonPart) error {
	if p == nil {
		// Without a decoder, tokens are joined by spaces as they are.
		b.wordSpaces = true
		b.c.trimFirst = true
		return nil
	}
	switch p.Type {
	case "Sequence":
		for i := range p.Decoders {
			if err := b.decoders(&p.Decoders[i]); err != nil {
				return err
			}
		}
	case "ByteLevel":
		if !b.byteLevel {
			return unsupported("decoder", "ByteLevel without its pre-tokenizer")
		}
	case "Metaspace":
		b.c.trimFirst = p.PrependScheme != "never" && (p.AddPrefixSpace == nil || *p.AddPrefixSpace)
	case "Strip":
		if p.Content != " " || p.Start != 1 || p.Stop != 0 {
			return unsupported("decoder Strip", fmt.Sprintf("%q %d %d", p.Content, p.Start, p.Stop))
		}
		b.c.trimFirst = true
	case "Replace":
		if p.Pattern == nil || p.Pattern.String == nil || *p.Pattern.String != metaSpace || p.Content != " " {
			return unsupported("decoder", "Replace of anything but U+2581 by a space")
		}
	case "ByteFallback", "Fuse":
	default:
		return unsupported("decoder", p.Type)
	}
	return nil
}
