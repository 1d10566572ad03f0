// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/experts"
	"github.com/trimtab/trimtab/steering/rules"
)

// deed is one thing that rules change at one site: a push along a concept or a vector, or features that are set.
type deed struct {
	site  hooks.Site
	label string
	late  bool // the site is before that of the detection: what holds at a token changes the next one
	// Of a push.
	lever  *concepts.Lever // that the activation's length is measured by; nil adds the vector as it is
	vector []float32
	length float64 // of the vector
	// Of features.
	features *setter
}

// setter sets features of a dictionary.
type setter struct {
	dict     *dictionary.Dictionary
	encoding *hooks.Encoder
	coder    *dictionary.ProductCoder
	code     []dictionary.Feature
	edits    dictionary.Edits
}

// same tells whether two acts are carried out by one tap: neighbours at one site that only push.
func (a *deed) same(b *deed) bool { return a.site == b.site && a.features == nil && b.features == nil }

func (a *deed) encoder() *hooks.Encoder {
	if a.features == nil {
		return nil
	}
	return a.features.encoding
}

// ask is one action of one rule: how much of which act it wants.
type ask struct {
	rule   int
	act    int
	factor float64 // below 0 to suppress
	reach  rules.Reach
}

// say is a stop, or a phrase to be said.
type say struct {
	rule   int
	reach  rules.Reach
	phrase string // empty: stop
	at     int    // position at which it was said; -1 where it was not
}

// compile turns the actions of all rules into acts.
func (b *reasoner) compile(sh *hooks.Shape) error {
	for i := range b.program.Rules {
		for j := range b.program.Rules[i].Actions {
			if err := b.action(sh, i, &b.program.Rules[i].Actions[j]); err != nil {
				return fmt.Errorf("steering: rule %s: %s: %w", b.program.Title(i), &b.program.Rules[i].Actions[j], err)
			}
		}
	}
	b.order()
	return nil
}

func (b *reasoner) action(sh *hooks.Shape, rule int, a *rules.Action) error {
	reach := b.program.Rules[rule].Reach
	switch a.Kind {
	case rules.Stop:
		b.says = append(b.says, say{rule: rule, reach: reach, at: -1})
		return nil
	case rules.Require:
		b.says = append(b.says, say{rule: rule, reach: reach, phrase: a.Phrase, at: -1})
		return nil
	case rules.MaskExperts:
		return b.mask(sh, rule, a.Experts)
	case rules.SetFeature:
		return b.setFeature(sh, rule, a)
	case rules.AddVector:
		return b.addVector(sh, rule, a)
	}
	c := &b.set.Concepts[b.set.Find(a.Concept)]
	factor := b.factor(rule, a, defaultFactor)
	if a.Kind == rules.Suppress {
		factor = -factor
	}
	push := c.Lever.Push(b.dict)
	sites, err := b.sites(sh, rule, a)
	for _, site := range sites {
		b.ask(rule, factor, deed{site: site, label: a.Concept, lever: &c.Lever, vector: push})
	}
	return err
}

func (b *reasoner) factor(rule int, a *rules.Action, otherwise float64) float64 {
	switch r := &b.program.Rules[rule]; {
	case a.Factor != nil:
		return *a.Factor
	case r.Strength != nil:
		return *r.Strength
	}
	return otherwise
}

// sites are those of the action, else of its rule, else where concepts are detected.
func (b *reasoner) sites(sh *hooks.Shape, rule int, a *rules.Action) ([]hooks.Site, error) {
	list := a.Sites
	if list == "" {
		list = b.program.Rules[rule].Sites
	}
	if list == "" {
		return []hooks.Site{b.site}, nil
	}
	return sh.Select(list)
}

// ask notes what a rule wants of an act, which is made where no rule has wanted it before.
func (b *reasoner) ask(rule int, factor float64, a deed) {
	a.late = hooks.Compare(a.site, b.site) < 0
	a.length = dot.Length(a.vector)
	i := slices.IndexFunc(b.deeds, func(o deed) bool {
		return o.features == nil && a.features == nil && o.site == a.site && o.label == a.label
	})
	if i < 0 {
		i = len(b.deeds)
		b.deeds = append(b.deeds, a)
	}
	b.asks = append(b.asks, ask{rule, i, factor, b.program.Rules[rule].Reach})
}

// addVector places the directions of a vector's file as a spec of the kind vector does.
func (b *reasoner) addVector(sh *hooks.Shape, rule int, a *rules.Action) error {
	sites := a.Sites
	if sites == "" {
		sites = b.program.Rules[rule].Sites
	}
	h, err := loadDirections(&Spec{Kind: KindVector, Sources: []Source{{Path: from(b.folder, a.File)}}, Sites: sites})
	if err != nil {
		return err
	}
	plan, err := h.Bind(sh)
	if err != nil {
		return err
	}
	for i := range plan.Edits {
		e := &plan.Edits[i]
		if e.Op != hooks.Add {
			return fmt.Errorf("want a vector that is to be added, found one for %s", e.Op)
		}
		b.ask(rule, b.factor(rule, a, 1), deed{site: e.Site, label: a.File, vector: e.Directions[0]})
	}
	return nil
}

