// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"
	"strings"
)

// World says what an unmentioned concept is.
type World uint8

// Worlds.
const (
	Closed World = iota // false
	Open                // unknown
)

func (w World) String() string {
	if w == Open {
		return "open"
	}
	return "closed"
}

// Phase is the part of a text in which a rule counts what is detected.
type Phase uint8

// Phases.
const (
	Both Phase = iota
	Prompt
	Answer
)

func (p Phase) String() string { return [...]string{"both", "prompt", "answer"}[p] }

// Span is how far back in its phase a rule looks.
type Span uint8

// Spans.
const (
	Any   Span = iota // any token so far
	Token             // this token
)

func (s Span) String() string { return [...]string{"any", "token"}[s] }

// Reach says at which tokens the actions of a rule that fired change the activation.
type Reach uint8

// Reaches. A rule that fires at a token outside its reach does everything but steer there.
const (
	Last       Reach = iota // the last token of the prompt, and every generated one, as the released code steers
	Everywhere              // every token
	InPrompt                // tokens of the prompt
	InAnswer                // generated tokens
)

func (r Reach) String() string { return [...]string{"last", "all", "prompt", "answer"}[r] }

// Literal is a concept that holds or, with Not, one that is denied.
type Literal struct {
	Name string
	Not  bool
}

// Is returns the literal that affirms a concept.
func Is(name string) Literal { return Literal{Name: name} }

// Not returns the literal that denies a concept.
func Not(name string) Literal { return Literal{name, true} }

func (l Literal) String() string {
	if l.Not {
		return "not " + quoteName(l.Name)
	}
	return quoteName(l.Name)
}

// Rule is one statement with an arrow.
type Rule struct {
	Name         string // empty where the file gives none
	Body         *Expr
	Heads        []Literal // conclusions
	Actions      []Action
	Phase        Phase
	Span         Span
	Reach        Reach
	Strength     *float64 // factor of the actions that have none; nil: the runtime's default
	Sites        string   // of the actions that have none; empty: the concept's own
	Line, Column int      // of its first character, counted from 1; 0 where it was not parsed
}

// String writes the rule as Parse reads it: conclusions first, then actions.
func (r *Rule) String() string {
	var b strings.Builder
	if r.Name != "" {
		b.WriteString(quoteName(r.Name) + ": ")
	}
	b.WriteString(r.Body.String() + " ->")
	var effects []string
	for _, h := range r.Heads {
		effects = append(effects, " "+h.String())
	}
	for i := range r.Actions {
		effects = append(effects, " "+r.Actions[i].String())
	}
	b.WriteString(strings.Join(effects, ","))
	if options := r.options(); len(options) > 0 {
		b.WriteString(" [" + strings.Join(options, ", ") + "]")
	}
	return b.String()
}

func (r *Rule) options() []string {
	var out []string
	if r.Phase != Both {
		out = append(out, r.Phase.String())
	}
	if r.Span != Any {
		out = append(out, r.Span.String())
	}
	if r.Reach != Last {
		out = append(out, "steer "+r.Reach.String())
	}
	if r.Strength != nil {
		out = append(out, "strength "+number(*r.Strength))
	}
	if r.Sites != "" {
		out = append(out, "@"+quoteSites(r.Sites))
	}
	return out
}

// Program is a rules file.
type Program struct {
	Concepts   string // file of the concepts that are detected, as it stands in the program: relative to the program's own folder; empty where it names none
	Dictionary string // folder or file of the dictionary that detects, in place of the one that the concepts' file names; relative likewise
	World      World  // Closed unless the file says otherwise
	Rules      []Rule
}

// String writes the program as Parse reads it, without the comments; the result parses to an equal program but for lines and columns.
func (p *Program) String() string {
	var b strings.Builder
	if p.Concepts != "" {
		b.WriteString("concepts " + strconv.Quote(p.Concepts) + "\n")
	}
	if p.Dictionary != "" {
		b.WriteString("dictionary " + strconv.Quote(p.Dictionary) + "\n")
	}
	if p.World != Closed {
		b.WriteString("world " + p.World.String() + "\n")
	}
	for i := range p.Rules {
		b.WriteString(p.Rules[i].String() + "\n")
	}
	return b.String()
}

// Title is the name of rule i, or, where it has none, its number counted from 1, as in "#3".
func (p *Program) Title(i int) string {
	if name := p.Rules[i].Name; name != "" {
		return name
	}
	return "#" + strconv.Itoa(i+1)
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func quoteName(name string) string {
	if isName(name) && !keyword(name) {
		return name
	}
	return strconv.Quote(name)
}

func quoteSites(sites string) string {
	if sites != "" && strings.Trim(sites, siteBytes) == "" {
		return sites
	}
	return strconv.Quote(sites)
}
