// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/steer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/steering"
)

// probe reads how far the activations of generated tokens reach along a vector: h·v/|v|, averaged over the probe's sites.
// A token's value is that of the pass in which it is the input, so the last token of an answer has none. A probe of a dictionary reads features instead,
// which come with the tokens.
type probe struct {
	name   string
	spec   string
	where  string
	sites  []hooks.Site
	units  [][]float32
	tokens []int32
	values []float64

	features *steering.Features // of a probe that reads features; nil otherwise
	plan     hooks.Plan
}

// newProbe reads a spec of the kind vector:FILE[@SITES] or sae:DIR.
func newProbe(spec string, sh *hooks.Shape) (*probe, error) {
	l, err := steer.Load(spec, sh)
	if err != nil {
		return nil, err
	}
	if f, ok := l.Hook.(*steering.Features); ok && f.Reads() {
		p := &probe{name: l.Name(), spec: spec, where: l.Where(), features: f}
		p.plan, err = f.Bind(sh)
		return p, err
	}
	if s := l.Spec(); s.Kind != steering.KindVector || s.Where != (hooks.Where{}) {
		return nil, errors.New("a probe reads all generated tokens along one vector: want vector:FILE[@SITES] or sae:DIR, found " + spec)
	}
	plan, err := l.Bind(sh)
	if err != nil {
		return nil, err
	}
	p := &probe{name: l.Name(), spec: spec, where: l.Where()}
	for i := range plan.Edits {
		p.sites = append(p.sites, plan.Edits[i].Site)
		p.units = append(p.units, unit(plan.Edits[i].Directions[0]))
	}
	return p, nil
}

func unit(v []float32) []float32 {
	n := math.Sqrt(along(v, v))
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / n)
	}
	return out
}

func along(h, u []float32) float64 {
	sum := 0.0
	for i, x := range u {
		sum += float64(x) * float64(h[i])
	}
	return sum
}

// taps are one a site, in forward order: the first one opens a value, the others add to it.
func (p *probe) taps() []hooks.Tap {
	if p.features != nil {
		return p.plan.Taps
	}
	var out []hooks.Tap
	for i, site := range p.sites {
		u, share := p.units[i], 1/float64(len(p.sites))
		out = append(out, hooks.Tap{
			Name: "probe " + p.name, Site: site, Where: hooks.Where{Phases: hooks.Decode}, ReadOnly: true,
			Func: func(a *hooks.Activation) error {
				if i == 0 {
					p.tokens = append(p.tokens, a.Tokens...)
					p.values = append(p.values, make([]float64, len(a.Tokens))...)
				}
				row := p.values[len(p.values)-len(a.Tokens):]
				for r := range row {
					row[r] += share * along(a.Row(r), u)
				}
				return nil
			},
		})
	}
	return out
}

func (r *rig) probe(spec string) (*probe, error) {
	p, err := newProbe(spec, r.model.Shape())
	if err != nil {
		return nil, err
	}
	before := r.probes
	if err := r.setProbes(append(before[:len(before):len(before)], p)); err != nil {
		return nil, errors.Join(err, r.setProbes(before))
	}
	return p, nil
}

// setProbes replaces the probes of the session.
func (r *rig) setProbes(list []*probe) error {
	return r.withoutProbes(func() error {
		r.probes = list
		return nil
	})
}

// forget makes the probes ready for a new answer.
func (r *rig) forget() {
	for _, p := range r.probes {
		p.tokens, p.values = p.tokens[:0], p.values[:0]
	}
}

// readings shows what the probes read during the last answer.
func (r *rig) readings(tok tokenizer.Tokenizer, s *screen) string {
	var b strings.Builder
	for _, p := range r.probes {
		if len(p.values) > 0 {
			p.show(&b, tok, s)
		}
	}
	return b.String()
}

func (p *probe) show(b *strings.Builder, tok tokenizer.Tokenizer, s *screen) {
	sum, top := 0.0, 0
	for i, v := range p.values {
		sum += v
		if v > p.values[top] {
			top = i
		}
	}
	fmt.Fprintf(b, "%s: mean %.3g, max %.3g at %q", p.name, sum/float64(len(p.values)), p.values[top], tok.Piece(p.tokens[top]))
	if !s.terminal {
		b.WriteByte(':')
		for _, v := range p.values {
			fmt.Fprintf(b, " %.4g", v)
		}
		b.WriteByte('\n')
		return
	}
	b.WriteString("\n" + strip(p.values, max(s.width()-1, 1), s) + "\n")
}

// strip draws a bar a token, as high as the value is far from 0: yellow above 0, blue below. Where there are more tokens than
// columns, a bar stands for the farthest value of several.
func strip(values []float64, width int, s *screen) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	n := min(width, len(values))
	far := math.Abs(farthest(values))
	var b strings.Builder
	for i := range n {
		v := farthest(values[i*len(values)/n : (i+1)*len(values)/n])
		level := 0
		if far > 0 {
			level = min(int(math.Abs(v)/far*float64(len(bars))), len(bars)-1)
		}
		colour := yellow
		if v < 0 {
			colour = blue
		}
		b.WriteString(s.paint(colour, string(bars[level])))
	}
	return b.String()
}

func farthest(values []float64) float64 {
	out := values[0]
	for _, v := range values {
		if math.Abs(v) > math.Abs(out) {
			out = v
		}
	}
	return out
}

// probe attaches a probe, takes all off, or lists them.
func (c *Chat) probe(_ context.Context, arg string) error {
	switch arg {
	case "off":
		if err := c.rig.setProbes(nil); err != nil {
			return err
		}
		c.screen.note("no probes")
		return nil
	case "":
		for _, p := range c.rig.probes {
			c.screen.println(p.name + "  " + p.where)
		}
		return nil
	}
	p, err := c.rig.probe(arg)
	if err != nil {
		return err
	}
	c.screen.note("probe " + p.name + ": " + p.where)
	return nil
}
