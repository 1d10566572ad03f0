// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// Reasoning is a [Hook] that detects concepts in every token, draws a program's conclusions from them, and carries out the actions of the rules that fire
// (ActivationReasoning, arXiv 2510.18184). What it saw and did it reports as readings of features, concepts, rules and gauges.
//
// A promotion adds factor · ‖h‖ · s/‖s‖ to an activation h, with s the combination of the concept's rows; two rules that want the same concept promoted at
// the same site do not add up, the larger factor counts. Where an action's site is not before that of the detection it acts on the token that made its rule
// fire; else, as a mask over experts always, on the generated tokens that follow, by what holds at the token before each.
type Reasoning struct {
	spec     Spec
	name     string
	folder   string // that the program's paths are relative to
	program  *rules.Program
	machine  *rules.Machine
	set      *concepts.Set
	dict     *dictionary.Dictionary // nil where all concepts are directions
	encoder  *hooks.Encoder         // likewise
	knob     *hooks.Knob
	warnings []string
}

// defaultFactor is what a promotion has that says nothing, as in the released code (ar/config.py, steering_factor).
const defaultFactor = 0.5

// maxProgram is what a file of concepts may have; rules.Parse takes less.
const maxProgram = 256 << 20

// loadRules reads a program of rules with the concepts and the dictionary that it names, or concepts alone.
func loadRules(s *Spec) (Hook, error) {
	path := s.Sources[0].Path
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("steering: rules: %w", err)
	}
	if info.Size() > maxProgram {
		return nil, fmt.Errorf("steering: rules: %s: want at most %d bytes, found %d", path, maxProgram, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("steering: rules: %w", err)
	}
	folder := filepath.Dir(path)
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) { // concepts alone, to watch or to add rules to
		return openReasoning(*s, folder, &rules.Program{Concepts: filepath.Base(path)})
	}
	program, err := rules.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	if program.Concepts == "" {
		return nil, fmt.Errorf(`steering: rules: %s: want a line concepts "FILE" that says what is detected (trimtab fit concepts writes one), found none`, path)
	}
	return openReasoning(*s, folder, program)
}

func openReasoning(spec Spec, folder string, program *rules.Program) (Hook, error) {
	set, err := concepts.Open(from(folder, program.Concepts))
	if err != nil {
		return nil, err
	}
	dict, err := openDictionary(set, folder, program.Dictionary)
	if err != nil {
		return nil, err
	}
	return newReasoning(spec, folder, program, set, dict)
}

// from returns a path as it is seen from a folder.
func from(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, filepath.FromSlash(path))
}

// openDictionary reads the dictionary of a set, or the one that a program names instead; nil where there is none.
func openDictionary(set *concepts.Set, folder, instead string) (*dictionary.Dictionary, error) {
	path := set.DictionaryPath()
	if instead != "" {
		path = from(folder, instead)
	}
	if path == "" {
		return nil, nil
	}
	return dictionary.Open(path, dictionary.Options{Site: set.Site})
}

// NewReasoning returns the hook of a program, with concepts and their dictionary (nil where all are directions) in place of what the program names. Paths in
// the program are relative to the working folder.
func NewReasoning(spec Spec, program *rules.Program, set *concepts.Set, dict *dictionary.Dictionary) (*Reasoning, error) {
	return newReasoning(spec, "", program, set, dict)
}

func newReasoning(spec Spec, folder string, program *rules.Program, set *concepts.Set, dict *dictionary.Dictionary) (*Reasoning, error) {
	r := &Reasoning{spec: spec, folder: folder, program: program, set: set, dict: dict, knob: hooks.NewKnob(1)}
	r.name = "rules"
	if len(spec.Sources) > 0 {
		r.name = strings.Join(strings.Fields(strings.TrimSuffix(filepath.Base(spec.Sources[0].Path), filepath.Ext(spec.Sources[0].Path))), "-")
	}
	if spec.Sites != "" || spec.Where != (hooks.Where{}) {
		return nil, fmt.Errorf("steering: %s: want neither @SITES nor modifiers behind rules, which say themselves where they act", &spec)
	}
	if spec.Strength != nil {
		r.knob.Set(*spec.Strength)
	}
	if err := set.Check(dict); err != nil {
		return nil, err
	}
	var err error
	if r.machine, err = program.Compile(program.World); err != nil {
		return nil, err
	}
	if dict != nil {
		r.encoder = &hooks.Encoder{Name: r.name, Rows: dict.Form.N, Weight: dict.Matrix(), Bits: dict.Bits()}
	}
	return r, r.inspect()
}

