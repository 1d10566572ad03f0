// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/rules"
)

// reasonings returns everything on the session that reasons.
func (r *rig) reasonings() []*attached {
	var out []*attached
	for _, a := range r.steerings {
		if _, ok := a.Hook.(*steering.Reasoning); ok {
			out = append(out, a)
		}
	}
	return out
}

var errNoRules = errors.New("no rules are attached; /rules FILE attaches a program, /concepts FILE only what it can detect")

// rules attaches a program, or lists the rules that are attached.
func (c *Chat) rules(ctx context.Context, path string) error {
	if path != "" {
		return c.steer(ctx, "rules:"+quoted(path))
	}
	list := c.rig.reasonings()
	if len(list) == 0 {
		return errNoRules
	}
	for _, a := range list {
		c.screen.println(a.name + ":")
		c.screen.print(a.Hook.(*steering.Reasoning).Program().String())
	}
	return nil
}

// quoted keeps a path from being taken apart by the grammar of specs.
func quoted(path string) string {
	if strings.ContainsAny(path, "@*=:[") {
		return strconv.Quote(path)
	}
	return path
}

// rule adds rules to those that were attached last.
func (c *Chat) rule(_ context.Context, text string) error {
	list := c.rig.reasonings()
	if len(list) == 0 {
		return errNoRules
	}
	program, err := rules.Parse(text)
	if err != nil {
		return err
	}
	if len(program.Rules) == 0 {
		return errors.New("want a rule such as /rule weapon and not police -> suppress weapon")
	}
	old := list[len(list)-1]
	with, err := old.Hook.(*steering.Reasoning).With(program.Rules)
	if err != nil {
		return err
	}
	if err := c.rig.replace(old, with); err != nil {
		return err
	}
	c.screen.notes(old.Notes())
	c.screen.note(fmt.Sprintf("%d rules from the next message on; those added here are in no file", len(with.Program().Rules)))
	return nil
}

// concepts attaches what can be detected without a rule, or lists what is attached.
func (c *Chat) concepts(ctx context.Context, path string) error {
	if path != "" {
		return c.rules(ctx, path)
	}
	list := c.rig.reasonings()
	if len(list) == 0 {
		return errNoRules
	}
	w := tabwriter.NewWriter(c.screen.out, 0, 0, 2, ' ', 0)
	for _, a := range list {
		for _, k := range a.Hook.(*steering.Reasoning).Concepts().Concepts {
			lever := "lever not measured"
			if e := k.Lever.Effect; e != nil {
				lever = map[bool]string{true: "weak lever: ", false: "lever: "}[e.Weak()] + e.String()
			}
			fmt.Fprintf(w, "%s\t%s of %v from %.3g on\tAUROC %.2f\t%s\n", k.Name, k.Reader.Aggregate, k.Reader.Reads(), k.Reader.Threshold, k.Held.AUROC, lever)
		}
	}
	return w.Flush()
}

// why explains a token of the last answer, by its number from 1 or a part of its text; without either the last one.
func (c *Chat) why(_ context.Context, which string) error {
	list := c.rig.reasonings()
	if len(list) == 0 {
		return errNoRules
	}
	if c.talk.last == nil || len(c.talk.last.IDs) == 0 {
		return errNothingSaid
	}
	last := c.talk.last.Answer
	n, err := c.tokenOf(last, which)
	if err != nil {
		return err
	}
	whole := slices.Concat(last.PromptIDs, last.IDs)
	position := len(last.PromptIDs) + n - 1 // behind which it was chosen
	c.screen.println(fmt.Sprintf("%q, token %d:", c.tok.Piece(last.IDs[n]), n+1))
	for _, a := range list {
		e := a.Hook.(*steering.Reasoning).Explain(last.Readings(), len(last.PromptIDs), position)
		c.screen.print(e.Words(func(p int) string { return c.tok.Piece(whole[p]) }))
	}
	return nil
}

func (c *Chat) tokenOf(a *answer.Answer, which string) (int, error) {
	if which == "" {
		return len(a.IDs) - 1, nil
	}
	if n, err := strconv.Atoi(which); err == nil {
		if n < 1 || n > len(a.IDs) {
			return 0, fmt.Errorf("why: want a token between 1 and %d, found %d", len(a.IDs), n)
		}
		return n - 1, nil
	}
	for i, id := range a.IDs {
		if strings.Contains(c.tok.Piece(id), which) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("why: want a token of the last answer, found %q", which)
}

// firing shows beside the text which rules begin to fire, as they do.
type firing struct {
	screen *screen
	flow   *flow
	now    []string
}

// see prints a token's text, on a terminal behind the rules that fire at it and did not at the one before.
func (f *firing) see(t *runtime.Token) {
	if f.screen.terminal {
		f.begin(t.Readings)
	}
	if t.Text != "" {
		f.flow.write(t.Text)
	}
}

func (f *firing) begin(list []hooks.Reading) {
	var now []string
	for _, r := range list {
		if r.Kind != hooks.Rule || slices.Contains(now, r.Label) {
			continue
		}
		now = append(now, r.Label)
		if !slices.Contains(f.now, r.Label) {
			f.flow.flush()
			f.screen.print(f.screen.paint(yellow, "["+r.Label+"]"))
		}
	}
	f.now = now
}

// fired sums up which rules fired while an answer came.
func (c *Chat) fired(a *answer.Answer) string {
	if len(c.rig.reasonings()) == 0 {
		return ""
	}
	var order []string
	count := map[string]int{}
	for _, t := range a.Tokens {
		for _, r := range t.Fired {
			if count[r.Label] == 0 {
				order = append(order, r.Label)
			}
			count[r.Label]++
		}
	}
	if len(order) == 0 {
		return "fired: nothing\n"
	}
	for i, name := range order {
		order[i] = fmt.Sprintf("%s at %d of %d tokens", name, count[name], len(a.Tokens))
	}
	return "fired: " + strings.Join(order, ", ") + "; /why says why\n"
}
