// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// reasoner is a [Reasoning] at work on one session. What it knows of the text it keeps by position, so that a prefix that is kept in the session's cache,
// or run again, counts once.
type reasoner struct {
	*Reasoning
	site    hooks.Site // where concepts are detected
	readers []reader
	deeds   []deed
	asks    []ask
	says    []say
	masks   []hooks.Edit
	masked  []masked

	run   *rules.Run
	coder *dictionary.ProductCoder
	code  []dictionary.Feature
	held  rules.Set
	past  trail
	more  bool // of a prompt, the last pass was not the last one

	first    int       // position of the first row of this pass
	factors  []float64 // by row of this pass and act
	next     []float64 // by act: for the token behind this pass
	up, down []float64 // of one row, by act
	fired    []bool    // at the token before, by rule
	titles   []string  // by rule
}

// reader is a concept of the set that the program names; without rules all are watched.
type reader struct {
	*concepts.Concept
	index  int     // in the set
	number int     // in the machine; -1 where no rule names it
	holds  bool    // at the last token
	reads  []int32 // features to report
	now    float64 // the aggregate at the last token
	sum    float64 // over the tokens that count
}

// trail is what was detected, by position.
type trail struct {
	values  []float64 // of each reader
	skipped []bool
	answer  []bool
	counted int // of those positions that are not skipped, while they are followed
}

func (t *trail) len() int { return len(t.skipped) }

// bind makes the state of a session.
func (r *Reasoning) bind(sh *hooks.Shape) (*reasoner, error) {
	b := &reasoner{Reasoning: r, run: r.machine.Start(), held: r.machine.NewSet(), fired: make([]bool, len(r.program.Rules))}
	site, err := r.Concepts().At()
	if err != nil {
		return nil, err
	}
	if b.site, err = sh.Resolve(site); err != nil {
		return nil, fmt.Errorf("steering: rules %s: %w", r.name, err)
	}
	if has := sh.Widths[b.site]; has != r.set.Width {
		return nil, &hooks.EditError{Edit: r.name, Site: b.site, Want: fmt.Sprintf("concepts of the site's width %d", has), Got: fmt.Sprintf("concepts of width %d", r.set.Width)}
	}
	for i := range r.set.Concepts {
		c := &r.set.Concepts[i]
		number, named := r.machine.Concept(c.Name)
		if !named {
			number = -1
		}
		if named || len(r.program.Rules) == 0 {
			b.readers = append(b.readers, reader{Concept: c, index: i, number: number, reads: c.Reader.Reads()})
		}
	}
	for i := range r.program.Rules {
		b.titles = append(b.titles, r.program.Title(i))
	}
	if r.dict != nil {
		b.coder = r.dict.NewProductCoder()
	}
	if err := b.compile(sh); err != nil {
		return nil, err
	}
	for _, a := range b.deeds {
		if has := sh.Widths[a.site]; a.vector != nil && len(a.vector) != has {
			return nil, &hooks.EditError{Edit: r.name + ": " + a.label, Site: a.site, Want: fmt.Sprintf("a push of the site's width %d", has), Got: fmt.Sprintf("one of width %d", len(a.vector))}
		}
	}
	b.up, b.down, b.next = make([]float64, len(b.deeds)), make([]float64, len(b.deeds)), make([]float64, len(b.deeds))
	return b, nil
}

// detect follows a pass: row by row it detects, draws conclusions, and notes what is to be done.
func (b *reasoner) detect(a *hooks.Activation) error {
	b.turn(a)
	b.first, b.factors = a.First, b.factors[:0]
	for i := range a.Rows {
		b.read(a, i)
		b.follow(a.First + i)
		b.report(a, i)
		last := a.Phase == hooks.Decode || (a.Rest == 0 && i == len(a.Rows)-1)
		b.want(a.Phase, last)
		b.factors = append(b.factors, b.up...)
		b.speak(a, i, last)
	}
	b.more = a.Rest > 0
	b.foresee()
	return nil
}

// turn goes back to where the pass begins, and makes what was generated before a prompt a part of it.
func (b *reasoner) turn(a *hooks.Activation) {
	fresh := a.Phase == hooks.Prefill && !b.more
	if !fresh && a.First == b.past.len() {
		return
	}
	t, n := &b.past, len(b.readers)
	for t.len() < a.First { // positions that ran before this hook could see them
		t.values = append(t.values, make([]float64, n)...)
		t.skipped, t.answer = append(t.skipped, true), append(t.answer, false)
	}
	t.values, t.skipped, t.answer = t.values[:a.First*n], t.skipped[:a.First], t.answer[:a.First]
	if fresh {
		clear(t.answer)
	}
	for i := range b.says {
		if fresh || b.says[i].at >= a.First {
			b.says[i].at = -1
		}
	}
	b.run.Reset()
	t.counted = 0
	clear(b.fired)
	for i := range b.readers {
		b.readers[i].sum = 0
	}
	for p := range a.First {
		b.follow(p)
		b.remember()
		if fresh {
			b.reportConcepts(a, p)
		}
	}
}

