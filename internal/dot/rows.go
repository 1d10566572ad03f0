// SPDX-License-Identifier: Apache-2.0

package dot

// Rows writes the products of x with some rows of a matrix that has len(x) columns, each as [Pair] rounds it. The rows lie anywhere in more memory than the processor's
// caches hold, so that four are summed while the next four are asked for.
func Rows(dst, m []float32, rows []int32, x []float32) {
	width := len(x)
	if len(dst) != len(rows) {
		panic("dot: Rows: dst has another length than rows")
	}
	if len(rows) == 0 {
		return
	}
	row := func(j int) []float32 { return m[int(rows[min(j, len(rows)-1)])*width:][:width] }
	if !fast || width == 0 || width%lanes != 0 {
		for j := range rows {
			dst[j] = Pair(row(j), x)
		}
		return
	}
	var out [4]float32
	var at [8]*float32 // four rows, then those that are next
	for k := range 4 {
		at[4+k] = &row(k)[0]
	}
	for j := 0; j < len(rows); j += 4 {
		copy(at[:4], at[4:])
		for k := range 4 {
			at[4+k] = &row(j + 4 + k)[0]
		}
		rows4(&out, &at, &x[0], width)
		copy(dst[j:], out[:])
	}
}
