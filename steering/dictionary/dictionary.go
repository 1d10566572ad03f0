// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"
)

// Feature is one entry of a code.
type Feature struct {
	Index int32
	Value float32
}

// Dictionary is a sparse dictionary in normal form. It never changes; any number of goroutines may use it.
type Dictionary struct {
	Form    *Form
	Address Address
	Format  string // what it was read from, in words
	Name    string // the file's or folder's name

	// Atoms says where each atom of an ITDA dictionary comes from; nil for others.
	Atoms []Atom
	// Facts are further facts that ITDA keeps with a dictionary, for WriteITDA; nil for others.
	Facts *Facts

	warnings []string
	norms    []float32 // ‖Dec[f]‖, for TopAFA
	gram     *gram     // for Pursuit
}

// New checks a form and makes a dictionary of it; the form belongs to the dictionary from then on.
func New(form *Form) (*Dictionary, error) {
	if err := form.check(); err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	d := &Dictionary{Form: form, Address: NoAddress()}
	d.prepare()
	return d, nil
}

func (d *Dictionary) prepare() {
	f := d.Form
	if f.OutScale == 0 {
		f.OutScale = 1
	}
	switch f.Act.Kind {
	case TopAFA:
		d.norms = rowNorms(f.Dec, f.Out)
	case Pursuit:
		d.gram = newGram(f.Dec, f.N, f.In)
	}
}

// Prepare computes now what a pursuit would otherwise compute when it first needs it, the products between all atoms: a fraction of a second for 4,096
// atoms of width 576. For other kinds there is nothing to do.
func (d *Dictionary) Prepare() {
	if d.gram != nil {
		d.gram.fill()
	}
}

// Warnings lists what the reader accepted but a user should know.
func (d *Dictionary) Warnings() []string { return slices.Clone(d.warnings) }

// Transcodes tells whether the output is another activation than the one that is encoded.
func (d *Dictionary) Transcodes() bool { return d.Form.OneWay }

// Row returns what feature f adds to the output for a value of 1, less the factor OutScale and the norm's inverse; shared.
func (d *Dictionary) Row(f int) []float32 { return d.Form.Dec[f*d.Form.Out : (f+1)*d.Form.Out] }

// rowNorms returns the length of every row.
func rowNorms(m []float32, width int) []float32 {
	out := make([]float32, len(m)/width)
	for i := range out {
		out[i] = float32(dot.Length(m[i*width : (i+1)*width]))
	}
	return out
}

// dot64 sums in double precision, in four lanes.
func dot64(a []float32, b []float64) float64 {
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a) && i+4 <= len(b); i += 4 {
		s0 += float64(a[i]) * b[i]
		s1 += float64(a[i+1]) * b[i+1]
		s2 += float64(a[i+2]) * b[i+2]
		s3 += float64(a[i+3]) * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i]) * b[i]
	}
	return s0 + s1 + (s2 + s3)
}
