// SPDX-License-Identifier: Apache-2.0

package tasks

import (
	"context"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Detector tells which of some concepts, of which one is meant, a part of a text is about.
type Detector struct {
	g    *gather.Gatherer
	list []concepts.Concept
}

// NewDetector reads through a dictionary; Fit gives it something to detect.
func NewDetector(m *runtime.Model, site hooks.Site, d *dictionary.Dictionary) (*Detector, error) {
	g, err := gather.New(m, site, d, false)
	return &Detector{g: g}, err
}

// Close gives the session back.
func (d *Detector) Close() { d.g.Close() }

// marked is a text with the spans that are about each concept.
type marked struct {
	text  string
	spans map[string][]gather.Span
}

// fit finds concepts in marked texts: the last token of a span is the concept's, or with all every token of it; the other concepts' are not.
func (d *Detector) fit(ctx context.Context, names []string, texts []marked, o concepts.Options, all bool) error {
	list := make([]concepts.Examples, len(names))
	for _, t := range texts {
		read, err := d.g.Read(ctx, t.text)
		if err != nil {
			return err
		}
		for i, name := range names {
			list[i].Name = name
			one := read.Clone()
			one.MarkAll(concepts.Skip)
			for other, spans := range t.spans {
				mark := concepts.Not
				if other == name {
					mark = concepts.Is
				}
				d.g.MarkSpans(one, spans, all, mark)
			}
			list[i].Positive = append(list[i].Positive, one.Sample)
		}
	}
	var err error
	d.list, err = concepts.Fit(list, o)
	return err
}

// detect returns the concept that stands out most in a span, by its score as a share of its threshold, or "" where none reaches its own.
func (d *Detector) detect(ctx context.Context, text string, spans [][]gather.Span, all bool) ([]string, error) {
	read, err := d.g.Read(ctx, text)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(spans))
	for i, span := range spans {
		one := read.Clone()
		one.MarkAll(concepts.Skip)
		d.g.MarkSpans(one, span, all, concepts.Is)
		best := 1.0
		for j := range d.list {
			c := &d.list[j]
			if v := c.Reader.Score(one.Sample) / c.Reader.Threshold; v >= best {
				best, out[i] = v, c.Name
			}
		}
	}
	return out, nil
}
