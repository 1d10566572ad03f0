// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// LeftOut is the label of the gauge that counts the positions of a prompt's pass that a dictionary leaves out for their massive activations.
const LeftOut = "positions left out"

// watch is a [Features] at work on one session.
type watch struct {
	*Features
	site    hooks.Site
	top     int
	coder   *dictionary.ProductCoder
	massive massive
	code    []dictionary.Feature
	shown   []dictionary.Feature
	x       []float32
	rebuilt []float32

	// Of a transcoder that edits: what the pass read, for the tap that writes.
	codes  []dictionary.Feature
	ends   []int // of each row's code in codes
	inputs []float32
}

func newWatch(f *Features, site hooks.Site) *watch {
	return &watch{Features: f, site: site, top: f.Top, coder: f.dict.NewProductCoder(), x: make([]float32, f.dict.Form.In), rebuilt: make([]float32, f.dict.Form.Out)}
}

// read encodes the selected rows, reports, and edits them where the dictionary writes what it reads.
func (w *watch) read(a *hooks.Activation) error {
	w.massive.look(a)
	w.reportLeftOut(a)
	w.codes, w.ends, w.inputs = w.codes[:0], w.ends[:0], w.inputs[:0]
	twoTaps := w.dict.Address.Out != w.dict.Address.Site && !w.Reads()
	for i, on := range a.Rows {
		w.code = w.code[:0]
		if on && (w.spec.Massive || !w.massive.at(a.First+i)) {
			w.code = w.coder.Encode(w.code, a.Row(i), a.ProductRow(i), a.Slack)
			w.report(a, i)
			if !twoTaps {
				w.edit(a.Row(i), w.code, a.Row(i))
			}
		}
		if twoTaps {
			w.codes = append(w.codes, w.code...)
			w.inputs = append(w.inputs, a.Row(i)...)
			w.ends = append(w.ends, len(w.codes))
		}
	}
	return nil
}

// reportLeftOut says how many selected rows of a prompt are not encoded.
func (w *watch) reportLeftOut(a *hooks.Activation) {
	if w.top == 0 || a.Phase != hooks.Prefill || w.spec.Massive {
		return
	}
	n := 0
	for i, on := range a.Rows {
		if on && w.massive.at(a.First+i) {
			n++
		}
	}
	last := a.First + len(a.Rows) - 1
	a.Run.Report(hooks.Reading{Hook: w.name, Site: w.site, Kind: hooks.Gauge, Position: last, Label: LeftOut, Value: float32(n)})
}

// write edits the output of a transcoder by what read found in the same pass.
func (w *watch) write(a *hooks.Activation) error {
	first := 0
	for i, on := range a.Rows {
		code := w.codes[first:w.ends[i]]
		first = w.ends[i]
		if on && (w.spec.Massive || !w.massive.at(a.First+i)) {
			w.edit(a.Row(i), code, w.inputs[i*w.dict.Form.In:][:w.dict.Form.In])
		}
	}
	return nil
}

// edit changes h by a code of x, which may be h itself.
func (w *watch) edit(h []float32, code []dictionary.Feature, x []float32) {
	c := w.knob.Value()
	if c == 0 || w.Reads() {
		return
	}
	if !w.splice {
		w.dict.EditBy(c, h, code, x, w.edits)
		return
	}
	copy(w.x, x)
	w.dict.Decode(w.rebuilt, code, w.x)
	for i, r := range w.rebuilt {
		h[i] += c * (r - h[i])
	}
	w.dict.EditBy(c, h, code, w.x, w.edits)
}

// report tells the strongest features of a row.
func (w *watch) report(a *hooks.Activation, i int) {
	if w.top == 0 {
		return
	}
	w.shown = append(w.shown[:0], w.code...)
	for _, z := range strongest(w.shown, w.top) {
		a.Run.Report(hooks.Reading{
			Hook: w.name, Site: w.site, Kind: hooks.Feature, Position: a.First + i, Index: z.Index, Label: w.labels.Of(int(z.Index)), Value: z.Value,
		})
	}
}
