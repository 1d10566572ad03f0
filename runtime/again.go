// SPDX-License-Identifier: Apache-2.0

package runtime

import "github.com/trimtab/trimtab/hooks"

// In a graph without a cache each pass runs the whole sequence, and so does a pass that finds the whole cache stale: the tokens of earlier passes run again in front of the new ones. Edits act on their rows as
// they did before; a tap that may write is called once for each of the earlier passes, so that what it does is done again; a tap that only reads sees new rows only.

// runAgain lists the rows of earlier passes.
func (p *pass) runAgain() {
	s := p.session
	for i, t := range s.past[:p.feed.before] {
		p.rows = append(p.rows, hooks.Row{Position: i, Phase: t.phase(), Special: s.model.special(t.id)})
	}
}

func (t *pastToken) phase() hooks.Phase {
	if t.generated {
		return hooks.Decode
	}
	return hooks.Prefill
}

// actsAgain tells whether a tap has something to do again.
func (p *pass) actsAgain(t *tapState) bool {
	if p.feed.before == 0 || t.tap.ReadOnly || p.feed.rowsOf(t.tap.Site) <= p.feed.tokens {
		return false
	}
	for _, r := range p.rows[:p.feed.before] {
		if t.tap.Where.Selects(r) {
			return true
		}
	}
	return false
}

// show calls a tap with the rows of the pass, which are the last of data.
func (p *pass) show(t *tapState, data, products []float32) error {
	a := &t.activation
	all := len(data) / a.Width
	skipped := all - len(t.rows)
	if p.actsAgain(t) {
		if err := p.repeat(t, data[:skipped*a.Width], products[:skipped*(len(products)/all)]); err != nil {
			return err
		}
	}
	if !t.open {
		return nil
	}
	a.Data, a.Products = data[skipped*a.Width:], products[skipped*(len(products)/all):]
	return t.tap.Func(a)
}

// repeat calls a tap for each earlier pass.
func (p *pass) repeat(t *tapState, data, products []float32) error {
	past := p.session.past[:p.feed.before]
	for from := 0; from < len(past); {
		to := from + 1
		for to < len(past) && !past[to].began {
			to++
		}
		n := len(products) / len(past)
		a := hooks.Activation{
			Site: t.tap.Site, Phase: past[from].phase(), First: from, Width: t.activation.Width, Slack: t.activation.Slack, Run: nobody{},
			Data: data[from*t.activation.Width : to*t.activation.Width], Products: products[from*n : to*n],
		}
		on := false
		for i, r := range p.rows[from:to] {
			a.Tokens, a.Rows = append(a.Tokens, past[from+i].id), append(a.Rows, t.tap.Where.Selects(r))
			on = on || a.Rows[i]
		}
		if on {
			if err := t.tap.Func(&a); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// nobody is the run of passes that are only done again: what their taps report and ask for was heard the first time.
type nobody struct{}

func (nobody) Report(hooks.Reading) {}
func (nobody) Stop()                {}
func (nobody) Say(string)           {}
