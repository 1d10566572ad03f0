// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/models/npy"
	"github.com/trimtab/trimtab/models/pickle"
	"github.com/trimtab/trimtab/models/safetensors"
)

// tensor is one named array of any of the file formats.
type tensor struct {
	shape  []int
	floats func() ([]float32, error)
	ints   func() ([]int64, error)
}

// weights are the tensors of one file, whatever its format.
type weights struct {
	path   string
	m      map[string]tensor
	values config // what a torch file holds beside tensors
	used   map[string]bool
	close  func() error
}

// openWeights opens a safetensors, NumPy or torch file by its name's ending.
func openWeights(path string) (*weights, error) {
	w := &weights{path: path, m: map[string]tensor{}, used: map[string]bool{}}
	w.values = config{path: path, m: map[string]any{}}
	var err error
	switch strings.ToLower(filepath.Ext(strings.TrimSuffix(path, indexSuffix))) {
	case ".safetensors":
		err = w.openSafetensors()
	case ".npz", ".npy":
		err = w.openNumPy()
	default:
		err = w.openTorch()
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (w *weights) openSafetensors() error {
	f, err := safetensors.Open(w.path)
	if err != nil {
		return err
	}
	w.close = f.Close
	for _, t := range f.Tensors {
		w.m[t.Name] = tensor{
			t.Shape,
			func() ([]float32, error) { return t.AppendFloat32(nil) },
			func() ([]int64, error) { return t.AppendInt64(nil) },
		}
	}
	return nil
}

func (w *weights) openNumPy() error {
	f, err := npy.Open(w.path)
	if err != nil {
		return err
	}
	w.close = f.Close
	for _, name := range f.Names {
		a, err := f.Array(name)
		if err != nil {
			return w.abandon(err)
		}
		w.m[name[strings.LastIndexByte(name, '/')+1:]] = tensor{
			a.Shape,
			func() ([]float32, error) { return a.AppendFloat32(nil) },
			func() ([]int64, error) { return a.AppendInt64(nil) },
		}
	}
	return nil
}

func (w *weights) openTorch() error {
	f, err := pickle.Open(w.path)
	if err != nil {
		return err
	}
	w.close = f.Close
	switch root := f.Root.(type) {
	case pickle.Tensor:
		w.addTorch("", root, nil)
	case *pickle.Dict:
		w.addTorch("", stateDict(root), map[*pickle.Dict]bool{})
	default:
		return w.abandon(&FormatError{Path: w.path, What: "file", Want: "a state_dict or a tensor", Found: fmt.Sprintf("%T", root)})
	}
	return nil
}

// stateDict looks inside a checkpoint for the tensors that trainers keep under a key.
func stateDict(d *pickle.Dict) *pickle.Dict {
	for _, key := range []string{"state_dict", "model_state_dict", "sae", "model", "autoencoder"} {
		if v, ok := d.Get(key); ok {
			if inner, ok := v.(*pickle.Dict); ok {
				return inner
			}
		}
	}
	return d
}

// addTorch takes a value and what is inside it; seen has the dictionaries that were looked into, which may hold themselves.
func (w *weights) addTorch(name string, v pickle.Value, seen map[*pickle.Dict]bool) {
	switch v := v.(type) {
	case pickle.Tensor:
		w.m[name] = tensor{
			v.Shape,
			func() ([]float32, error) { return v.AppendFloat32(nil) },
			func() ([]int64, error) { return v.AppendInt64(nil) },
		}
	case *pickle.Dict:
		if seen[v] {
			return
		}
		seen[v] = true
		for i, key := range v.Keys {
			if s, ok := key.(string); ok {
				w.addTorch(strings.TrimPrefix(name+"."+s, "."), v.Values[i], seen)
			}
		}
	case string, bool, float64:
		w.values.m[name] = v
	case int64:
		w.values.m[name] = float64(v)
	}
}

// join takes the tensors of another file as well, which is closed with this one.
func (w *weights) join(path string) error {
	other, err := openWeights(path)
	if err != nil {
		return err
	}
	for name, t := range other.m {
		w.m[name] = t
	}
	first := w.close
	w.close = func() error { return errors.Join(first(), other.close()) }
	return nil
}

func (w *weights) abandon(err error) error {
	if e := w.close(); e != nil {
		return e
	}
	return err
}

func (w *weights) names() []string {
	names := make([]string, 0, len(w.m))
	for name := range w.m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// listed prints the names of tensors; a file may have anything in them.
func (w *weights) listed() string {
	names := w.names()
	for i, name := range names {
		names[i] = shown(name)
	}
	if len(names) == 0 {
		return "none"
	}
	return brief(names)
}

// shown is a name as it can be printed.
func shown(name string) string {
	if q := fmt.Sprintf("%.80q", name); q[1:len(q)-1] != name {
		return q
	}
	return name
}

func (w *weights) has(name string) bool { _, ok := w.m[name]; return ok }

// rename gives tensors the names under which a reader asks for them; names that are not there do no harm.
func (w *weights) rename(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if t, ok := w.m[pairs[i]]; ok {
			delete(w.m, pairs[i])
			w.m[pairs[i+1]] = t
		}
	}
}

func (w *weights) fault(name, want, found string) error {
	return &FormatError{Path: w.path, What: "tensor " + name, Want: want, Found: found}
}

func (w *weights) get(name string) (tensor, error) {
	t, ok := w.m[name]
	if !ok {
		return t, &FormatError{Path: w.path, What: "tensors", Want: name, Found: w.listed()}
	}
	w.used[name] = true
	return t, nil
}
