// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Features is a [Hook] that reads an activation through a sparse dictionary, reports the strongest features of each token and sets those that its spec names:
//
//	h += strength · outScale · Σ (z' - z) · Dec[f]
//
// so that untouched features and what the dictionary cannot explain stay as they are; a feature that has its value already leaves every bit. With splice
// the reconstruction takes the activation's place, edits included. Positions with massive activations are left out: see Spec.Massive.
type Features struct {
	spec    Spec
	name    string
	dict    *dictionary.Dictionary
	edits   dictionary.Edits
	splice  bool
	labels  *Labels
	knob    *hooks.Knob
	encoder *hooks.Encoder

	// Top is how many features are reported a token, the strongest first: 5 for a hook that only reads, 0 for one that edits. It is read at attachment.
	Top int
}

const reportedFeatures = 5

// loadFeatures reads the dictionary and labels of a spec.
func loadFeatures(spec *Spec) (Hook, error) {
	src := spec.Sources[0]
	d, err := dictionary.Open(src.Path, dictionary.Options{K: spec.K, ActivationScale: spec.Scale})
	if err != nil {
		return nil, err
	}
	if kind := d.Form.Act.Kind; spec.Kind == KindITDA && kind != dictionary.Pursuit {
		return nil, fmt.Errorf("steering: %s: want a dictionary of atoms, found %s with activation %s (use sae:)", spec, d.Format, kind)
	}
	labels, err := findLabels(src, d)
	if err != nil {
		return nil, err
	}
	return NewFeatures(*spec, d, labels)
}

// NewFeatures returns the hook that a spec describes, with a dictionary and labels (which may be nil) in place of its sources.
func NewFeatures(spec Spec, d *dictionary.Dictionary, labels *Labels) (*Features, error) {
	if labels == nil {
		labels = &Labels{}
	}
	f := &Features{spec: spec, dict: d, labels: labels, name: shortFeatureName(&spec, d), knob: hooks.NewKnob(1)}
	if spec.Strength != nil {
		f.knob.Set(*spec.Strength)
	}
	if err := f.parseEdits(); err != nil {
		return nil, err
	}
	if f.Reads() {
		f.Top = reportedFeatures
	}
	f.encoder = &hooks.Encoder{Name: f.name, Rows: d.Form.N, Weight: d.Matrix(), Bits: d.Bits()}
	return f, nil
}

func shortFeatureName(spec *Spec, d *dictionary.Dictionary) string {
	name := d.Name
	if spec.Text != "" {
		name += "#" + spec.Text
	}
	return strings.ReplaceAll(name, " ", "")
}

// parseEdits reads what follows # in the spec: splice, or edits of features by number or label.
func (f *Features) parseEdits() error {
	if f.spec.Text == "" {
		return nil
	}
	var list []dictionary.Edit
	for part := range strings.SplitSeq(f.spec.Text, ",") {
		part = strings.TrimSpace(part)
		if part == "splice" {
			f.splice = true
			continue
		}
		e, err := dictionary.ParseEdit(f.numbered(part))
		if err != nil {
			return fmt.Errorf("steering: %s: %w", &f.spec, err)
		}
		list = append(list, e)
	}
	edits, err := f.dict.Edits(list...)
	f.edits = edits
	return err
}

// numbered puts a feature's number in place of a label that one feature alone has.
func (f *Features) numbered(edit string) string {
	end := strings.IndexAny(edit, "=+*<>")
	if end <= 0 {
		return edit
	}
	words := strings.Trim(strings.TrimSpace(edit[:end]), `"`)
	if found := f.labels.Search(words); strings.Trim(words, "0123456789") != "" && len(found) == 1 {
		return fmt.Sprint(found[0]) + edit[end:]
	}
	return edit
}

// Name implements [Hook].
func (f *Features) Name() string { return f.name }

// Strength implements [Hook]: the share of the edits that is carried out.
func (f *Features) Strength() *hooks.Knob { return f.knob }

// Spec implements [Hook].
func (f *Features) Spec() Spec {
	spec := f.spec
	if now := f.knob.Value(); now != 1 || spec.Strength != nil {
		spec.Strength = &now
	}
	return spec
}

// Warnings implements [Hook].
func (f *Features) Warnings() []string {
	var out []string
	for _, w := range f.dict.Warnings() {
		out = append(out, f.dict.Name+": "+w)
	}
	if own := f.dict.Address.Site; f.spec.Sites != "" && own.Point != "" && !f.dict.Transcodes() {
		if asked, err := hooks.ParseSite(f.spec.Sites); err != nil || asked != own {
			out = append(out, fmt.Sprintf("%s: it is attached at %s, though its files say %s", f.dict.Name, f.spec.Sites, own))
		}
	}
	return out
}

