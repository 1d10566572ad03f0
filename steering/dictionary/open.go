// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// Options is what a user may say about a dictionary that its files do not; the zero value says nothing.
type Options struct {
	Site            string  // where it belongs, instead of what the files say
	ActivationScale float64 // the constant of expected_average_only_in; 0 is unknown
	K               int     // features that a kind of top-k keeps, or rounds of a pursuit, instead of the files' k; 0 leaves it
	Pursuit         *Method // of a pursuit, instead of the files' own
}

// Open reads a dictionary from a file or a folder; what it is, the names and contents of its files say.
func Open(path string, opt Options) (*Dictionary, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	r := &reader{path: path, whole: filepath.ToSlash(whole), opt: opt, form: &Form{}, address: NoAddress()}
	if err := r.read(); err != nil {
		if r.w != nil {
			err = errors.Join(err, r.w.close())
		}
		return nil, err
	}
	return r.finish()
}

// reader collects what one dictionary's files say.
type reader struct {
	path    string
	whole   string // path from the root, with slashes: folder names tell layers and models
	folder  string // where the files lie
	opt     Options
	w       *weights
	form    *Form
	address Address
	format  string
	atoms   []Atom
	facts   *Facts
	notes   []string
}

func (r *reader) warn(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *reader) fault(what, want, found, do string) error {
	return &FormatError{Path: r.path, What: what, Want: want, Found: found, Do: do}
}

// file is the path of one of the folder's files.
func (r *reader) file(name string) string { return filepath.Join(r.folder, name) }

// layout is one way in which a folder's files tell what it is; the first that fits is taken.
type layout struct {
	files []string // all must be there
	read  func(r *reader) error
}

func layouts() []layout {
	return []layout{
		{[]string{"hyperparams.json"}, (*reader).llamaScope},
		{[]string{"itda.json", "itda.safetensors"}, (*reader).itdaTwin},
		{[]string{"atoms.pt"}, (*reader).itda},
		{[]string{"metadata.yaml", "itda.safetensors"}, (*reader).itda},
		{[]string{"cfg.json", "sae_weights.safetensors"}, (*reader).saelens},
		{[]string{"cfg.json", "sae.safetensors"}, (*reader).sparsify},
		{[]string{"config.json", "sae_weights.safetensors"}, (*reader).openMOSS},
		{[]string{"ae.pt"}, (*reader).learning},
		{[]string{"ae.safetensors"}, (*reader).learning},
		{[]string{"params.npz"}, (*reader).gemmaScope},
		{[]string{"params.safetensors"}, (*reader).gemmaScope},
	}
}

func (r *reader) read() error {
	info, err := os.Stat(r.path)
	if err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	if !info.IsDir() {
		r.folder = filepath.Dir(r.path)
		return r.single(filepath.Base(r.path))
	}
	r.folder = r.path
	names, folders, err := list(r.path)
	if err != nil {
		return err
	}
	for _, l := range layouts() {
		if !slices.ContainsFunc(l.files, func(f string) bool { return !slices.Contains(names, f) && !slices.Contains(names, f+indexSuffix) }) {
			return l.read(r)
		}
	}
	if i := slices.IndexFunc(names, func(n string) bool { return strings.HasSuffix(n, ".safetensors"+indexSuffix) }); i >= 0 {
		return r.single(strings.TrimSuffix(names[i], indexSuffix))
	}
	files := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !hasWeights(n) })
	if len(files) == 1 {
		return r.single(files[0])
	}
	return r.unknown(names, files, folders)
}

func list(folder string) (names, folders []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, fmt.Errorf("dictionary: %w", err)
	}
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(folder, e.Name())); err == nil && info.IsDir() {
			folders = append(folders, e.Name())
			continue
		}
		names = append(names, e.Name())
	}
	return names, folders, nil
}

func hasWeights(name string) bool {
	return slices.Contains([]string{".pt", ".pth", ".npz", ".safetensors", ".bin"}, strings.ToLower(filepath.Ext(name)))
}

