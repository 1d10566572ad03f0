// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Question asks whether the subject is, or with Not is not, what the concept says.
type Question struct {
	Subject, Concept string
	Not              bool
}

// FromEnglish compiles statements by the English grammar in the package comment into a program for the open world, in which what is not said is unknown.
// What it refuses it refuses with a *ParseError.
func FromEnglish(text string) (*Program, error) {
	sentences, err := readSentences(text, 1, 1)
	if err != nil {
		return nil, err
	}
	out := &Program{World: Open}
	singulars := map[string]bool{}
	for _, s := range sentences {
		s.singulars(singulars)
	}
	for _, s := range sentences {
		subject, heads := s.meaning(singulars)
		out.Rules = append(out.Rules, Rule{Body: atom(subject), Heads: heads, Line: s.line, Column: s.column})
	}
	return out, nil
}

// ParseQuestion reads a question by the same grammar, with one complement.
func ParseQuestion(text string) (Question, error) {
	rest := strings.TrimLeftFunc(text, unicode.IsSpace)
	at := len(text) - len(rest)
	for _, lead := range []string{"true or false:", "is the following statement true or false?"} {
		if len(rest) < len(lead) || !strings.EqualFold(rest[:len(lead)], lead) {
			continue
		}
		line, column := position(text[:at+len(lead)], 1, 1)
		sentences, err := readSentences(rest[len(lead):], line, column)
		if err != nil {
			return Question{}, err
		}
		if len(sentences) != 1 || len(sentences[0].complements) != 1 {
			return Question{}, &ParseError{line, column, "one statement with one complement", strconv.Quote(rest[len(lead):])}
		}
		subject, heads := sentences[0].meaning(nil)
		return Question{subject, heads[0].Name, heads[0].Not}, nil
	}
	line, column := position(text[:at], 1, 1)
	return Question{}, &ParseError{line, column, `"True or false:" and a statement`, strconv.Quote(rest)}
}

// Ask answers a question by what follows for its subject.
func (m *Machine) Ask(q Question) Value {
	v := m.Infer(Is(q.Subject)).Value(q.Concept)
	if q.Not {
		return -v
	}
	return v
}

// position is the place behind a text that begins at line and column.
func position(text string, line, column int) (int, int) {
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		line, column, text = line+strings.Count(text, "\n"), 1, text[i+1:]
	}
	return line, column + utf8.RuneCountInString(text)
}

// word is one word of a text, or its punctuation.
type word struct {
	text         string
	line, column int
}

func (w word) is(words ...string) bool { return slices.Contains(words, strings.ToLower(w.text)) }

func (w word) fault(want string) error {
	return &ParseError{w.line, w.column, want, strconv.Quote(w.text)}
}

// sentence is one statement as it was read.
type sentence struct {
	determiner   string // lower case; empty where there is none
	subject      []word
	plural       bool // are
	complements  []complement
	line, column int
}

type complement struct {
	not, article bool
	words        []word
}

func readSentences(text string, line, column int) ([]sentence, error) {
	var out []sentence
	var words []word
	for _, w := range splitWords(text, line, column) {
		if w.text != "." {
			words = append(words, w)
			continue
		}
		s, err := readSentence(words, w)
		if err != nil {
			return nil, err
		}
		out, words = append(out, s), nil
	}
	if len(words) > 0 {
		line, column = position(text, line, column)
		return nil, &ParseError{line, column, "a full stop", "the end of the text"}
	}
	return out, nil
}

func splitWords(text string, line, column int) []word {
	var out []word
	for text != "" {
		n := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '\'' })
		if n < 0 {
			n = len(text)
		}
		if n == 0 {
			_, n = utf8.DecodeRuneInString(text)
		}
		if w := strings.TrimSpace(text[:n]); w != "" {
			out = append(out, word{w, line, column})
		}
		line, column = position(text[:n], line, column)
		text = text[n:]
	}
	return out
}

func readSentence(words []word, stop word) (sentence, error) {
	verb := slices.IndexFunc(words, func(w word) bool { return w.is("is", "are") })
	if verb < 0 {
		return sentence{}, stop.fault("is or are before the full stop")
	}
	s := sentence{line: words[0].line, column: words[0].column, plural: words[verb].is("are"), subject: words[:verb]}
	if verb > 0 && words[0].is("every", "each", "all", "a", "an") {
		s.determiner, s.subject = strings.ToLower(words[0].text), words[1:verb]
	}
	if len(s.subject) == 0 {
		return sentence{}, words[verb].fault("a noun or a name before the verb")
	}
	for _, w := range s.subject {
		if !w.plain() {
			return sentence{}, w.fault("one noun or name as the subject")
		}
	}
	return s, s.readComplements(words[verb+1:], stop)
}

// plain tells whether a word may be part of a name.
func (w word) plain() bool {
	c, _ := utf8.DecodeRuneInString(w.text)
	return (unicode.IsLetter(c) || unicode.IsDigit(c)) && !w.is("is", "are", "not", "and", "or", "if", "then", "every", "each", "all", "a", "an")
}

func (s *sentence) readComplements(words []word, stop word) error {
	for {
		var c complement
		if len(words) > 0 && words[0].is("not") {
			c.not, words = true, words[1:]
		}
		if len(words) > 0 && words[0].is("a", "an") {
			c.article, words = true, words[1:]
		}
		n := 0
		for n < len(words) && words[n].plain() {
			n++
		}
		if n == 0 {
			return append(words, stop)[0].fault("a noun or an adjective")
		}
		c.words, words = words[:n], words[n:]
		s.complements = append(s.complements, c)
		if len(words) == 0 {
			return nil
		}
		if !words[0].is("and") {
			return words[0].fault("and or a full stop")
		}
		words = words[1:]
	}
}

// singulars notes the nouns that stand in the singular for sure.
func (s *sentence) singulars(seen map[string]bool) {
	if s.determiner != "" && !s.plural {
		seen[nameOf(s.subject)] = true
	}
	for _, c := range s.complements {
		if c.article {
			seen[nameOf(c.words)] = true
		}
	}
}

// meaning turns a sentence into a rule's condition and conclusions.
func (s *sentence) meaning(seen map[string]bool) (subject string, heads []Literal) {
	switch {
	case s.plural:
		subject = singular(nameOf(s.subject), seen)
	case s.determiner != "":
		subject = nameOf(s.subject)
	default:
		subject = writtenName(s.subject)
	}
	for _, c := range s.complements {
		name := nameOf(c.words)
		if s.plural && !c.article {
			name = singular(name, seen)
		}
		heads = append(heads, Literal{name, c.not})
	}
	return subject, heads
}

func nameOf(words []word) string { return strings.ToLower(writtenName(words)) }

func writtenName(words []word) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
	}
	return strings.Join(texts, " ")
}

// singular is the noun whose plural a word is: the one seen in the text if there is such, else by rule. Words in -ss, -us and -is are no plurals.
func singular(w string, seen map[string]bool) string {
	if !strings.HasSuffix(w, "s") || len(w) < 3 || ends(w, "ss", "us", "is") {
		return w
	}
	candidates := []string{w[:len(w)-1]}
	switch {
	case ends(w, "ies"):
		candidates = append([]string{w[:len(w)-3] + "y"}, candidates...)
	case ends(w, "ses", "xes", "zes", "ches", "shes"):
		candidates = append([]string{w[:len(w)-2]}, candidates...)
	}
	for _, c := range candidates {
		if seen[c] {
			return c
		}
	}
	return candidates[0]
}

func ends(w string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(w, s) })
}