// inspect refuses actions that cannot be carried out and collects warnings.
func (r *Reasoning) inspect() error {
	weak := map[string]bool{}
	for i := range r.program.Rules {
		for j := range r.program.Rules[i].Actions {
			a := &r.program.Rules[i].Actions[j]
			if a.Kind != rules.Promote && a.Kind != rules.Suppress {
				continue
			}
			c := r.set.Find(a.Concept)
			if c < 0 {
				return &rules.ParseError{Line: a.Line, Column: a.Column, Want: "a concept of " + r.program.Concepts + " to " + a.String(), Found: fmt.Sprintf("%q", a.Concept)}
			}
			if !weak[a.Concept] {
				weak[a.Concept] = true
				r.warnLever(r.program.Title(i), a, &r.set.Concepts[c])
			}
		}
	}
	concluded := map[string]bool{}
	for i := range r.program.Rules {
		for _, h := range r.program.Rules[i].Heads {
			concluded[h.Name] = true
		}
	}
	for _, name := range r.machine.Concepts() {
		if r.set.Find(name) < 0 && !concluded[name] {
			r.warn("nothing detects or concludes %q", name)
		}
	}
	return nil
}

func (r *Reasoning) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// warnLever speaks up where a push has not been seen to do anything: what detects a concept well need not move it.
func (r *Reasoning) warnLever(title string, a *rules.Action, c *concepts.Concept) {
	switch e := c.Lever.Effect; {
	case e == nil:
		r.warn("rule %s: %s: what the lever does was not measured (trimtab fit concepts measures it)", title, a)
	case e.Weak():
		r.warn("rule %s: %s: the lever is weak: %s", title, a, e)
	}
}

// Name implements [Hook].
func (r *Reasoning) Name() string { return r.name }

// Strength implements [Hook]: what every factor is multiplied by. At 0 no action is carried out, stop and require included; detection and rules go on.
func (r *Reasoning) Strength() *hooks.Knob { return r.knob }

// Spec implements [Hook].
func (r *Reasoning) Spec() Spec {
	spec := r.spec
	if now := r.knob.Value(); now != 1 || spec.Strength != nil {
		spec.Strength = &now
	}
	return spec
}

// Warnings implements [Hook].
func (r *Reasoning) Warnings() []string { return append([]string(nil), r.warnings...) }

// Program returns the rules, which must not be written.
func (r *Reasoning) Program() *rules.Program { return r.program }

// Concepts returns what is detected, which must not be written.
func (r *Reasoning) Concepts() *concepts.Set { return r.set }

// With returns a hook with further rules behind those of this one, sharing its strength. It reads no file again but those that actions name.
func (r *Reasoning) With(more []rules.Rule) (*Reasoning, error) {
	program := *r.program
	program.Rules = append(append([]rules.Rule(nil), r.program.Rules...), more...)
	out, err := newReasoning(r.spec, r.folder, &program, r.set, r.dict)
	if err == nil {
		out.knob = r.knob
	}
	return out, err
}

// Sites implements [Hook]: where concepts are detected, then where actions are carried out.
func (r *Reasoning) Sites(sh *hooks.Shape) ([]Place, error) {
	b, err := r.bind(sh)
	if err != nil {
		return nil, err
	}
	places := []Place{{Site: b.site, Tensors: []string{fmt.Sprintf("%d concepts, %d rules", len(b.readers), len(r.program.Rules))}}}
	for i := range b.deeds {
		act := &b.deeds[i]
		words := act.label
		if act.late {
			words += " (from the next token on)"
		}
		places = append(places, Place{Site: act.site, Tensors: []string{words}})
	}
	return places, nil
}

// Bind implements [hooks.Hook]: a tap that detects and reasons, then one for each site where something is changed. The state that they share is made here, so
// that each session has its own.
func (r *Reasoning) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	b, err := r.bind(sh)
	if err != nil {
		return hooks.Plan{}, err
	}
	plan := hooks.Plan{Edits: b.masks}
	// Not ReadOnly, though it writes nothing: a prompt that is in the cache has to be read when rules come.
	plan.Taps = append(plan.Taps, hooks.Tap{Name: r.name, Site: b.site, Encoder: r.encoder, Func: b.detect})
	for i := range b.deeds {
		act := &b.deeds[i]
		if i > 0 && act.same(&b.deeds[i-1]) {
			continue
		}
		last := i + 1
		for last < len(b.deeds) && b.deeds[last].same(act) {
			last++
		}
		tap := hooks.Tap{Name: r.name, Site: act.site, Strength: r.knob, Encoder: act.encoder(), Func: b.changer(i, last)}
		plan.Taps = append(plan.Taps, tap)
	}
	return plan, nil
}
