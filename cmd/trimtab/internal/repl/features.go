// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/steering"
)

// dictionaries returns everything on the session that reads features.
func (r *rig) dictionaries() []*steering.Features {
	var out []*steering.Features
	for _, a := range r.steerings {
		if f, ok := a.Hook.(*steering.Features); ok {
			out = append(out, f)
		}
	}
	for _, p := range r.probes {
		if p.features != nil {
			out = append(out, p.features)
		}
	}
	return out
}

func (r *rig) probesFeatures() bool {
	return slices.ContainsFunc(r.probes, func(p *probe) bool { return p.features != nil })
}

var errNoDictionary = errors.New("no dictionary is attached; /probe sae:DIR watches one")

// features shows the features of the last answer, or finds some by their labels.
func (c *Chat) features(_ context.Context, text string) error {
	list := c.rig.dictionaries()
	if len(list) == 0 {
		return errNoDictionary
	}
	if text != "" {
		return c.searchLabels(list, text)
	}
	if c.talk.last == nil || len(c.talk.last.Tokens) == 0 {
		return errors.New("no features were read yet: they come with the next answer")
	}
	c.screen.print(c.table(c.talk.last.Answer))
	return nil
}

func (c *Chat) searchLabels(list []*steering.Features, text string) error {
	found := false
	for _, f := range list {
		for _, i := range f.Labels().Search(text) {
			found = true
			id := f.Labels().ID(i)
			c.screen.println(strings.TrimSpace(fmt.Sprintf("%s %d  %s  %s", f.Name(), i, f.Labels().Of(i), id)))
		}
	}
	if !found {
		return fmt.Errorf("features: no label has %q", text)
	}
	return nil
}

// table has a line for each token with its strongest features. They are those of the position behind which the token was chosen.
func (c *Chat) table(a *answer.Answer) string {
	var b strings.Builder
	for _, g := range a.Tokens[0].Gauges {
		if g.Label == steering.LeftOut {
			fmt.Fprintf(&b, "%s: %g %s (massive activations)\n", g.Hook, g.Value, g.Label)
		}
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, t := range a.Tokens {
		var parts []string
		for _, f := range t.Features {
			part := fmt.Sprintf("%d %.1f", f.Index, f.Value)
			if f.Label != "" {
				part = fmt.Sprintf("%s %.1f", f.Label, f.Value)
			}
			parts = append(parts, part)
		}
		fmt.Fprintf(w, "%q\t%s\n", t.Token, strings.Join(parts, "  "))
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
