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
	open := p.mark('[')
	if open < 0 {
		return p.fault(p.end-1, p.end, "a [ before it, or the file name in quotes")
	}
	seen := map[string]bool{}
	at := open + 1
	for part := range strings.SplitSeq(p.text[open+1:p.end-1], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if seen[name] {
			return p.fault(at, at+len(part), "each modifier once")
		}
		seen[name] = true
		if !modify(s, name, value, strings.Contains(part, "=")) {
			return p.fault(at, max(at+len(part), at+1), "prefill, decode, special, ordinary, pos=3, pos=3-7 or pos=3-")
		}
		at += len(part) + 1
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
	case name == "massive" && s.dictionary():
		s.Massive = true
	default:
		return false
	}
	return true
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
