// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
)

// worst is the largest absolute difference over the largest absolute value of want.
func worst(t testing.TB, got, want []float32) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	diff, size := 0.0, 0.0
	for i, w := range want {
		diff = max(diff, math.Abs(float64(got[i])-float64(w)))
		size = max(size, math.Abs(float64(w)))
	}
	if size == 0 {
		return diff
	}
	return diff / size
}

func dense(code []Feature, n int) []float32 {
	out := make([]float32, n)
	for _, f := range code {
		out[f.Index] = f.Value
	}
	return out
}

// sameSupport tells whether both have their zeros at the same places.
func sameSupport(a, b []float32) bool {
	for i := range a {
		if (a[i] == 0) != (b[i] == 0) {
			return false
		}
	}
	return true
}

// table reads tensors by name and fails the test for one that is missing.
type table struct {
	testing.TB
	f *safetensors.File
}

func openTable(t testing.TB, path string) table {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return table{t, f}
}

func (t table) has(name string) bool { _, ok := t.f.Tensor(name); return ok }

func (t table) floats(name string) []float32 {
	t.Helper()
	x, ok := t.f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	v, err := x.AppendFloat32(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (t table) ints(name string) []int64 {
	t.Helper()
	x, ok := t.f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	v, err := x.AppendInt64(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

type manifestCase struct {
	Name            string             `json:"name"`
	Format          string             `json:"format"`
	In              int                `json:"d_in"`
	N               int                `json:"n"`
	K               int                `json:"k"`
	L0              []int              `json:"l0"`
	Edit            map[string]float32 `json:"edit"`
	ActivationScale float64            `json:"activation_scale"`
}

func manifest(t testing.TB) (root string, cases []manifestCase) {
	t.Helper()
	root = fixture.Path(t, "fixtures-dictionaries/formats")
	text, err := os.ReadFile(filepath.Join(root, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Cases []manifestCase }
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return root, m.Cases
}

func (c manifestCase) edits(t testing.TB, d *Dictionary) Edits {
	t.Helper()
	var list []Edit
	for f, v := range c.Edit {
		e, err := ParseEdit(f + "=0")
		if err != nil {
			t.Fatal(err)
		}
		e.Value = v
		list = append(list, e)
	}
	edits, err := d.Edits(list...)
	if err != nil {
		t.Fatal(err)
	}
	return edits
}

func open(t testing.TB, path string, opt Options) *Dictionary {
	t.Helper()
	d, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFormats compares every tiny dictionary with the library that wrote it. 2e-5 and 5e-5 are the fixtures' own tolerances:
// sums of 32 to 96 products in single precision, in another order.
func TestFormats(t *testing.T) {
	const codeTolerance, editTolerance = 2e-5, 5e-5
	root, cases := manifest(t)
	ref := openTable(t, filepath.Join(root, "reference.safetensors"))
	if len(cases) < 50 {
		t.Fatalf("%d cases, want at least 50", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			d := open(t, filepath.Join(root, c.Name), Options{ActivationScale: c.ActivationScale})
			f := d.Form
			if f.In != c.In || f.N != c.N {
				t.Fatalf("%d features of width %d, want %d of %d", f.N, f.In, c.N, c.In)
			}
			x, codes, recon := ref.floats(c.Name+"/X"), ref.floats(c.Name+"/codes"), ref.floats(c.Name+"/recon")
			coder, edits := d.NewCoder(), c.edits(t, d)
			var gotCodes, gotRecon, gotEdit, base []float32
			for i := range len(x) / f.In {
				row := x[i*f.In : (i+1)*f.In]
				code := coder.Encode(nil, row)
				if len(code) != c.L0[i] {
					t.Errorf("row %d: %d features, want %d", i, len(code), c.L0[i])
				}
				gotCodes = append(gotCodes, dense(code, f.N)...)
				out := make([]float32, f.Out)
				d.Decode(out, code, row)
				gotRecon = append(gotRecon, out...)
				h := append([]float32(nil), row...)
				if ref.has(c.Name + "/target") {
					h = append(h[:0], ref.floats(c.Name + "/target")[i*f.Out:(i+1)*f.Out]...)
				}
				base = append(base, h...)
				d.Edit(h, code, row, edits)
				gotEdit = append(gotEdit, h...)
			}
			if !sameSupport(gotCodes, codes) {
				t.Errorf("support differs from the library's")
			}
			if e := worst(t, gotCodes, codes); e > codeTolerance {
				t.Errorf("codes off by %.2g, want at most %g", e, codeTolerance)
			}
			if e := worst(t, gotRecon, recon); e > codeTolerance {
				t.Errorf("reconstruction off by %.2g, want at most %g", e, codeTolerance)
			}
			for _, key := range []string{"/h_edit_delta", "/h_edit_decode"} {
				if e := worst(t, gotEdit, ref.floats(c.Name+key)); e > editTolerance {
					t.Errorf("%s off by %.2g, want at most %g", key, e, editTolerance)
				}
			}
			if e := worst(t, gotEdit, base); e < 1e-3 {
				t.Errorf("the edit changed nothing")
			}
		})
	}
}

// TestUnscaled is what a library does when it lacks the constant of expected_average_only_in.
func TestUnscaled(t *testing.T) {
	root, _ := manifest(t)
	ref := openTable(t, filepath.Join(root, "reference.safetensors"))
	const name = "saelens6-standard-expected_average_only_in-pre"
	d := open(t, filepath.Join(root, name), Options{})
	if w := strings.Join(d.Warnings(), "\n"); !strings.Contains(w, "expected_average_only_in") {
		t.Errorf("warnings %q, want one about the missing constant", w)
	}
	x, coder := ref.floats(name+"/X"), d.NewCoder()
	var got []float32
	for i := range len(x) / d.Form.In {
		got = append(got, dense(coder.Encode(nil, x[i*d.Form.In:(i+1)*d.Form.In]), d.Form.N)...)
	}
	if e := worst(t, got, ref.floats(name+"/codes_unscaled")); e > 2e-5 {
		t.Errorf("codes off by %.2g", e)
	}
}

// TestAddresses holds what the files of the tiny dictionaries say of where they belong.
func TestAddresses(t *testing.T) {
	root, _ := manifest(t)
	for name, want := range map[string]string{
		"saelens6-standard-none-pre":                  "resid_post.1, of tiny-random, begin token first",
		"saelens2-hook_point-defaults":                "resid_pre.1, of tiny-random, begin token first",
		"saelens3-hook_z-inferred":                    "attn_z.1, of tiny-random, begin token first",
		"saelens6-standard-hook_z":                    "attn_z.0, of tiny-random, begin token first",
		"saelens4-jumprelu-layer_norm":                "mlp_post.1, of tiny-random, begin token first",
		"sparsify-topk/layers.1":                      "resid_post.1",
		"sparsify-groupmax/layers.1.mlp":              "mlp_out.1",
		"dl-BatchTopKSAE":                             "resid_post.1, of tiny-random",
		"gemma-scope/layer_1/width_tiny/average_l0_9": "no site (the files say average_l0_9)",
		"itda": "resid_post.1, of tiny-random",
	} {
		d := open(t, filepath.Join(root, name), Options{})
		if got := d.Address.String(); got != want {
			t.Errorf("%s: address %q, want %q", name, got, want)
		}
	}
	d := open(t, filepath.Join(root, "gemma-scope/layer_1/width_tiny/average_l0_9"), Options{Site: "resid_post.1"})
	if err := d.Address.Check(); err != nil || d.Address.Out.String() != "resid_post.1" {
		t.Errorf("address with a site given: %v, %v", d.Address, err)
	}
}

// TestRealDictionaries compares with the libraries on real activations of SmolLM2-135M-Instruct.
func TestRealDictionaries(t *testing.T) {
	// Fixtures' tolerances: 1e-4 relative, equal support on 99.5 % of rows, since a tie at rank k may flip.
	const tolerance, share = 1e-4, 0.995
	for _, name := range []string{"topk-l14", "topk-l22", "matryoshka-l14"} {
		t.Run(name, func(t *testing.T) {
			root := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/"+name)
			d := open(t, root, Options{})
			ref := openTable(t, filepath.Join(root, "reference.safetensors"))
			x, texts := ref.floats("activations"), ref.ints("text_ptr")
			ptr, index, value := ref.ints("code_ptr"), ref.ints("code_index"), ref.floats("code_value")
			recon := ref.floats("recon")
			coder, f, row, same := d.NewCoder(), d.Form, 0, 0
			out := make([]float32, f.Out)
			first := map[int]bool{}
			for _, p := range texts {
				first[int(p)] = true
			}
			decoded := 0
			for token := range len(x) / f.In {
				if first[token] { // the massive activation of position 0 has no code
					continue
				}
				h := x[token*f.In : (token+1)*f.In]
				code := coder.Encode(nil, h)
				want := make([]float32, f.N)
				for i := ptr[row]; i < ptr[row+1]; i++ {
					want[index[i]] = value[i]
				}
				got := dense(code, f.N)
				if sameSupport(got, want) {
					same++
					if e := worst(t, got, want); e > tolerance {
						t.Errorf("token %d: codes off by %.2g", token, e)
					}
				}
				row++
				if (decoded+1)*f.Out <= len(recon) {
					d.Decode(out, code, h)
					if e := worst(t, out, recon[decoded*f.Out:(decoded+1)*f.Out]); e > tolerance {
						t.Errorf("token %d: reconstruction off by %.2g", token, e)
					}
					decoded++
				}
			}
			if row != len(ptr)-1 || float64(same) < share*float64(row) {
				t.Errorf("equal support on %d of %d rows, want %d rows and %.1f %%", same, row, len(ptr)-1, 100*share)
			}
			t.Logf("equal support on %d of %d rows, %d reconstructions", same, row, decoded)
		})
	}
}

// TestRealITDA compares with the authors' own encoder at three numbers of rounds.
func TestRealITDA(t *testing.T) {
	// The fixture demands 1e-3 and 95 % of rows, for near-ties flip under rounding.
	const tolerance, share = 1e-3, 0.95
	root := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/itda-l14")
	ref := openTable(t, filepath.Join(root, "reference.safetensors"))
	x := ref.floats("X")
	for _, k := range []string{"10", "20", "40"} {
		d := open(t, root, Options{K: map[string]int{"10": 10, "20": 20, "40": 40}[k]})
		f, coder, same := d.Form, d.NewCoder(), 0
		ptr, index, value := ref.ints("k"+k+".code_ptr"), ref.ints("k"+k+".code_index"), ref.floats("k"+k+".code_value")
		recon, out := ref.floats("k"+k+".recon"), make([]float32, f.Out)
		largest := 0.0
		for i := range len(x) / f.In {
			h := x[i*f.In : (i+1)*f.In]
			code := coder.Encode(nil, h)
			want := make([]float32, f.N)
			for j := ptr[i]; j < ptr[i+1]; j++ {
				want[index[j]] = value[j]
			}
			if got := dense(code, f.N); sameSupport(got, want) {
				same++
				largest = max(largest, worst(t, got, want))
			}
			d.Decode(out, code, h)
			if e := worst(t, out, recon[i*f.Out:(i+1)*f.Out]); e > tolerance {
				t.Errorf("k %s, row %d: reconstruction off by %.2g", k, i, e)
			}
		}
		if n := len(x) / f.In; float64(same) < share*float64(n) || largest > 1e-4 {
			t.Errorf("k %s: equal support on %d of %d rows, codes there off by %.2g", k, same, n, largest)
		}
		t.Logf("k %s: equal support on %d of %d rows, codes there off by %.2g", k, same, len(x)/f.In, largest)
	}
}

func TestITDASources(t *testing.T) {
	d := open(t, fixture.Path(t, "fixtures-dictionaries/smollm2-135m/itda-l14"), Options{})
	if len(d.Atoms) != 3246 || d.Form.Act.Pursuit.K != 20 || d.Address.Site.String() != "resid_post.14" {
		t.Fatalf("%d atoms, k %d, %s", len(d.Atoms), d.Form.Act.Pursuit.K, d.Address)
	}
	if a := d.Atoms[4]; a.Token != " me" || a.Position != 5 || a.Context != "ep'st to see" || !a.Known() {
		t.Errorf("atom 4 = %+v", a)
	}
	if d.Facts.Rule != "cos" || d.Facts.Threshold != 0.88 {
		t.Errorf("facts = %+v", d.Facts)
	}
	tiny := open(t, fixture.Path(t, "fixtures-dictionaries/formats/itda"), Options{})
	unknown := 0
	for _, a := range tiny.Atoms {
		if !a.Known() {
			unknown++
		}
	}
	if len(tiny.Atoms) != 96 || unknown == 0 {
		t.Errorf("%d atoms, %d of unknown source, want 96 and some", len(tiny.Atoms), unknown)
	}
}