func (r *reader) unknown(names, files, folders []string) error {
	found, do := "a folder with "+brief(names), ""
	switch {
	case len(files) > 1:
		do = "name one of the files " + brief(files)
	case len(folders) > 0:
		do = "name one of the folders " + brief(folders)
	}
	return r.fault("folder", "the files of a sparse dictionary", found, do)
}

func brief(names []string) string {
	if len(names) == 0 {
		return "no files"
	}
	if len(names) > 6 {
		return strings.Join(names[:6], ", ") + fmt.Sprintf(" and %d more", len(names)-6)
	}
	return strings.Join(names, ", ")
}

// single reads a dictionary by one file of weights.
func (r *reader) single(name string) error {
	name = strings.TrimSuffix(name, indexSuffix)
	switch strings.ToLower(name) {
	case "sae_weights.safetensors":
		return r.saelens()
	case "sae.safetensors":
		return r.sparsify()
	case "ae.pt", "ae.safetensors":
		return r.learning()
	case "atoms.pt":
		return r.itda()
	}
	if strings.EqualFold(filepath.Ext(name), ".npz") {
		return r.npz(name)
	}
	if !hasWeights(name) {
		return r.fault("file", "weights (.safetensors, .npz, .pt or .pth) or a folder with them", name, "")
	}
	return r.checkpoint(name)
}

// indexSuffix is behind a file's name where its tensors lie in several files.
const indexSuffix = ".index.json"

// load opens a file of weights, or the files into which it was split; finish closes them.
func (r *reader) load(name string) (err error) {
	path := r.file(name)
	if r.firstOf(name) == "" && r.firstOf(name+indexSuffix) != "" {
		path += indexSuffix
	}
	r.w, err = openWeights(path)
	return err
}

// firstOf returns the first of several names that the folder has, "" where it has none.
func (r *reader) firstOf(names ...string) string {
	for _, name := range names {
		if _, err := os.Stat(r.file(name)); err == nil {
			return name
		}
	}
	return ""
}

// finish closes the files, applies the options and makes the dictionary.
func (r *reader) finish() (*Dictionary, error) {
	if r.w != nil {
		for _, name := range r.w.names() {
			if !r.w.used[name] {
				r.warn("tensor %s was not used", shown(name))
			}
		}
		if err := r.w.close(); err != nil {
			return nil, fmt.Errorf("dictionary: %w", err)
		}
	}
	if err := r.apply(); err != nil {
		return nil, err
	}
	d, err := New(r.form)
	if err != nil {
		return nil, fmt.Errorf("%w (read from %s as %s)", err, r.path, r.format)
	}
	d.Address, d.Format, d.Name = r.address, r.format, filepath.Base(r.whole)
	d.Atoms, d.Facts, d.warnings = r.atoms, r.facts, r.notes
	return d, nil
}

var errNoK = errors.New("this dictionary has no k")

func (r *reader) apply() error {
	if r.opt.Site != "" {
		s, err := hooks.ParseSite(r.opt.Site)
		if err != nil {
			return fmt.Errorf("dictionary: %w", err)
		}
		if r.address.Out == r.address.Site || r.address.Out.Point == "" {
			r.address.Out = s
		}
		r.address.Site = s
	}
	a := &r.form.Act
	if r.opt.Pursuit != nil {
		if a.Kind != Pursuit {
			return fmt.Errorf("dictionary: %s: want a pursuit to change, found %s", r.path, a.Kind)
		}
		a.Pursuit.Method = *r.opt.Pursuit
	}
	if r.opt.K == 0 {
		if f := r.form; a.K > f.N {
			return r.fault("k", fmt.Sprintf("at most %d, the number of features", f.N), fmt.Sprint(a.K), "give k")
		}
		return nil
	}
	switch a.Kind {
	case TopK, RawTopK, AbsTopK:
		a.K = r.opt.K
	case Pursuit:
		a.Pursuit.K = r.opt.K
	default:
		return fmt.Errorf("dictionary: %s: %s: %w", r.path, a.Kind, errNoK)
	}
	return nil
}
