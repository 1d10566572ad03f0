// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/steering/rules"
)

// reasonVerb is one call of reason.
type reasonVerb struct {
	*app
	facts       []string
	mode, world string
	saved       string
	json        bool
	program     *rules.Program
}

// reasoning is what reason prints as JSON.
type reasoning struct {
	Mode      string            `json:"mode"`
	World     string            `json:"world,omitempty"`
	Facts     []string          `json:"facts"`
	Fired     []firedRule       `json:"fired"`
	Derived   []string          `json:"derived"`
	Conflicts []string          `json:"conflicts,omitempty"`
	Values    map[string]string `json:"values,omitempty"`
	Answer    string            `json:"answer,omitempty"` // of open-world
}

// firedRule is one step. The released code's modes know no rounds and no facts behind a rule.
type firedRule struct {
	Rule    string   `json:"rule"`
	Line    int      `json:"line"`
	Round   int      `json:"round,omitempty"`
	From    []string `json:"from,omitempty"`
	Derived []string `json:"derived"`
	Actions []string `json:"actions,omitempty"`
}

func (a *app) reason() *cobra.Command {
	v := &reasonVerb{app: a}
	c := &cobra.Command{
		Use:   "reason RULES.txt (--facts a,b,!c | --replay RUN.json)",
		Short: "Say what follows from facts by a file of rules, and why",
		Long: "Prints the rules that fire, in order, each with the facts it rests on, what it adds and the actions it asks for.\n" +
			"!c is a fact that denies c. A name with a comma stands in double quotes.\n\n" +
			"The modes legacy, simple, complex and open-world reproduce the released code of ActivationReasoning: there, --facts are the\n" +
			"detected concepts in their order, and complex and open-world read them as statements such as Max,is,not,shy.\n\n" +
			"--replay explains each token of a run that generate --steer rules:RULES.txt --json printed: what was detected where, which rules\n" +
			"fired and what they did.",
		Example: "  trimtab reason rules.txt --facts weapon,!police\n" +
			"  trimtab reason rules.txt --replay run.json",
		Args: cobra.ExactArgs(1),
		RunE: a.verb(func(_ context.Context, _ *cobra.Command, args []string) error {
			if v.saved != "" {
				return v.replay(args[0])
			}
			return v.run(args[0])
		}),
	}
	c.Flags().StringSliceVar(&v.facts, "facts", nil, "what is detected, with commas between")
	c.Flags().StringVar(&v.saved, "replay", "", "a run to explain")
	c.Flags().StringVar(&v.mode, "mode", "fixpoint", "fixpoint, legacy, simple, complex or open-world")
	c.Flags().StringVar(&v.world, "world", "", "open or closed; without it, what the file says")
	c.Flags().BoolVar(&v.json, "json", false, "print one JSON object, of a replay one a token")
	for _, other := range []string{"facts", "mode", "world"} {
		c.MarkFlagsMutuallyExclusive("replay", other)
	}
	return c
}

func (v *reasonVerb) run(path string) error {
	if err := v.check(); err != nil {
		return usageError{fmt.Errorf("reason: %w", err)}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reason: %w", err)
	}
	if v.program, err = rules.Parse(string(text)); err != nil {
		return fmt.Errorf("reason: %s: %w", path, err)
	}
	derive := v.released
	if v.mode == "fixpoint" {
		derive = v.fixpoint
	}
	out, err := derive()
	if err != nil {
		return fmt.Errorf("reason: %s: %w", path, err)
	}
	out.Mode, out.Facts = v.mode, append([]string{}, v.facts...)
	if v.json {
		return jsonTo(v.out).Encode(out)
	}
	return v.print(out)
}

func (v *reasonVerb) check() error {
	if modes := []string{"fixpoint", "legacy", "simple", "complex", "open-world"}; !slices.Contains(modes, v.mode) {
		return fmt.Errorf("--mode: want one of %s, found %q", strings.Join(modes, ", "), v.mode)
	}
	if !slices.Contains([]string{"", "open", "closed"}, v.world) {
		return fmt.Errorf("--world: want open or closed, found %q", v.world)
	}
	if v.world != "" && v.mode != "fixpoint" {
		return fmt.Errorf("--world goes with --mode fixpoint, found %s", v.mode)
	}
	for _, f := range v.facts {
		if strings.Trim(f, "! ") == "" {
			return fmt.Errorf("--facts: want names with commas between, found %q", strings.Join(v.facts, ","))
		}
		if strings.HasPrefix(strings.TrimSpace(f), "!") && v.mode != "fixpoint" {
			return fmt.Errorf("--facts: the mode %s knows no denied facts, found %q", v.mode, f)
		}
	}
	return nil
}