// read encodes a row and notes what every reader makes of it.
func (b *reasoner) read(a *hooks.Activation, i int) {
	t := &b.past
	skip := b.set.Skips(a.First+i, a.Tokens[i], a.Row(i))
	t.skipped, t.answer = append(t.skipped, skip), append(t.answer, a.Phase == hooks.Decode)
	b.code = b.code[:0]
	if !skip && b.coder != nil {
		b.code = b.coder.Encode(b.code, a.Row(i), a.ProductRow(i), a.Slack)
	}
	for j := range b.readers {
		v := 0.0
		if !skip {
			v = b.readers[j].Reader.Value(b.code, a.Row(i))
		}
		t.values = append(t.values, v)
	}
}

// follow lets the machine see a position of the trail.
func (b *reasoner) follow(p int) {
	t := &b.past
	b.held.Clear()
	if !t.skipped[p] {
		t.counted++
	}
	for j := range b.readers {
		r := &b.readers[j]
		r.now = t.values[p*len(b.readers)+j]
		r.sum += r.now
		if r.Reader.Aggregate == concepts.Mean {
			r.now = r.sum / float64(max(t.counted, 1))
		}
		r.holds = !t.skipped[p] && r.now >= r.Reader.Threshold
		if r.holds && r.number >= 0 {
			b.held.Add(r.number)
		}
	}
	phase := rules.Prompt
	if t.answer[p] {
		phase = rules.Answer
	}
	b.run.Step(phase, b.held, nil)
}

// reaches tells whether a rule steers at a token; last says that it is the prompt's last one or a generated one.
func reaches(r rules.Reach, phase hooks.Phase, last bool) bool {
	switch r {
	case rules.Everywhere:
		return true
	case rules.InPrompt:
		return phase == hooks.Prefill
	case rules.InAnswer:
		return phase == hooks.Decode
	}
	return last
}

// want puts into up how much of each act the rules want at this token: the largest promotion and the largest suppression.
func (b *reasoner) want(phase hooks.Phase, last bool) {
	clear(b.up)
	clear(b.down)
	for _, k := range b.asks {
		if b.run.Fired(k.rule) && reaches(k.reach, phase, last) {
			b.up[k.act], b.down[k.act] = max(b.up[k.act], k.factor), min(b.down[k.act], k.factor)
		}
	}
	for i, d := range b.down {
		b.up[i] += d
	}
}

// foresee notes what the rules want of acts that can only be carried out at the next token.
func (b *reasoner) foresee() {
	b.want(hooks.Decode, true)
	copy(b.next, b.up)
	for _, m := range b.masked {
		v := float32(0)
		if b.run.Fired(m.rule) && b.program.Rules[m.rule].Reach != rules.InPrompt {
			v = min(1, b.knob.Value())
		}
		m.knob.Set(v)
	}
}

// speak stops, and says what is required, once an answer.
func (b *reasoner) speak(a *hooks.Activation, i int, last bool) {
	if b.knob.Value() == 0 {
		return
	}
	for j := range b.says {
		s := &b.says[j]
		if s.at >= 0 || !b.run.Fired(s.rule) || !reaches(s.reach, a.Phase, last) {
			continue
		}
		s.at = a.First + i
		if s.phrase == "" {
			a.Run.Stop()
			continue
		}
		a.Run.Say(s.phrase)
	}
}

// report tells what was seen at a row: features, concepts that hold, and rules that fire. Of the prompt a rule is told of where it begins to fire, and at
// the last token.
func (b *reasoner) report(a *hooks.Activation, i int) {
	p := a.First + i
	for _, z := range b.code {
		if b.readsFeature(z.Index) {
			a.Run.Report(hooks.Reading{Hook: b.name, Site: b.site, Kind: hooks.Feature, Position: p, Index: z.Index, Value: z.Value})
		}
	}
	b.reportConcepts(a, p)
	always := a.Phase == hooks.Decode || (a.Rest == 0 && i == len(a.Rows)-1)
	for r, before := range b.fired {
		if b.run.Fired(r) && (always || !before) {
			a.Run.Report(hooks.Reading{Hook: b.name, Site: b.site, Kind: hooks.Rule, Position: p, Index: int32(r), Label: b.titles[r], Value: 1})
		}
	}
	b.remember()
}

func (b *reasoner) remember() {
	for r := range b.fired {
		b.fired[r] = b.run.Fired(r)
	}
}

func (b *reasoner) readsFeature(f int32) bool {
	for j := range b.readers {
		for _, g := range b.readers[j].reads {
			if g == f {
				return true
			}
		}
	}
	return false
}

// reportConcepts tells which concepts are detected at the position that was followed last, which is p.
func (b *reasoner) reportConcepts(a *hooks.Activation, p int) {
	for j := range b.readers {
		r := &b.readers[j]
		if r.holds {
			a.Run.Report(hooks.Reading{Hook: b.name, Site: b.site, Kind: hooks.Concept, Position: p, Index: int32(r.index), Label: r.Name, Value: float32(r.now)})
		}
	}
}
