// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/models/pickle"
	"github.com/trimtab/trimtab/models/safetensors"
)

// twinFormat is what itda.json says it is. Version 1: itda.safetensors holds atoms [n, d] (unit rows) and atom_indices
// [n, 2] (text and position, -1 where unknown); itda.json the rest.
const twinFormat = "trimtab-itda-1"

type twinJSON struct {
	Format string `json:"format"`
	Model  string `json:"model,omitempty"`
	Site   string `json:"site,omitempty"`
	Hook   string `json:"hook,omitempty"`
	K      int    `json:"k"`
	Method string `json:"method"`
	BOS    *bool  `json:"prepend_bos,omitempty"`
	First  bool   `json:"skip_first,omitempty"`
	Plain  bool   `json:"skip_special,omitempty"`
	Tokens int    `json:"context,omitempty"`
	Facts
	Atoms []Atom `json:"atoms,omitempty"`
}

// WriteITDA writes a dictionary of kind Pursuit into a folder in this project's layout: itda.safetensors with atoms [n, d] and
// atom_indices [n, 2], and itda.json with format "trimtab-itda-1", model, site, k, method, the rule by which atoms were taken
// (rule cos or mse, threshold, seed, texts, sources) and, for each atom, text, position, token and context.
func WriteITDA(folder string, d *Dictionary) error {
	if err := writable(d); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	f, a := d.Form, d.Address
	t := twinJSON{Format: twinFormat, Model: a.Model, Hook: a.Hook, K: f.Act.Pursuit.K, Method: f.Act.Pursuit.Method.String()}
	t.First, t.Plain, t.Tokens, t.Atoms = a.SkipFirst, a.ExcludeSpecial, a.Context, d.Atoms
	if a.Site.Point != "" {
		t.Site = a.Site.String()
	}
	if a.PrependBOS != Unknown {
		bos := a.PrependBOS == Yes
		t.BOS = &bos
	}
	if d.Facts != nil {
		t.Facts = *d.Facts
	}
	if err := writeJSON(filepath.Join(folder, "itda.json"), t); err != nil {
		return err
	}
	tensors := []safetensors.Tensor{
		safetensors.Float32Tensor("atoms", f.Dec, f.N, f.In),
		{Name: "atom_indices", DType: safetensors.I64, Shape: []int{f.N, 2}, Data: indexBytes(d)},
	}
	return safetensors.Write(filepath.Join(folder, "itda.safetensors"), tensors, nil)
}

// WriteOriginalITDA writes the layout of davidkaczer/itda: atoms.pt, atom_indices.pt and metadata.yaml.
func WriteOriginalITDA(folder string, d *Dictionary) error {
	if err := writable(d); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	f, a := d.Form, d.Address
	atoms := safetensors.Float32Tensor("atoms", f.Dec, f.N, f.In)
	if err := pickle.Write(filepath.Join(folder, "atoms.pt"), "float32", atoms.Shape, atoms.Data); err != nil {
		return err
	}
	if err := pickle.Write(filepath.Join(folder, "atom_indices.pt"), "int64", []int{f.N, 2}, indexBytes(d)); err != nil {
		return err
	}
	var b strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&b, "%s: %v\n", key, value) }
	line("activation_dim", f.In)
	line("k", f.Act.Pursuit.K)
	line("lm_name", fmt.Sprintf("%q", a.Model))
	if a.Site.Point != "" {
		line("layer", a.Site.Layer)
		line("submodule_name", fmt.Sprintf("%q", a.Site))
	}
	if a.Context > 0 {
		line("seq_len", a.Context)
	}
	line("max_dict_size", f.N)
	if x := d.Facts; x != nil {
		line("loss_threshold", x.Threshold)
		line("loss_threshold_definition", fmt.Sprintf("%q", cmp.Or(x.Definition, x.Rule)))
		line("seed", x.Seed)
		line("dataset", fmt.Sprintf("%q", x.Texts))
	}
	return replaceText(filepath.Join(folder, "metadata.yaml"), b.String())
}