// setFeature prepares an edit of a feature, of the dictionary that detects or of another one.
func (b *reasoner) setFeature(sh *hooks.Shape, rule int, a *rules.Action) error {
	d, site, enc := b.dict, b.site, b.Reasoning.encoder
	if a.File != "" {
		h, err := loadFeatures(&Spec{Kind: KindSAE, Sources: []Source{{Path: from(b.folder, a.File)}}})
		if err != nil {
			return err
		}
		f := h.(*Features)
		in, out, err := f.place(sh)
		if err != nil {
			return err
		}
		if in != out {
			return fmt.Errorf("want a dictionary that writes where it reads, found %s to %s", in, out)
		}
		d, site, enc = f.dict, in, f.encoder
	}
	if d == nil {
		return fmt.Errorf(`want a dictionary as in set feature 12 of "DIR" = 3: concepts that are directions have none`)
	}
	edit, err := dictionary.ParseEdit(fmt.Sprintf("%d%s%g", a.Feature, a.Assign, a.Value))
	if err != nil {
		return err
	}
	edits, err := d.Edits(edit)
	if err != nil {
		return err
	}
	b.ask(rule, 1, deed{site: site, label: edit.String(), features: &setter{dict: d, encoding: enc, coder: d.NewProductCoder(), edits: edits}})
	return nil
}

// mask makes the edits that keep experts from being chosen, whose knob is turned while the rule fires. Of the prompt nothing is known before it has been
// run: generated tokens alone are masked.
func (b *reasoner) mask(sh *hooks.Shape, rule int, list []rules.Expert) error {
	names := make([]experts.Expert, len(list))
	for i, e := range list {
		names[i] = experts.Expert{Layer: e.Layer, Expert: e.Expert}
	}
	knob := hooks.NewKnob(0)
	edits, err := experts.Of(experts.OffReplace, 0, names).Edits(sh, b.name, knob, hooks.Where{Phases: hooks.Decode})
	b.masks = append(b.masks, edits...)
	b.masked = append(b.masked, masked{rule, knob})
	return err
}

// masked is a mask with the rule that asks for it.
type masked struct {
	rule int
	knob *hooks.Knob
}

// order brings acts into the order of the forward pass, those at one site as the program has them.
func (b *reasoner) order() {
	places := make([]int, len(b.deeds))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(i, j int) int { return hooks.Compare(b.deeds[i].site, b.deeds[j].site) })
	sorted, moved := make([]deed, len(b.deeds)), make([]int, len(b.deeds))
	for to, i := range places {
		sorted[to], moved[i] = b.deeds[i], to
	}
	b.deeds = sorted
	for i := range b.asks {
		b.asks[i].act = moved[b.asks[i].act]
	}
}

// changer returns what a tap does that carries out acts[first:last], all of one site.
func (b *reasoner) changer(first, last int) func(*hooks.Activation) error {
	return func(a *hooks.Activation) error {
		strength := float64(b.knob.Value())
		for i := range a.Rows {
			b.change(a, i, first, last, strength)
		}
		return nil
	}
}

// change carries acts out on one row; all pushes are measured by the row as it came.
func (b *reasoner) change(a *hooks.Activation, i, first, last int, strength float64) {
	lengths := [2]float64{-1, -1} // of the row by the 1-norm and the 2-norm, where asked for
	row := a.Row(i)
	for j := first; j < last; j++ {
		act := &b.deeds[j]
		c := strength * b.wanted(a, i, j)
		if c == 0 {
			continue
		}
		if act.features != nil {
			act.features.change(a, i, c)
			continue
		}
		if act.lever != nil {
			n := &lengths[int(act.lever.Norm)-1]
			if *n < 0 {
				*n = act.lever.Length(row)
			}
			c *= *n
		}
		for k, v := range act.vector {
			row[k] += float32(c * float64(v))
		}
		a.Run.Report(hooks.Reading{Hook: b.name, Site: act.site, Kind: hooks.Gauge, Position: a.First + i, Index: int32(j), Label: act.label, Value: float32(c * act.length)})
	}
}

func (s *setter) change(a *hooks.Activation, i int, c float64) {
	s.code = s.coder.Encode(s.code[:0], a.Row(i), a.ProductRow(i), a.Slack)
	s.dict.EditBy(float32(c), a.Row(i), s.code, a.Row(i), s.edits)
}

// wanted is how much of an act the rules want at a row.
func (b *reasoner) wanted(a *hooks.Activation, i, act int) float64 {
	if b.deeds[act].late {
		if a.Phase == hooks.Decode {
			return b.next[act]
		}
		return 0
	}
	return b.factors[(a.First+i-b.first)*len(b.deeds)+act]
}
