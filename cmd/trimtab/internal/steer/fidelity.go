// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// checkText is what dictionaries are checked on: plain prose, a question, code, numbers. Position 0 and massive activations are left out.
const checkText = "The river rose after three days of rain, and the old bridge was closed. Her brother asked why the train to Berlin was late again; " +
	"nobody at the station knew. def area(r):\n    return 3.14159 * r * r\n\nWhat is the capital of Italy? Rome has been its capital since 1871. " +
	"He was glad to be home, sat down by the window and wrote a long letter to his friend about the price of bread, the new school and the war."

// Verdicts on the fraction of variance unexplained (FVU): published SAEs lie between 0.1 and 0.5, the mean activation alone is 1.
const (
	plausibleFVU = 0.7
	uselessFVU   = 1.0
)

// FidelityError says that a dictionary does not explain the activations that it is to be attached to, and what would.
type FidelityError struct {
	Dictionary string
	Site       hooks.Site
	Quality    dictionary.Quality
	Cause      string // "" where none was found
}

func (e *FidelityError) Error() string {
	cause := e.Cause
	if cause == "" {
		cause = "no other layer, point or scale does better: it may be another model's, or its matrices may stand the wrong way"
	}
	return fmt.Sprintf("dictionary %s at %s: want a reconstruction better than the mean activation (FVU below 1), found FVU %.3g with %.3g features a token; %s",
		e.Dictionary, e.Site, e.Quality.FVU, e.Quality.L0, cause)
}

// Fidelity runs a built-in text through a session of its own and says in a line how well the dictionary explains the activations where it is to stand.
// A dictionary that explains less than their mean does is a *FidelityError, which names the layer, point or scale at which it would fit.
func Fidelity(ctx context.Context, m *runtime.Model, f *steering.Features) (string, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return "", nil // nothing to read
	}
	places, err := f.Sites(m.Shape())
	if err != nil {
		return "", err
	}
	var ids []int32
	if tok.BOS() >= 0 {
		ids = append(ids, tok.BOS())
	}
	ids = tok.Encode(ids, checkText, false)
	c := &fidelityCheck{ctx: ctx, m: m, d: f.Dictionary(), ids: ids[:min(len(ids), m.Config().Context)]}
	if f.Dictionary().Transcodes() {
		return "", nil // what it is to equal stands at another site
	}
	site := places[0].Site
	rows, err := c.rows([]hooks.Site{site})
	if err != nil {
		return "", err
	}
	q := c.quality(rows[0], 1, len(ids))
	line := fmt.Sprintf("%s at %s: FVU %.3f, %.3g features a token on %d tokens of a built-in text", f.Name(), site, q.FVU, q.L0, q.Rows)
	if q.FVU < plausibleFVU {
		return line, nil
	}
	cause, err := c.cause(site, rows[0], q.FVU)
	if err != nil {
		return "", err
	}
	if q.FVU < uselessFVU {
		return strings.TrimSuffix("warning: "+line+": much of these activations is not explained; "+cause, "; "), nil
	}
	return "", &FidelityError{Dictionary: f.Name(), Site: site, Quality: q, Cause: cause}
}

// fidelityCheck measures a dictionary at sites of a model.
type fidelityCheck struct {
	ctx context.Context
	m   *runtime.Model
	d   *dictionary.Dictionary
	ids []int32
}

func (c *fidelityCheck) rows(sites []hooks.Site) ([]runtime.Captured, error) {
	return c.m.Trace(c.ctx, c.ids, runtime.TraceOptions{Sites: sites})
}

// quality encodes the first rows, multiplied by a factor.
func (c *fidelityCheck) quality(rows runtime.Captured, factor float32, most int) dictionary.Quality {
	var massive dictionary.Massive
	massive.Learn(rows.Data, rows.Width, 0)
	coder, sum := c.d.NewCoder(), c.d.NewFidelity()
	var code []dictionary.Feature
	x := make([]float32, rows.Width)
	for i := 0; i < min(most, len(rows.Data)/rows.Width); i++ {
		row := rows.Data[i*rows.Width:][:rows.Width]
		if massive.Is(i, row) {
			continue
		}
		for j, v := range row {
			x[j] = v * factor
		}
		code = coder.Encode(code[:0], x)
		sum.Add(code, x, x)
	}
	return sum.Quality()
}

// triedRows is how many rows of a text are encoded for each thing that is tried.
const triedRows = 24

// cause looks for a layer, a point or a scale at which the dictionary fits clearly better than it does.
func (c *fidelityCheck) cause(site hooks.Site, rows runtime.Captured, now float64) (string, error) {
	best, words := now*0.8, ""
	try := func(q dictionary.Quality, format string, args ...any) {
		if q.FVU < best {
			best, words = q.FVU, fmt.Sprintf(format, args...)+fmt.Sprintf(" its FVU is %.3g", q.FVU)
		}
	}
	for e := -8; e <= 8; e++ {
		if factor := float32(math.Exp2(float64(e))); e != 0 {
			try(c.quality(rows, factor, triedRows), "on activations multiplied by %.3g", factor)
		}
	}
	var others []hooks.Site
	for s, width := range c.m.Shape().Widths {
		if width == rows.Width && s != site && (s.Point == site.Point || s.Layer == site.Layer) {
			others = append(others, s)
		}
	}
	list, err := c.rows(others)
	if err != nil {
		return "", err
	}
	for _, r := range list {
		try(c.quality(r, 1, triedRows), "at %s", r.Site)
	}
	return words, nil
}
