// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// Complex returns the last rule on a proof of what was detected, read as statements with the word is, as in Max is shy. Neighbours that are equal count
// once. Each statement's subject is replaced by the condition of the rule with the nearest names (Jaccard at least 0.3), and its predicate is proved from
// that by backward chaining over the fewest rules; the first statement without a proof ends the search, and what was proved before stands.
func Complex(rules []ReleasedRule, detected []string) []int {
	b := newBase(rules)
	proof := b.prove(withoutRepeats(detected))
	if len(proof) == 0 {
		return nil
	}
	// The released code looks up the place among parsed rules, which with rules for every x is not the rule's own.
	if last := proof[len(proof)-1]; last < len(rules) {
		return []int{last}
	}
	return nil
}

// OpenWorld returns "true", "false" or "uncertain" for what was detected, read as one statement, and the rules whose only word is that answer. Any name in
// the predicate that can be neither proved nor refuted makes it uncertain, and so does a proof both ways. Words without an is are always "true".
func OpenWorld(rules []ReleasedRule, detected []string) (answer string, fired []int) {
	if len(detected) == 0 {
		return "uncertain", nil // the released code does not ask then
	}
	b := newBase(rules)
	answer = b.solve(implicitIs(butNotBoth(withoutRepeats(detected))))
	for i, r := range rules {
		if slices.Equal(r.Tokens, []string{answer}) {
			fired = append(fired, i)
		}
	}
	return answer, fired
}

// withoutRepeats drops a word that equals the one kept before it, and answers that are not the first word.
func withoutRepeats(words []string) []string {
	var out []string
	for i, w := range words {
		if i == 0 || (w != out[len(out)-1] && w != "Answer: True" && w != "Answer: False" && w != "Answer: Uncertain") {
			out = append(out, w)
		}
	}
	return out
}

// butNotBoth turns the or before the concept "but not both" into xor.
func butNotBoth(words []string) []string {
	out := slices.Clone(words)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] != "but not both" {
			continue
		}
		if j := lastIndex(out[:i], "or"); j >= 0 {
			out[j] = "xor"
		}
		out = slices.Delete(out, i, i+1)
	}
	return out
}

// implicitIs puts the is behind a capitalised first word that lacks it.
func implicitIs(words []string) []string {
	verbs := []string{"is", "do", "have"}
	if len(words) < 2 || slices.Contains(verbs, words[1]) || !capital(words[0]) {
		return words
	}
	return slices.Concat(words[:1], verbs[:1], words[1:])
}

func capital(w string) bool { return w != "" && titleCase(string([]rune(w)[:1])) }

// prove returns the rules that prove each statement of the query, by their place in the base.
func (b *base) prove(query []string) []int {
	var proofs []int
	for _, statement := range statements(query) {
		parsed := parseWords(statement)
		if parsed.Op != OpImplies {
			return proofs
		}
		best := b.nearest(propositions(map[string]bool{}, parsed.X), 0.3)
		if best == nil {
			return proofs
		}
		c := b.chainer(best.parsed.X.key())
		path, found := c.chain(parsed.Y, nil)
		if !found {
			return proofs
		}
		proofs = append(proofs, path...)
	}
	return proofs
}

// statements cuts the query behind each is and the one word after it; what is left over goes to the last.
func statements(query []string) [][]string {
	var out [][]string
	start := 0
	for i, w := range query {
		if w == "is" {
			end := min(i+2, len(query))
			out = append(out, query[min(start, end):end])
			start = end
		}
	}
	if len(out) == 0 {
		return [][]string{query}
	}
	last := len(out) - 1
	out[last] = slices.Concat(out[last], query[start:])
	return out
}

// solve answers in three values.
func (b *base) solve(query []string) string {
	query = slices.Clone(query)
	for i, w := range query {
		if w == "do" || w == "have" {
			query[i] = "is"
		}
	}
	parsed := parseWords(query)
	if parsed.Op != OpImplies {
		return "true" // the released code takes an empty proof for one
	}
	known := []string{parsed.X.key()}
	for _, r := range b.rules {
		if r.parsed.Op == OpImplies {
			known = append(known, r.key)
		}
	}
	proved := func(goal *Expr) bool {
		_, found := b.chainer(known...).chain(goal, nil)
		return found
	}
	for name := range propositions(map[string]bool{}, parsed.Y) {
		if !releasedWord(name) && name != "x" && !proved(atom(name)) && !proved(negated(atom(name))) {
			return "uncertain"
		}
	}
	switch is, not := proved(parsed.Y), proved(negated(parsed.Y)); {
	case is == not:
		return "uncertain"
	case is:
		return "true"
	}
	return "false"
}

// chainer is one backward search. It keeps results, also of failures that came from a goal under way, as the released code does.
type chainer struct {
	b     *base
	known map[string]bool
	memo  map[string]outcome
}

type outcome struct {
	path  []int
	found bool
}

func (b *base) chainer(known ...string) *chainer {
	c := &chainer{b, map[string]bool{}, map[string]outcome{}}
	for _, k := range known {
		c.known[k] = true
	}
	return c
}

// chain returns the rules that prove a goal, those nearest to what is known first.
func (c *chainer) chain(goal *Expr, under []string) ([]int, bool) {
	key := goal.key()
	if o, done := c.memo[key]; done {
		return o.path, o.found
	}
	if slices.Contains(under, key) {
		return nil, false
	}
	if c.memo[negated(goal).key()].found {
		c.memo[key] = outcome{}
		return nil, false
	}
	if c.known[key] {
		return nil, true
	}
	under = append(slices.Clip(under), key)
	switch goal.Op {
	case OpAnd:
		return c.both(goal, under)
	case OpOr:
		if path, found := c.chain(goal.X, under); found {
			return path, true
		}
		return c.chain(goal.Y, under)
	case OpImplies:
		return c.chain(goal.Y, under)
	}
	best := outcome{}
	for _, i := range c.b.heads[key] {
		r := c.b.rules[i].parsed
		next := subgoal(goal, r.Y, r.X, false)
		if next == nil {
			continue
		}
		path, found := c.chain(next, under)
		if found && (!best.found || len(path)+1 < len(best.path)) {
			best = outcome{append(slices.Clone(path), i), true}
		}
	}
	c.memo[key] = best
	return best.path, best.found
}

func (c *chainer) both(goal *Expr, under []string) ([]int, bool) {
	x, found := c.chain(goal.X, under)
	if !found {
		return nil, false
	}
	y, found := c.chain(goal.Y, under)
	if !found {
		return nil, false
	}
	var out []int
	for _, i := range slices.Concat(x, y) {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out, true
}

// subgoal is what has to be proved so that a rule yields the goal: its condition, and inside an or also the other half of an and; nil where it does not.
func subgoal(goal, head, body *Expr, alternative bool) *Expr {
	same := func(e *Expr) bool { return e.key() == goal.key() }
	blank := func(e *Expr) bool { return e.Op == OpAtom && e.Name == "" }
	if same(head) {
		return body
	}
	switch head.Op {
	case OpAnd:
		other := head.Y
		switch {
		case same(head.X):
		case same(head.Y):
			other = head.X
		default:
			return nil
		}
		if blank(other) {
			return nil
		}
		if alternative {
			return &Expr{Op: OpAnd, X: body, Y: other}
		}
		return body
	case OpOr:
		if next := subgoal(goal, head.X, body, true); next != nil && !blank(next) {
			return next
		}
		return subgoal(goal, head.Y, body, true)
	}
	return nil
}
