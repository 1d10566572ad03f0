// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"math"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// modifiers reads what stands in brackets at the end of a spec.
func (p *parser) modifiers(s *Spec) error {
	if p.end == p.start || p.text[p.end-1] != ']' || p.quoted[p.end-1] {
		return nil
	}
	open := p.opening()
	if open < 0 {
		return p.fault(p.end-1, p.end, "a [ before it, or the file name in quotes")
	}
	seen := map[string]bool{}
	for _, part := range p.split(open+1, p.end-1) {
		text := p.text[part[0]:part[1]]
		name, value, hasValue := strings.Cut(strings.TrimSpace(text), "=")
		isWhen := strings.HasPrefix(name, whenWord)
		if isWhen {
			name = whenWord
		}
		if seen[name] {
			return p.fault(part[0], part[1], "each modifier once")
		}
		seen[name] = true
		if isWhen && s.directed() {
			if err := p.when(s, part[0], part[1]); err != nil {
				return err
			}
			continue
		}
		if !modify(s, name, value, hasValue) {
			return p.fault(part[0], max(part[1], part[0]+1), "prefill, decode, special, ordinary, pos=3, pos=3-7, pos=3-, answer or when FILE above NUMBER")
		}
	}
	if s.Where.Phases == hooks.Prefill|hooks.Decode {
		s.Where.Phases = 0
	}
	p.end = open
	if last := p.end - 1; last >= p.start && p.text[last] == ']' && !p.quoted[last] {
		return p.fault(last, open+1, "all modifiers in one pair of brackets (a file name with brackets stands in quotes)")
	}
	return nil
}

// opening returns the bracket that the last one closes. A path within [when ...] may have slashes, before which mark looks for nothing.
func (p *parser) opening() int {
	if open := p.mark('['); open >= 0 {
		return open
	}
	for i := p.end - 1; i >= p.start; i-- {
		if p.text[i] == '[' && !p.quoted[i] {
			if strings.Contains(p.text[i:p.end], whenWord) {
				return i
			}
			return -1
		}
	}
	return -1
}

// split cuts text[at:to] at the commas outside quotes.
func (p *parser) split(at, to int) (parts [][2]int) {
	from := at
	for i := at; i < to; i++ {
		if p.text[i] == ',' && !p.quoted[i] {
			parts = append(parts, [2]int{from, i})
			from = i + 1
		}
	}
	return append(parts, [2]int{from, to})
}

func modify(s *Spec, name, value string, hasValue bool) bool {
	w := &s.Where
	switch {
	case name == "pos":
		return positions(w, value)
	case name == "k" && s.dictionary():
		n, err := strconv.ParseUint(value, 10, 31)
		s.K = int(n)
		return err == nil && n > 0
	case name == "scale" && s.Kind == KindSAE:
		f, err := strconv.ParseFloat(value, 64)
		s.Scale = f
		return err == nil && f > 0 && !math.IsInf(f, 0)
	case hasValue:
		return false
	case name == "prefill":
		w.Phases |= hooks.Prefill
	case name == "decode":
		w.Phases |= hooks.Decode
	case name == "special":
		w.Special = true
	case name == "ordinary":
		w.Ordinary = true
	case name == "massive" && (s.dictionary() || s.directed()):
		s.Massive = true
	case name == "answer" && s.directed():
		s.Answer = true
	case s.Kind == KindActAdd && (name == string(AlignMiddle) || name == string(AlignBack)):
		s.Align = Align(name)
	default:
		return false
	}
	return true
}

// directed tells whether the kind acts with directions.
func (s *Spec) directed() bool {
	_, ok := s.Kind.op()
	return ok
}

func (s *Spec) dictionary() bool { return s.Kind == KindSAE || s.Kind == KindITDA }

// positions reads 3, 3-7 (both ends included) and 3-.
func positions(w *hooks.Where, value string) bool {
	first, last, isRange := strings.Cut(value, "-")
	from, err := strconv.ParseUint(first, 10, 30)
	if err != nil {
		return false
	}
	w.From, w.To = int(from), int(from)+1
	switch {
	case isRange && last == "":
		w.To = 0
	case isRange:
		to, err := strconv.ParseUint(last, 10, 30)
		if err != nil || to < from {
			return false
		}
		w.To = int(to) + 1
	}
	return true
}
