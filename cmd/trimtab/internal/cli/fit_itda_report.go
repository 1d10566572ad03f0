// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// fittedITDA is what fit itda prints of a site.
type fittedITDA struct {
	Dir       string  `json:"dir"`
	Site      string  `json:"site"`
	Atoms     int     `json:"atoms"`
	Sequences int     `json:"sequences"`
	Tokens    int     `json:"tokens"`   // looked at
	LeftOut   int     `json:"left_out"` // of these, as massive
	Seconds   float64 `json:"seconds"`  // of the whole, all sites
	Fit       float64 `json:"fit_seconds"`
	CPU       float64 `json:"fit_cpu_seconds"` // beyond the model's passes
}

// finish writes the dictionaries. next is how many sequences were read.
func (v *fitITDAVerb) finish(next int, took time.Duration) error {
	for _, f := range v.fits {
		d, err := v.dictionary(f, next)
		if err != nil {
			return err
		}
		if err := v.write(f, d); err != nil {
			return err
		}
		rows, left := f.Seen()
		out := fittedITDA{
			Dir: f.dir, Site: f.site.String(), Atoms: d.Form.N, Sequences: next, Tokens: rows, LeftOut: left,
			Seconds: took.Seconds(), Fit: f.seconds, CPU: f.cpu,
		}
		if err := v.print(out); err != nil {
			return err
		}
	}
	return nil
}

func (v *fitITDAVerb) print(r fittedITDA) error {
	if v.json {
		return jsonTo(v.out).Encode(r)
	}
	_, err := fmt.Fprintf(v.out, "%s: %d atoms of %s from %d tokens of %d sequences, %d massive ones left out; %.1f s, of which the fit %.1f s (%.1f s of processor time)\n",
		r.Dir, r.Atoms, r.Site, r.Tokens, r.Sequences, r.LeftOut, r.Seconds, r.Fit, r.CPU)
	return err
}

// dictionary adds what the trainer does not know.
func (v *fitITDAVerb) dictionary(f *siteFit, next int) (*dictionary.Dictionary, error) {
	d, err := f.Dictionary(v.distinct)
	if err != nil {
		return nil, fmt.Errorf("fit itda: %s: %w", f.site, err)
	}
	a := &d.Address
	a.Site, a.Out, a.Hook, a.Model = f.site, f.site, f.site.String(), v.m.Shape().Model
	a.SkipFirst, a.ExcludeSpecial, a.Context, a.PrependBOS = !v.settings.Massive, !v.special, v.text.o.Piece, dictionary.No
	if v.text.o.BOS {
		a.PrependBOS = dictionary.Yes
	}
	names := make([]string, len(v.text.files))
	for i, path := range v.text.files {
		names[i] = filepath.Base(path)
	}
	x := d.Facts
	x.Texts, x.Seed, x.Sequences, x.Digest = strings.Join(names, ","), v.seed, next, v.texts.Digest(v.order[:next])
	x.Sources = map[int]string{}
	for _, atom := range d.Atoms {
		x.Sources[atom.Text] = fmt.Sprintf("text %d", v.texts.Sequences[atom.Text].Source)
	}
	return d, nil
}

func (v *fitITDAVerb) write(f *siteFit, d *dictionary.Dictionary) error {
	if err := dictionary.WriteITDA(f.dir, d); err != nil {
		return err
	}
	if v.original {
		if err := dictionary.WriteOriginalITDA(f.dir, d); err != nil {
			return err
		}
	}
	if err := os.Remove(f.unfinished()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// valid replaces the parts of characters that a token may consist of.
func valid(s string) string { return strings.ToValidUTF8(s, "�") }