// Dictionary returns what the hook encodes with.
func (f *Features) Dictionary() *dictionary.Dictionary { return f.dict }

// Labels returns the words for features; never nil.
func (f *Features) Labels() *Labels { return f.labels }

// Reads tells whether the hook changes nothing.
func (f *Features) Reads() bool { return len(f.edits) == 0 && !f.splice }

// Sites implements [Hook]: where the dictionary is read, and for a transcoder where it writes.
func (f *Features) Sites(sh *hooks.Shape) ([]Place, error) {
	in, out, err := f.place(sh)
	if err != nil {
		return nil, err
	}
	places := []Place{{Site: in, Tensors: []string{f.words()}}}
	if out != in && !f.Reads() {
		places = append(places, Place{Site: out, Tensors: []string{"what it writes"}})
	}
	return places, nil
}

// words says what is done.
func (f *Features) words() string {
	var parts []string
	for _, e := range f.edits {
		part := e.String()
		if label := f.labels.Of(e.Feature); label != "" {
			part += " (" + label + ")"
		}
		parts = append(parts, part)
	}
	if f.splice {
		parts = append(parts, "splice")
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%d features", f.dict.Form.N)
	}
	return strings.Join(parts, ", ")
}

// place finds where the dictionary is read and written on a model, by the spec or else by the dictionary's own address.
func (f *Features) place(sh *hooks.Shape) (in, out hooks.Site, err error) {
	in, out = f.dict.Address.Site, f.dict.Address.Out
	if f.spec.Sites != "" {
		list, err := sh.Select(f.spec.Sites)
		if err != nil {
			return in, out, fmt.Errorf("steering: %s: %w", f.name, err)
		}
		if in, out = list[0], list[len(list)-1]; len(list) > 2 || (len(list) == 2) != f.dict.Transcodes() {
			const want = "steering: dictionary %s: want one site, for a transcoder the two that it reads and writes, found %d"
			return in, out, fmt.Errorf(want, f.name, len(list))
		}
	} else if err := f.dict.Address.Check(); err != nil {
		return in, out, fmt.Errorf("steering: dictionary %s: %w (say where as @resid_post.14)", f.name, err)
	}
	if f.dict.Address.Head >= 0 {
		return in, out, fmt.Errorf("steering: dictionary %s: want one for all heads side by side, found one for head %d alone", f.name, f.dict.Address.Head)
	}
	if in, err = f.fit(sh, in, f.dict.Form.In); err != nil {
		return in, out, err
	}
	if out, err = f.fit(sh, out, f.dict.Form.Out); err != nil {
		return in, out, err
	}
	if hooks.Compare(out, in) < 0 {
		return in, out, fmt.Errorf("steering: dictionary %s: want a site to write that is not before the one it reads, found %s before %s", f.name, out, in)
	}
	return in, out, nil
}

// fit resolves a site and compares its width with the dictionary's.
func (f *Features) fit(sh *hooks.Shape, site hooks.Site, width int) (hooks.Site, error) {
	r, err := sh.Resolve(site)
	if err != nil {
		return r, fmt.Errorf("steering: dictionary %s: %w", f.name, err)
	}
	if has := sh.Widths[r]; has != width {
		return r, &hooks.EditError{Edit: f.name, Site: r, Want: fmt.Sprintf("a dictionary of the site's width %d", has), Got: fmt.Sprintf("one of width %d", width)}
	}
	return r, nil
}

// Bind returns a tap that encodes, and for a transcoder that edits a second one behind it.
func (f *Features) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	in, out, err := f.place(sh)
	if err != nil {
		return hooks.Plan{}, err
	}
	f.dict.Prepare()
	w := newWatch(f, in)
	where := f.spec.Where
	where.Ordinary = where.Ordinary || f.dict.Address.ExcludeSpecial && !where.Special && !f.spec.Massive
	reads := f.Reads() || out != in
	plan := hooks.Plan{Taps: []hooks.Tap{{Name: f.name, Site: in, Where: where, ReadOnly: reads, Strength: f.knob, Encoder: f.encoder, Func: w.read}}}
	if out != in && !f.Reads() {
		plan.Taps = append(plan.Taps, hooks.Tap{Name: f.name, Site: out, Where: where, Strength: f.knob, Func: w.write})
	}
	return plan, nil
}

// strongest brings the n features of largest absolute value to the front, in falling order.
func strongest(code []dictionary.Feature, n int) []dictionary.Feature {
	n = min(n, len(code))
	for i := range n {
		best := i
		for j := i + 1; j < len(code); j++ {
			if magnitude(code[j].Value) > magnitude(code[best].Value) {
				best = j
			}
		}
		code[i], code[best] = code[best], code[i]
	}
	return slices.Clip(code[:n])
}

func magnitude(v float32) float32 { return max(v, -v) }
