// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"strings"
)

// When is what a prompt must be like for a spec to act on it (conditional steering, CAST, arXiv 2409.05907): all of its terms hold, or any. Each prompt is
// decided on its own, by its own tokens: those in the cache before it keep what was decided for them. While it passes, a decision rests on what has passed so
// far; it stands for the answer and until the next prompt. Edits at sites before those of the condition come too late for the pass that decides, and act from
// the next one on.
type When struct {
	Terms []Condition
	Any   bool // of several terms one is enough
}

// Condition is one term: how alike the prompt's mean activation h and a condition vector c are, which is cos(h, tanh(P h)) with P the projection onto c. It holds
// where that is above the threshold, or below it, at any of its sites. Position 0 and massive activations do not count unless the spec is [massive].
type Condition struct {
	Source    Source
	Vector    *Vector // in place of the source, of conditions made in Go
	Sites     string  // list for hooks.Shape.Select; empty: each direction's own block
	Last      bool    // the prompt's last token in place of the mean
	Below     bool    // holds below the threshold: what activation-steering calls "larger", since the threshold is the larger one
	Threshold float32
}

// whenWord begins the modifier.
const whenWord = "when "

// String writes the condition as the grammar has it.
func (w When) String() string {
	joint := " and "
	if w.Any {
		joint = " or "
	}
	var terms []string
	for _, c := range w.Terms {
		terms = append(terms, c.String())
	}
	return whenWord + strings.Join(terms, joint)
}

// String writes one term, such as harm.svec@resid_pre.7 above 0.04.
func (c Condition) String() string {
	text := c.Source.String()
	if c.Vector != nil {
		text = c.Vector.Name
	}
	if strings.Contains(text, " ") && !strings.Contains(text, `"`) {
		text = quote(text, " ")
	}
	if c.Sites != "" {
		text += "@" + c.Sites
	}
	if c.Last {
		text = lastWord + text
	}
	word := aboveWord
	if c.Below {
		word = belowWord
	}
	return fmt.Sprintf("%s %s %s", text, word, number(c.Threshold))
}

const (
	lastWord  = "last "
	aboveWord = "above"
	belowWord = "below"
)

// when reads text[at:to], which begins with the word.
func (p *parser) when(s *Spec, at, to int) error {
	at += strings.Index(p.text[at:to], whenWord) + len(whenWord)
	joints := map[string]int{}
	from := at
	for i := at; i <= to; i++ {
		for _, joint := range []string{" and ", " or "} {
			if i == to || p.quoted[i] || !strings.HasPrefix(p.text[i:to], joint) {
				continue
			}
			if err := p.term(s, from, i); err != nil {
				return err
			}
			joints[joint]++
			from = i + len(joint)
		}
	}
	if len(joints) == 2 {
		return p.fault(at, to, "terms joined by and alone, or by or alone")
	}
	s.When.Any = joints[" or "] > 0
	return p.term(s, from, to)
}

// term reads [last] FILE[:FAMILY][@SITES] above|below NUMBER from the right.
func (p *parser) term(s *Spec, at, to int) error {
	var c Condition
	const want = "FILE above NUMBER, or FILE below NUMBER"
	end, word := p.lastWord(at, to)
	f, err := p.float(word, end, want)
	if err != nil {
		return err
	}
	c.Threshold = f
	end, word = p.lastWord(at, word)
	switch p.text[word:end] {
	case aboveWord:
	case belowWord:
		c.Below = true
	default:
		return p.fault(at, to, want)
	}
	for at < word && p.text[at] == ' ' {
		at++
	}
	if strings.HasPrefix(p.text[at:word], lastWord) {
		c.Last = true
		at += len(lastWord)
	}
	inner := &parser{text: p.text, start: at, end: word, quoted: p.quoted}
	read := Spec{Kind: KindVector}
	if err := inner.sites(&read); err != nil {
		return err
	}
	if err := inner.source(&read); err != nil {
		return err
	}
	c.Source, c.Sites = read.Sources[0], read.Sites
	s.When.Terms = append(s.When.Terms, c)
	return nil
}

// lastWord returns the bounds of the last word of text[at:to].
func (p *parser) lastWord(at, to int) (end, start int) {
	for to > at && p.text[to-1] == ' ' {
		to--
	}
	start = to
	for start > at && (p.text[start-1] != ' ' || p.quoted[start-1]) {
		start--
	}
	return to, start
}
