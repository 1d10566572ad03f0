// SPDX-License-Identifier: Apache-2.0

package itda

// Matrix is how alike each layer of a model (a row) is to each layer of another (a column).
type Matrix [][]float64

// Compare fills a matrix of rows by columns.
func Compare(rows, columns int, of func(i, j int) (float64, error)) (Matrix, error) {
	m := make(Matrix, rows)
	for i := range m {
		m[i] = make([]float64, columns)
		for j := range m[i] {
			var err error
			if m[i][j], err = of(i, j); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// Best returns for each row the column of its largest value, the first of equal ones.
func (m Matrix) Best() []int {
	out := make([]int, len(m))
	for i, row := range m {
		for j, v := range row {
			if v > row[out[i]] {
				out[i] = j
			}
		}
	}
	return out
}

// Matched returns the share of rows whose best column is that of the same number: for two models of the same make, how often a measure finds the layer
// (arXiv 2505.17769, section 5).
func (m Matrix) Matched() float64 {
	right := 0
	for i, j := range m.Best() {
		if i == j {
			right++
		}
	}
	return float64(right) / float64(max(len(m), 1))
}
