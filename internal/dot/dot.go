// SPDX-License-Identifier: Apache-2.0

// Package dot multiplies matrices of float32 whose rows lie one behind the other, in plain Go: what dictionaries need where no graph does it for them.
//
// On amd64 with AVX2 and FMA the sums run in assembly, elsewhere through gonum.
package dot

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// block is how many rows of a are multiplied with all of b before the next: they stay in a core's second-level cache.
const block = 64

// Products writes the product of every row of a with every row of b: dst[i·nb+j] = Σ a[i]·b[j], for rows of width numbers.
// An entry does not depend on how many rows there are beside its own. One goroutine does all the work.
func Products(dst, a, b []float32, width int) {
	na, nb := len(a)/width, len(b)/width
	if na*width != len(a) || nb*width != len(b) || len(dst) != na*nb {
		panic("dot: Products: lengths do not fit the width")
	}
	switch {
	case na == 0 || nb == 0:
	case !fast || width%lanes != 0:
		plain(dst, a, b, width)
	default:
		for i := 0; i < na; i += block {
			n := min(block, na-i)
			tiles(dst[i*nb:(i+n)*nb], a[i*width:(i+n)*width], b, width)
		}
	}
}

// Pair returns the product of two rows of the same length, as [Products] rounds it.
func Pair(a, b []float32) (sum float32) {
	if len(a) != len(b) {
		panic("dot: Pair: lengths differ")
	}
	if len(a) == 0 || !fast || len(a)%lanes != 0 {
		return gonum.Implementation{}.Sdot(len(a), a, 1, b, 1)
	}
	tile1x1(&sum, &a[0], &b[0], len(a))
	return sum
}

// plain is the twin of the assembly. Row by row, since gonum sums a product of matrices in another order than one of a matrix and a vector.
func plain(dst, a, b []float32, width int) {
	nb := len(b) / width
	for i := range len(a) / width {
		gonum.Implementation{}.Sgemv(blas.NoTrans, nb, width, 1, b, width, a[i*width:(i+1)*width], 1, 0, dst[i*nb:(i+1)*nb], 1)
	}
}

// tiles multiplies the rows of a with all of b, four rows by three where there are as many.
func tiles(dst, a, b []float32, width int) {
	na, nb := len(a)/width, len(b)/width
	var wide [12]float32
	whole := na &^ 3
	j := 0
	for ; j+3 <= nb; j += 3 {
		for i := 0; i < whole; i += 4 {
			tile4x3(&wide, &a[i*width], &b[j*width], 4*width, width)
			for r := range 4 {
				copy(dst[(i+r)*nb+j:(i+r)*nb+j+3], wide[3*r:])
			}
		}
	}
	for ; j < nb; j++ {
		for i := 0; i < whole; i += 4 {
			column(dst[i*nb+j:], nb, a[i*width:(i+4)*width], b[j*width:(j+1)*width])
		}
	}
	for i := whole; i < na; i++ {
		row, x := dst[i*nb:(i+1)*nb], a[i*width:(i+1)*width]
		for j = 0; j < nb; j += 4 {
			column(row[j:], 1, b[j*width:min(j+4, nb)*width], x)
		}
	}
}

// column writes the products of x with up to four rows, step numbers apart.
func column(dst []float32, step int, rows, x []float32) {
	var out [4]float32
	width := len(x)
	n := len(rows) / width
	if n == 4 {
		tile4x1(&out, &rows[0], &x[0], 4*width, width)
	}
	for r := range n {
		if n < 4 {
			tile1x1(&out[r], &rows[r*width], &x[0], width)
		}
		dst[r*step] = out[r]
	}
}

// Sum64 is a · b, summed in double precision in the order of the numbers.
func Sum64(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// Length is the Euclidean norm, summed in double precision.
func Length(v []float32) float64 { return math.Sqrt(Sum64(v, v)) }