func (v *reasonVerb) fixpoint() (*reasoning, error) {
	world := map[string]rules.World{"": v.program.World, "open": rules.Open, "closed": rules.Closed}[v.world]
	m, err := v.program.Compile(world)
	if err != nil {
		return nil, err
	}
	res := m.Infer(v.literals(m)...)
	out := &reasoning{World: world.String(), Derived: spell(res.Derived()), Fired: []firedRule{}, Conflicts: res.Conflicts(), Values: map[string]string{}}
	for _, s := range res.Steps {
		f := v.firedRule(s.Rule)
		f.Round, f.From, f.Derived = s.Round, spell(s.From), spell(s.Adds)
		out.Fired = append(out.Fired, f)
	}
	for _, name := range m.Concepts() {
		out.Values[name] = res.Value(name).String()
	}
	return out, nil
}

// literals reads the facts and warns of those that can have no effect.
func (v *reasonVerb) literals(m *rules.Machine) []rules.Literal {
	var out []rules.Literal
	for _, f := range v.facts {
		name, not := strings.CutPrefix(strings.TrimSpace(f), "!")
		name = strings.TrimSpace(name)
		if _, known := m.Concept(name); !known {
			fmt.Fprintf(v.err, "trimtab: warning: reason: no rule names the fact %q\n", name)
		}
		out = append(out, rules.Literal{Name: name, Not: not})
	}
	return out
}

func (v *reasonVerb) released() (*reasoning, error) {
	list, err := v.program.Released(v.mode == "legacy")
	if err != nil {
		return nil, err
	}
	detected := make([]string, len(v.facts))
	for i, f := range v.facts {
		detected[i] = strings.TrimSpace(f)
	}
	out := &reasoning{Fired: []firedRule{}, Derived: []string{}}
	var fired []int
	switch v.mode {
	case "legacy":
		fired = rules.Legacy(list, detected)
	case "simple":
		fired = rules.Simple(list, detected)
	case "complex":
		fired = rules.Complex(list, detected)
	case "open-world":
		out.Answer, fired = rules.OpenWorld(list, detected)
	default:
		return nil, errors.ErrUnsupported
	}
	for _, i := range fired {
		f := v.firedRule(i)
		f.Derived = spell(v.program.Rules[i].Heads)
		out.Fired = append(out.Fired, f)
		out.Derived = append(out.Derived, f.Derived...)
	}
	return out, nil
}

func (v *reasonVerb) firedRule(i int) firedRule {
	r := &v.program.Rules[i]
	f := firedRule{Rule: v.program.Title(i), Line: r.Line}
	for j := range r.Actions {
		f.Actions = append(f.Actions, r.Actions[j].String())
	}
	return f
}

func spell(literals []rules.Literal) []string {
	out := make([]string, len(literals))
	for i, l := range literals {
		out[i] = l.String()
	}
	return out
}

// print writes a rule a line: its name, the facts it rests on, what it adds, what it asks for.
func (v *reasonVerb) print(out *reasoning) error {
	var b strings.Builder
	for _, f := range out.Fired {
		b.WriteString(f.Rule + ":")
		if len(f.From) > 0 {
			b.WriteString(" " + strings.Join(f.From, ", "))
		}
		b.WriteString(" -> " + strings.Join(slices.Concat(f.Derived, f.Actions), ", "))
		b.WriteByte('\n')
	}
	if out.Answer != "" {
		b.WriteString("answer: " + out.Answer + "\n")
	}
	for _, name := range out.Conflicts {
		fmt.Fprintf(&b, "conflict: %q is both affirmed and denied\n", name)
	}
	_, err := v.out.Write([]byte(b.String()))
	return err
}
