// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"math"
	"slices"
	"strconv"
)

// effects reads what stands behind the arrow.
func (p *parser) effects(r *Rule) error {
	for {
		if err := p.effect(r); err != nil {
			return err
		}
		if !p.accept(",") {
			return nil
		}
	}
}

func (p *parser) effect(r *Rule) error {
	t := p.peek()
	a := Action{Line: t.line, Column: t.column}
	read := p.action(&a)
	if read == nil {
		return p.head(r)
	}
	p.take()
	if err := read(&a); err != nil {
		return err
	}
	r.Actions = append(r.Actions, a)
	return nil
}

// action returns how to read the action that the next word begins, or nil where it begins none.
func (p *parser) action(a *Action) func(*Action) error {
	if p.peek().kind != kindName {
		return nil
	}
	switch p.peek().text {
	case "promote":
		a.Kind = Promote
		return p.towards
	case "suppress":
		a.Kind = Suppress
		return p.towards
	case "add":
		a.Kind = AddVector
		return p.vector
	case "set":
		a.Kind = SetFeature
		return p.feature
	case "mask":
		a.Kind = MaskExperts
		return p.experts
	case "stop":
		a.Kind = Stop
		return func(*Action) error { return nil }
	case "require":
		a.Kind = Require
		return func(a *Action) (err error) {
			a.Phrase, err = p.quoted("the phrase in quotes")
			return err
		}
	}
	return nil
}

func (p *parser) head(r *Rule) error {
	not := p.accept("not")
	name, err := p.name("a concept, not, promote, suppress, add, set, mask, stop or require")
	r.Heads = append(r.Heads, Literal{name, not})
	return err
}

func (p *parser) quoted(want string) (string, error) {
	if p.peek().kind != kindQuoted {
		return "", p.fault(want)
	}
	return p.take().text, nil
}

func (p *parser) towards(a *Action) (err error) {
	if a.Concept, err = p.name("a concept"); err != nil {
		return err
	}
	return p.amount(a, "a factor of at least 0 (promote and suppress are each other's negative)", 0)
}

func (p *parser) vector(a *Action) (err error) {
	if a.File, err = p.quoted("the vector's file in quotes"); err != nil {
		return err
	}
	return p.amount(a, "a number", math.Inf(-1))
}

func (p *parser) amount(a *Action, want string, least float64) (err error) {
	if p.accept("*") {
		if a.Factor, err = p.factor(want, least); err != nil {
			return err
		}
	}
	if p.peek().kind == kindSites {
		a.Sites = p.take().text
	}
	return nil
}

func (p *parser) factor(want string, least float64) (*float64, error) {
	f, err := strconv.ParseFloat(p.peek().text, 64)
	if p.peek().kind != kindNumber || err != nil || f < least {
		return nil, p.fault(want)
	}
	p.take()
	if f == 0 {
		f = 0 // never -0
	}
	return &f, nil
}

func (p *parser) count(want string) (int, error) {
	n, err := strconv.ParseUint(p.peek().text, 10, 31)
	if p.peek().kind != kindNumber || err != nil {
		return 0, p.fault(want)
	}
	p.take()
	return int(n), nil
}

func (p *parser) feature(a *Action) (err error) {
	if err = p.expect("feature", "after set"); err != nil {
		return err
	}
	if a.Feature, err = p.count("the feature's number"); err != nil {
		return err
	}
	if p.accept("of") {
		if a.File, err = p.quoted("the dictionary's folder in quotes"); err != nil {
			return err
		}
	}
	t := p.peek()
	if t.kind != kindMark || !slices.Contains([]string{"=", "+=", "*=", ">=", "<="}, t.text) {
		return p.fault("= += *= >= or <= before the feature's value")
	}
	a.Assign = p.take().text
	value, err := p.factor("the feature's value", math.Inf(-1))
	if err == nil {
		a.Value = *value
	}
	return err
}

func (p *parser) experts(a *Action) error {
	if err := p.expect("experts", "after mask"); err != nil {
		return err
	}
	for len(a.Experts) == 0 || p.peek().kind == kindNumber {
		layer, err := p.count("an expert as LAYER/EXPERT")
		if err != nil {
			return err
		}
		if err := p.expect("/", "between layer and expert"); err != nil {
			return err
		}
		expert, err := p.count("the expert's number after the /")
		if err != nil {
			return err
		}
		a.Experts = append(a.Experts, Expert{layer, expert})
	}
	return nil
}
