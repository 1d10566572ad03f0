// SPDX-License-Identifier: Apache-2.0

package rules

import "fmt"

// Limits of a source: what a person writes is far below, and what is above would only cost time and stack.
const (
	maxSource  = 256 << 10
	maxRules   = 4096
	maxNesting = 200
	maxNames   = 4096 // in one condition
)

// Parse reads a program by the grammar in the package comment. What it refuses it refuses with a *ParseError.
func Parse(src string) (*Program, error) {
	if len(src) > maxSource {
		return nil, &ParseError{Line: 1, Column: 1, Want: "at most 256 KiB of text", Found: fmt.Sprintf("%d bytes", len(src))}
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, names: map[string]token{}}
	out := &Program{}
	for p.peek().kind != kindEnd {
		if err := p.statement(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type parser struct {
	tokens []token // ends with a kindLine and a kindEnd
	at     int
	depth  int
	atoms  int // names in the condition so far
	world  bool
	names  map[string]token // of rules
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != kindEnd {
		p.at++
	}
	return t
}

// is tells whether the next token is this keyword or mark, which a quoted text never is.
func (p *parser) is(word string) bool {
	t := p.peek()
	return t.text == word && (t.kind == kindName || t.kind == kindMark)
}

func (p *parser) accept(word string) bool {
	if p.is(word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) fault(want string) error {
	t := p.peek()
	return &ParseError{Line: t.line, Column: t.column, Want: want, Found: t.found()}
}

func (p *parser) expect(word, why string) error {
	if !p.accept(word) {
		return p.fault(fmt.Sprintf("%q %s", word, why))
	}
	return nil
}

func (p *parser) statement(out *Program) error {
	if p.peek().kind == kindLine {
		p.take()
		return nil
	}
	if p.is("world") {
		return p.worldLine(out)
	}
	if next := p.tokens[min(p.at+1, len(p.tokens)-1)]; next.kind == kindQuoted && (p.is("concepts") || p.is("dictionary")) {
		return p.fileLine(out)
	}
	if len(out.Rules) == maxRules {
		return p.fault(fmt.Sprintf("at most %d rules", maxRules))
	}
	r := Rule{Line: p.peek().line, Column: p.peek().column}
	for _, step := range []func(*Rule) error{p.ruleName, p.body, p.effects, p.options} {
		if err := step(&r); err != nil {
			return err
		}
	}
	out.Rules = append(out.Rules, r)
	return p.end("the end of the line, or an operator")
}

func (p *parser) end(want string) error {
	if p.peek().kind != kindLine {
		return p.fault(want)
	}
	p.take()
	return nil
}

func (p *parser) worldLine(out *Program) error {
	if p.world {
		return p.fault("one world in a program")
	}
	p.take()
	p.world = true
	switch {
	case p.accept("open"):
		out.World = Open
	case !p.accept("closed"):
		return p.fault("open or closed after world")
	}
	return p.end("the end of the line")
}

// fileLine reads concepts FILE and dictionary FILE. Both words stay names elsewhere, since no condition has a text behind a name.
func (p *parser) fileLine(out *Program) error {
	at := &out.Concepts
	if p.is("dictionary") {
		at = &out.Dictionary
	}
	if *at != "" {
		return p.fault("one such line in a program")
	}
	p.take()
	*at = p.take().text
	return p.end("the end of the line")
}

func (p *parser) ruleName(r *Rule) error {
	t := p.peek()
	next := p.tokens[min(p.at+1, len(p.tokens)-1)]
	if next.kind != kindMark || next.text != ":" {
		return nil
	}
	name, err := p.name("the rule's name before the colon")
	if err != nil {
		return err
	}
	if old, used := p.names[name]; used {
		return &ParseError{t.line, t.column, fmt.Sprintf("a name that no other rule has (line %d has it)", old.line), t.found()}
	}
	p.names[name] = t
	r.Name = name
	p.take()
	return nil
}

func (p *parser) name(want string) (string, error) {
	t := p.peek()
	if t.kind != kindQuoted && (t.kind != kindName || keyword(t.text)) {
		if t.kind == kindName {
			want += " (a keyword stands in quotes where it is a name)"
		}
		return "", p.fault(want)
	}
	return p.take().text, nil
}

func (p *parser) body(r *Rule) (err error) {
	p.atoms = 0
	if r.Body, err = p.condition(OpXor); err != nil {
		return err
	}
	return p.expect("->", "or an operator after the condition")
}

// condition reads a chain of one operator and those that bind tighter, grouped from the left.
func (p *parser) condition(op Op) (*Expr, error) {
	if op == OpNot {
		return p.unary()
	}
	x, err := p.condition(op + 1)
	for err == nil && p.accept(op.String()) {
		var y *Expr
		y, err = p.condition(op + 1)
		x = &Expr{Op: op, X: x, Y: y}
	}
	return x, err
}

func (p *parser) unary() (*Expr, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.fault(fmt.Sprintf("at most %d levels of not and parentheses", maxNesting))
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept("not"):
		x, err := p.unary()
		return &Expr{Op: OpNot, X: x}, err
	case p.accept("true"):
		return &Expr{Op: OpTrue}, nil
	case p.accept("false"):
		return &Expr{Op: OpFalse}, nil
	case p.is("("):
		return p.group()
	}
	if p.atoms++; p.atoms > maxNames {
		return nil, p.fault(fmt.Sprintf("at most %d names in a condition", maxNames))
	}
	name, err := p.name("a concept, not, true, false or (")
	return atom(name), err
}

func (p *parser) group() (*Expr, error) {
	open := p.take()
	x, err := p.condition(OpXor)
	if err == nil && p.accept("->") {
		var y *Expr
		y, err = p.condition(OpXor)
		x = &Expr{Op: OpImplies, X: x, Y: y}
	}
	if err != nil {
		return nil, err
	}
	return x, p.expect(")", fmt.Sprintf("for the ( at line %d, column %d", open.line, open.column))
}

// options reads what stands in brackets behind the effects; a word that is given twice is a mistake.
func (p *parser) options(r *Rule) error {
	if !p.accept("[") {
		return nil
	}
	given := map[string]bool{}
	for {
		t := p.peek()
		group, err := p.option(r)
		if err != nil {
			return err
		}
		if given[group] {
			return &ParseError{t.line, t.column, "one " + group + " in a rule", t.found()}
		}
		given[group] = true
		if !p.accept(",") {
			return p.expect("]", "or a comma after the option")
		}
	}
}

// option reads one and returns what it is about.
func (p *parser) option(r *Rule) (string, error) {
	for _, phase := range []Phase{Both, Prompt, Answer} {
		if p.accept(phase.String()) {
			r.Phase = phase
			return "phase", nil
		}
	}
	for _, span := range []Span{Any, Token} {
		if p.accept(span.String()) {
			r.Span = span
			return "span", nil
		}
	}
	if p.accept("steer") {
		for _, reach := range []Reach{Last, Everywhere, InPrompt, InAnswer} {
			if p.accept(reach.String()) {
				r.Reach = reach
				return "reach", nil
			}
		}
		return "", p.fault("last, all, prompt or answer after steer")
	}
	if p.accept("strength") {
		f, err := p.factor("a strength of at least 0", 0)
		r.Strength = f
		return "strength", err
	}
	if p.peek().kind == kindSites {
		r.Sites = p.take().text
		return "list of sites", nil
	}
	return "", p.fault("prompt, answer, both, token, any, steer REACH, strength NUMBER or @SITES")
}