// writable tells whether atoms alone are the whole dictionary.
func writable(d *Dictionary) error {
	f := d.Form
	if f.Act.Kind != Pursuit || f.Norm != NoNorm || f.PreSub != nil || f.DecBias != nil || f.Skip != nil || f.OutScale != 1 {
		return fmt.Errorf("dictionary: write %s as ITDA: want a pursuit without norm and biases, found %s", d.Name, f.Act.Kind)
	}
	if d.Atoms != nil && len(d.Atoms) != f.N {
		return fmt.Errorf("dictionary: write %s as ITDA: want the sources of %d atoms or none, found %d", d.Name, f.N, len(d.Atoms))
	}
	return nil
}

func indexBytes(d *Dictionary) []byte {
	out := make([]byte, 0, 16*d.Form.N)
	for i := range d.Form.N {
		a := Atom{Text: -1, Position: -1}
		if d.Atoms != nil {
			a = d.Atoms[i]
		}
		out = binary.LittleEndian.AppendUint64(out, uint64(int64(a.Text)))
		out = binary.LittleEndian.AppendUint64(out, uint64(int64(a.Position)))
	}
	return out
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("dictionary: %s: %w", path, err)
	}
	return replaceText(path, string(text)+"\n")
}

func replaceText(path, text string) error {
	err := mapped.Replace(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	return nil
}

// itdaTwin reads what WriteITDA wrote.
func (r *reader) itdaTwin() error {
	r.format = "ITDA (" + twinFormat + ")"
	path := r.file("itda.json")
	text, err := readText(path)
	if err != nil {
		return err
	}
	var t twinJSON
	if err := json.Unmarshal(text, &t); err != nil {
		return &FormatError{Path: path, What: "file", Want: "JSON of format " + twinFormat, Found: err.Error()}
	}
	if t.Format != twinFormat {
		return &FormatError{Path: path, What: "format", Want: twinFormat, Found: fmt.Sprintf("%.40q", t.Format), Do: "a later version of trimtab may read it"}
	}
	indices, err := r.itdaTensors()
	if err != nil {
		return err
	}
	if err := r.trace(indices); err != nil {
		return err
	}
	if len(t.Atoms) > 0 && len(t.Atoms) != r.form.N {
		return &FormatError{Path: path, What: "atoms", Want: fmt.Sprintf("%d, as itda.safetensors has", r.form.N), Found: fmt.Sprint(len(t.Atoms))}
	}
	if len(t.Atoms) > 0 {
		r.atoms = t.Atoms
	}
	r.facts = &t.Facts
	return r.twinPlace(t, path)
}

func (r *reader) twinPlace(t twinJSON, path string) error {
	method := Matching
	for t.Method != method.String() {
		if method++; method > GradientKeep {
			return &FormatError{Path: path, What: "method", Want: "a known pursuit", Found: fmt.Sprintf("%.40q", t.Method)}
		}
	}
	if t.K < 1 || t.K > math.MaxInt32 {
		return &FormatError{Path: path, What: "k", Want: "a number of rounds above 0", Found: fmt.Sprint(t.K)}
	}
	r.form.Act = Activation{Kind: Pursuit, Pursuit: PursuitRule{Method: method, K: t.K}}
	a := &r.address
	a.Model, a.Hook, a.SkipFirst, a.ExcludeSpecial, a.Context = t.Model, t.Hook, t.First, t.Plain, t.Tokens
	if t.BOS != nil {
		a.PrependBOS = answer(*t.BOS)
	}
	if t.Site == "" {
		return nil
	}
	s, err := hooks.ParseSite(t.Site)
	if err != nil {
		return fmt.Errorf("dictionary: %s: %w", path, err)
	}
	a.Site, a.Out = s, s
	return nil
}
