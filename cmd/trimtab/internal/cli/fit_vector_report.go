// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/stimuli"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/fit"
)

// madeVector is what fit vector found.
type madeVector struct {
	shape              *hooks.Shape
	sites              []hooks.Site
	layers             []fit.Layer
	method             fit.Method
	read, quant, hash  string
	measured           string
	positive, negative int
	at, reason         string
	suggested          fit.Range
	file, left         string
}

// save writes the vector of the method that was asked for.
func (d *madeVector) save(v *fitVectorVerb) error {
	layers := d.layers
	if filepath.Ext(v.output) == ".gguf" && d.sites[0].Layer == 0 && len(layers) > 1 {
		layers = layers[1:]
		d.left = "block 0 is left out: llama.cpp refuses a file that has it"
	}
	name := strings.TrimSuffix(filepath.Base(v.output), filepath.Ext(v.output))
	made, err := stimuli.Vector(name, d.shape, d.sites, layers, d.method)
	if err != nil {
		return err
	}
	maps.Copy(made.Notes, d.notes())
	d.file = v.output
	return made.Save(v.output)
}

// firstAndLast joins the first and the last of sites in forward order.
func firstAndLast(sites []hooks.Site) string {
	if len(sites) == 1 {
		return sites[0].String()
	}
	return sites[0].String() + " to " + sites[len(sites)-1].String()
}

// madeReport is what --json prints.
type madeReport struct {
	Model     string      `json:"model"`
	File      string      `json:"file"`
	Method    fit.Method  `json:"method"`
	Read      string      `json:"read"`
	Quant     string      `json:"quant"`
	Positive  int         `json:"positive"`
	Negative  int         `json:"negative"`
	Texts     string      `json:"texts_sha256"`
	Measured  string      `json:"measured_on"`
	Layers    []madeLayer `json:"layers"`
	Suggested *madeRange  `json:"suggested"`
	Left      string      `json:"left_out,omitempty"`
}

type madeLayer struct {
	Site     string                    `json:"site"`
	Layer    int                       `json:"layer"`
	Residual float64                   `json:"residual_norm"`
	Methods  map[fit.Method]madeMethod `json:"methods"`
}

type madeMethod struct {
	Norm  float64  `json:"norm"`
	Ratio float64  `json:"norm_to_residual"`
	AUROC *float64 `json:"held_auroc"`
	Mean  *float64 `json:"cosine_diffmean"`
	Next  *float64 `json:"cosine_next"`
	Bias  *float64 `json:"bias,omitempty"` // of logistic: positive where activation·vector + bias > 0
}

type madeRange struct {
	Sites  string `json:"sites,omitempty"`
	First  *int   `json:"first,omitempty"`
	Last   *int   `json:"last,omitempty"`
	Reason string `json:"reason"`
}

func (d *madeVector) report() madeReport {
	out := madeReport{
		Model: d.shape.Model, File: d.file, Method: d.method, Read: d.read, Quant: d.quant, Positive: d.positive, Negative: d.negative,
		Texts: d.hash, Measured: d.measured, Suggested: &madeRange{Sites: d.at, Reason: d.reason}, Left: d.left,
	}
	if d.suggested.First >= 0 {
		out.Suggested.First, out.Suggested.Last = &d.sites[d.suggested.First].Layer, &d.sites[d.suggested.Last].Layer
	}
	for _, l := range d.layers {
		r := madeLayer{Site: d.sites[l.Site].String(), Layer: d.sites[l.Site].Layer, Residual: l.Residual, Methods: map[fit.Method]madeMethod{}}
		for _, f := range l.Found {
			m := madeMethod{Norm: f.Norm, Ratio: f.Norm / l.Residual, AUROC: known(f.AUROC), Mean: known(f.Mean), Next: known(f.Next)}
			if f.Method == fit.Logistic {
				m.Bias = &f.Bias
			}
			r.Methods[f.Method] = m
		}
		out.Layers = append(out.Layers, r)
	}
	return out
}

// known is a number that JSON can hold, or nil.
func known(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func (d *madeVector) table(out io.Writer) error {
	fmt.Fprintf(out, "%s of %d positive and %d negative texts, read at %s; AUROC on %s\n", d.method, d.positive, d.negative, d.read, d.measured)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "site\tnorm\tof residual\tcosine to next")
	for _, f := range d.layers[0].Found {
		fmt.Fprintf(w, "\t%s: AUROC", f.Method)
		if f.Method != fit.DiffMean {
			fmt.Fprint(w, "\tcosine to diffmean")
		}
	}
	fmt.Fprintln(w)
	for _, l := range d.layers {
		own := l.Of(d.method)
		fmt.Fprintf(w, "%s\t%.4g\t%.2f %%\t%s", d.sites[l.Site], own.Norm, 100*own.Norm/l.Residual, figure(own.Next))
		for _, f := range l.Found {
			fmt.Fprintf(w, "\t%s", figure(f.AUROC))
			if f.Method != fit.DiffMean {
				fmt.Fprintf(w, "\t%s", figure(f.Mean))
			}
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	where := "no layers suggested"
	if d.at != "" {
		where = fmt.Sprintf("suggested: vector:%s*STRENGTH@%s", d.file, d.at)
	}
	if d.left != "" {
		where = d.left + "\n" + where
	}
	_, err := fmt.Fprintf(out, "%s\n%s\n", where, d.reason)
	return err
}

func figure(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf("%.3f", x)
}
