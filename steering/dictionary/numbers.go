// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"slices"
)

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
