// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// ReleasedRule is a rule as the released code keeps it: words, and the concept to steer towards when it fires.
type ReleasedRule struct {
	Tokens []string
	Head   string
}

// Legacy returns the rules whose words are an ordered sub-sequence of the detected concepts, gaps allowed. As the released code does, a search goes on
// behind the FIRST occurrence of the concept found last, so that of B C A B the rule A B C fires.
func Legacy(rules []ReleasedRule, detected []string) []int {
	var fired []int
	for i, r := range rules {
		if subsequence(r.Tokens, detected) {
			fired = append(fired, i)
		}
	}
	return fired
}

func subsequence(words, detected []string) bool {
	from := 0
	for _, w := range words {
		if !slices.Contains(detected[from:], w) {
			return false
		}
		from = slices.Index(detected, w) + 1
	}
	return true
}

// Simple returns the one rule whose condition names most nearly the detected concepts: Jaccard's index of the two sets of names, at least 0.5, the
// first of equals. Words such as not count for nothing. A rule for every x never fires: there the released code ends with an error.
func Simple(rules []ReleasedRule, detected []string) []int {
	b := newBase(rules)
	names := map[string]bool{}
	names = propositions(names, parseWords(detected))
	best := b.nearest(names, 0.5)
	if best == nil || best.expanded {
		return nil
	}
	return []int{best.rule}
}

// propositions adds the names in e; the empty one that a missing part leaves is none.
func propositions(dst map[string]bool, e *Expr) map[string]bool {
	switch {
	case e.Op != OpAtom:
		for _, side := range []*Expr{e.X, e.Y} {
			if side != nil {
				propositions(dst, side)
			}
		}
	case e.Name != "":
		dst[e.Name] = true
	}
	return dst
}

// parseWords reads words as the released parser does: split at the last is, then at the first xor, or, and; bare neighbours are joined by and; what fits
// nothing becomes one name. xor turns into (a and not b) or (not a and b), and not not a into a.
func parseWords(words []string) *Expr {
	if len(words) == 0 {
		return atom("")
	}
	if i := lastIndex(words, "is"); i > 0 {
		return &Expr{Op: OpImplies, X: parseWords(words[:i]), Y: parseWords(words[i+1:])}
	} else if i == 0 && len(words) > 0 {
		return atom("")
	}
	for _, op := range []Op{OpXor, OpOr, OpAnd} {
		i := slices.Index(words, op.String())
		if i <= 0 || i == len(words)-1 {
			continue
		}
		x, y := parseWords(words[:i]), parseWords(words[i+1:])
		if op == OpXor {
			return &Expr{Op: OpOr, X: &Expr{Op: OpAnd, X: x, Y: negated(y)}, Y: &Expr{Op: OpAnd, X: negated(x), Y: y}}
		}
		return &Expr{Op: op, X: x, Y: y}
	}
	switch {
	case len(words) > 1 && !slices.ContainsFunc(words, releasedWord):
		return &Expr{Op: OpAnd, X: atom(words[0]), Y: parseWords(words[1:])}
	case len(words) > 1 && words[0] == "not":
		return negated(parseWords(words[1:]))
	}
	return atom(strings.Join(words, " "))
}

func lastIndex(words []string, word string) int {
	for i := len(words) - 1; i >= 0; i-- {
		if words[i] == word {
			return i
		}
	}
	return -1
}

func releasedWord(w string) bool {
	return slices.Contains([]string{"is", "or", "and", "not", "xor"}, w)
}

func negated(e *Expr) *Expr {
	if e.Op == OpNot {
		return e.X
	}
	return &Expr{Op: OpNot, X: e}
}

// base is what the released parser makes of the rules.
type base struct {
	rules []baseRule
	keys  map[string]bool
	heads map[string][]int // rules by each part of their conclusion
}

type baseRule struct {
	words    []string
	parsed   *Expr
	key      string
	rule     int  // place among the released rules
	expanded bool // from a rule for every x
}

// newBase parses the rules. One that names x stands for as many rules as there are subjects: names in title case in the other rules. The released code
// takes the subjects in the order of a set, which changes from run to run; here they are sorted. A rule that parses as an earlier one is dropped.
func newBase(rules []ReleasedRule) *base {
	b := &base{keys: map[string]bool{}, heads: map[string][]int{}}
	subjects := map[string]bool{}
	for i, r := range rules {
		if !slices.Contains(r.Tokens, "x") {
			parsed := parseWords(r.Tokens)
			addSubjects(subjects, parsed)
			b.add(baseRule{words: r.Tokens, parsed: parsed, rule: i})
		}
	}
	var sorted []string
	for s := range subjects {
		sorted = append(sorted, s)
	}
	slices.Sort(sorted)
	for i, r := range rules {
		if !slices.Contains(r.Tokens, "x") {
			continue
		}
		for _, s := range sorted {
			words := slices.Clone(r.Tokens)
			for j, w := range words {
				if w == "x" {
					words[j] = s
				}
			}
			b.add(baseRule{words: words, parsed: parseWords(words), rule: i, expanded: true})
		}
	}
	return b
}

func (b *base) add(r baseRule) {
	r.key = r.parsed.key()
	if b.keys[r.key] {
		return
	}
	b.keys[r.key] = true
	b.rules = append(b.rules, r)
	if r.parsed.Op == OpImplies {
		b.addHead(r.parsed.Y, len(b.rules)-1)
	}
}

func (b *base) addHead(e *Expr, rule int) {
	switch e.Op {
	case OpAtom:
		b.heads[e.key()] = append(b.heads[e.key()], rule)
	case OpNot:
		b.heads[e.key()] = append(b.heads[e.key()], rule)
		b.addHead(e.X, rule)
	case OpAnd, OpOr:
		b.addHead(e.X, rule)
		b.addHead(e.Y, rule)
	}
}

func addSubjects(dst map[string]bool, e *Expr) {
	if e.Op != OpAtom {
		for _, side := range []*Expr{e.X, e.Y} {
			if side != nil {
				addSubjects(dst, side)
			}
		}
		return
	}
	if e.Name != "x" && !releasedWord(e.Name) && !strings.ContainsAny(e.Name, " (") && titleCase(e.Name) {
		dst[e.Name] = true
	}
}

// titleCase tells whether every letter run of s begins with a capital and has no other.
func titleCase(s string) bool {
	inside, any := false, false
	for _, r := range s {
		upper, lower := unicode.IsUpper(r) || unicode.IsTitle(r), unicode.IsLower(r)
		if (upper && inside) || (lower && !inside) {
			return false
		}
		inside = upper || lower
		any = any || inside
	}
	return any
}

// nearest is the first rule of the highest Jaccard index between its condition's names and the given ones, if that is at least the threshold.
func (b *base) nearest(names map[string]bool, threshold float64) *baseRule {
	var best *baseRule
	top := -1.0
	for i := range b.rules {
		r := &b.rules[i]
		if r.parsed.Op != OpImplies {
			continue
		}
		score := jaccard(names, propositions(map[string]bool{}, r.parsed.X))
		if score > top && score >= threshold {
			best, top = r, score
		}
	}
	return best
}

func jaccard(a, b map[string]bool) float64 {
	both := 0
	for name := range a {
		if b[name] {
			both++
		}
	}
	if both == 0 {
		return 0
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

// key writes e so that equal keys mean equal trees.
func (e *Expr) key() string {
	switch e.Op {
	case OpAtom:
		return fmt.Sprintf("%q", e.Name)
	case OpNot:
		return "!" + e.X.key()
	}
	return "(" + e.X.key() + " " + e.Op.String() + " " + e.Y.key() + ")"
}
