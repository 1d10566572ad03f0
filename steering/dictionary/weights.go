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

// size returns the length of a vector.
func (w *weights) size(name string) (int, error) {
	t, err := w.get(name)
	if err != nil {
		return 0, err
	}
	if len(t.shape) != 1 || t.shape[0] < 1 {
		return 0, w.fault(name, "a vector", fmt.Sprintf("shape %v", t.shape))
	}
	return t.shape[0], nil
}

// dims returns the two sizes of a matrix.
func (w *weights) dims(name string) (rows, cols int, err error) {
	t, err := w.get(name)
	if err != nil {
		return 0, 0, err
	}
	if len(t.shape) != 2 || t.shape[0] < 1 || t.shape[1] < 1 {
		found := fmt.Sprintf("shape %v", t.shape)
		if len(t.shape) == 3 {
			found += ", as a crosscoder has it, which reads several layers at once"
		}
		return 0, 0, w.fault(name, "a matrix", found)
	}
	return t.shape[0], t.shape[1], nil
}

// vector returns n numbers; a row or a column of a matrix will do.
func (w *weights) vector(name string, n int) ([]float32, error) {
	t, err := w.get(name)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(t.shape, []int{n}) && !slices.Equal(t.shape, []int{1, n}) && !slices.Equal(t.shape, []int{n, 1}) {
		return nil, w.fault(name, fmt.Sprintf("shape [%d]", n), fmt.Sprint(t.shape))
	}
	v, err := t.floats()
	if err != nil {
		return nil, fmt.Errorf("dictionary: %s: %w", w.path, err)
	}
	return v, nil
}

// threshold returns n thresholds; a file may have one for all features.
func (w *weights) threshold(name string, n int) ([]float32, error) {
	if t, ok := w.m[name]; ok && len(t.shape) == 0 || len(t.shape) == 1 && t.shape[0] == 1 {
		v, err := w.scalar(name)
		return constant(n, float32(v)), err
	}
	return w.vector(name, n)
}

func constant(n int, v float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// optional is vector for a tensor that need not be there.
func (w *weights) optional(name string, n int) ([]float32, error) {
	if !w.has(name) {
		return nil, nil
	}
	return w.vector(name, n)
}

// matrix returns rows x cols numbers, row-major; transposed tells that the file has cols x rows. Where the shape shows that
// the file has it the other way round, it is turned, and turned is true.
func (w *weights) matrix(name string, rows, cols int, transposed bool) (m []float32, turned bool, err error) {
	t, err := w.get(name)
	if err != nil {
		return nil, false, err
	}
	have, want := t.shape, []int{rows, cols}
	if transposed {
		want = []int{cols, rows}
	}
	switch {
	case slices.Equal(have, want):
	case slices.Equal(have, []int{want[1], want[0]}):
		transposed, turned = !transposed, true
	default:
		return nil, false, w.fault(name, fmt.Sprintf("shape %v", want), fmt.Sprint(have))
	}
	if m, err = t.floats(); err != nil {
		return nil, false, fmt.Errorf("dictionary: %s: %w", w.path, err)
	}
	if transposed {
		m = transpose(m, cols, rows)
	}
	return m, turned, nil
}

// summed returns rows x cols numbers of a tensor [rows, layers, cols], its layers added up.
func (w *weights) summed(name string, rows, cols int) ([]float32, error) {
	t, err := w.get(name)
	if err != nil {
		return nil, err
	}
	if len(t.shape) != 3 || t.shape[0] != rows || t.shape[2] != cols || t.shape[1] < 1 {
		return nil, w.fault(name, fmt.Sprintf("shape [%d layers %d]", rows, cols), fmt.Sprint(t.shape))
	}
	all, err := t.floats()
	if err != nil {
		return nil, fmt.Errorf("dictionary: %s: %w", w.path, err)
	}
	layers := t.shape[1]
	out := make([]float32, rows*cols)
	for i := range out {
		sum, from := 0.0, i/cols*layers*cols+i%cols
		for l := range layers {
			sum += float64(all[from+l*cols])
		}
		out[i] = float32(sum)
	}
	return out, nil
}

// hasNumber tells whether there is a number of that name, be it a tensor or not.
func (w *weights) hasNumber(name string) bool {
	_, plain := w.values.m[name].(float64)
	return plain || w.has(name)
}

// scalar returns a tensor of one number, or a number that a torch file holds beside its tensors.
func (w *weights) scalar(name string) (float64, error) {
	if v, ok := w.values.m[name].(float64); ok && !w.has(name) {
		return v, nil
	}
	t, err := w.get(name)
	if err != nil {
		return 0, err
	}
	if v, err := t.floats(); err == nil && len(v) == 1 {
		return float64(v[0]), nil
	}
	if v, err := t.ints(); err == nil && len(v) == 1 {
		return float64(v[0]), nil
	}
	return 0, w.fault(name, "a single number", fmt.Sprintf("shape %v", t.shape))
}

// transpose returns the transpose of a rows x cols matrix, in tiles that stay in cache.
func transpose(m []float32, rows, cols int) []float32 {
	const tile = 32
	out := make([]float32, len(m))
	for r0 := 0; r0 < rows; r0 += tile {
		for c0 := 0; c0 < cols; c0 += tile {
			for r := r0; r < min(r0+tile, rows); r++ {
				for c := c0; c < min(c0+tile, cols); c++ {
					out[c*rows+r] = m[r*cols+c]
				}
			}
		}
	}
	return out
}
