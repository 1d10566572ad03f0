// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"slices"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// Told is a token with what hooks reported at it: of a token of the answer, at the position behind which it was chosen; of one of the prompt, at its own.
type Told struct {
	ID       int32     `json:"id"`
	Token    string    `json:"token"`
	Position int       `json:"position"` // at which the hooks saw what they report
	Fired    []Reading `json:"fired"`
	Concepts []Reading `json:"concepts,omitempty"`
	Features []Reading `json:"features,omitempty"`
	Experts  []Reading `json:"experts,omitempty"`
	Probes   []Reading `json:"probes,omitempty"`
	Gauges   []Reading `json:"gauges,omitempty"`
}

// Reading is a hooks.Reading in the form that is printed as JSON.
type Reading struct {
	Hook  string  `json:"hook"`
	Site  string  `json:"site"`
	Index int32   `json:"index"`
	Label string  `json:"label,omitempty"`
	Value float32 `json:"value"`
}

// told sorts the readings that came with a token: those at the position behind which it was chosen are its own, the others tokens' of the prompt.
func (c *collector) told(t *runtime.Token) {
	a := c.answer
	if len(t.Readings) == 0 && len(a.Tokens) == 0 {
		return
	}
	for n := len(a.Tokens); n < len(a.IDs); n++ { // nothing was told of the tokens before
		a.Tokens = append(a.Tokens, Told{ID: a.IDs[n], Token: c.piece(a.IDs[n]), Position: len(a.PromptIDs) + n - 1, Fired: []Reading{}})
	}
	behind := len(a.PromptIDs) + c.passes - 2
	own := Told{ID: t.ID, Token: c.piece(t.ID), Position: behind, Fired: []Reading{}}
	for _, r := range t.Readings {
		if r.Position == behind {
			own.add(r)
			continue
		}
		if r.Position < len(a.PromptIDs) {
			c.ofPrompt(r.Position).add(r)
		}
	}
	a.Tokens = append(a.Tokens, own)
}

// ofPrompt returns the entry of a prompt token. Sites report one after the other, each in the order of positions.
func (c *collector) ofPrompt(position int) *Told {
	a := c.answer
	i, found := slices.BinarySearchFunc(a.Prompt, position, func(t Told, p int) int { return t.Position - p })
	if !found {
		id := a.PromptIDs[position]
		a.Prompt = slices.Insert(a.Prompt, i, Told{ID: id, Token: c.piece(id), Position: position, Fired: []Reading{}})
	}
	return &a.Prompt[i]
}

func (t *Told) add(r hooks.Reading) {
	to := map[hooks.ReadingKind]*[]Reading{
		hooks.Rule: &t.Fired, hooks.Concept: &t.Concepts, hooks.Feature: &t.Features, hooks.Expert: &t.Experts, hooks.Probe: &t.Probes, hooks.Gauge: &t.Gauges,
	}[r.Kind]
	*to = append(*to, Reading{Hook: r.Hook, Site: r.Site.String(), Index: r.Index, Label: r.Label, Value: r.Value})
}

// Readings returns what hooks reported, as they did, for a replay. Sites that are no names of ours are left out.
func (a *Answer) Readings() []hooks.Reading {
	var out []hooks.Reading
	for _, list := range [][]Told{a.Prompt, a.Tokens} {
		for i := range list {
			out = list[i].readings(out)
		}
	}
	return out
}

func (t *Told) readings(dst []hooks.Reading) []hooks.Reading {
	for kind, list := range map[hooks.ReadingKind][]Reading{
		hooks.Rule: t.Fired, hooks.Concept: t.Concepts, hooks.Feature: t.Features, hooks.Expert: t.Experts, hooks.Probe: t.Probes, hooks.Gauge: t.Gauges,
	} {
		for _, r := range list {
			site, err := hooks.ParseSite(r.Site)
			if err == nil {
				dst = append(dst, hooks.Reading{Hook: r.Hook, Site: site, Kind: kind, Position: t.Position, Index: r.Index, Label: r.Label, Value: r.Value})
			}
		}
	}
	return dst
}

// Held sums up what a guard did while the answer came.
func (a *Answer) Held() dose.Held {
	h := dose.Held{Of: len(a.Tokens)}
	for _, list := range [][]Told{a.Prompt, a.Tokens} {
		for _, t := range list {
			beyond := false
			for _, g := range t.Gauges {
				if g.Hook == dose.GuardName && h.Add(g.Label, float64(g.Value)) {
					beyond = true
				}
			}
			if beyond {
				h.Tokens++
			}
		}
	}
	return h
}
