// SPDX-License-Identifier: Apache-2.0

package rules

import "math"

// Combine is how weighted rows become one direction.
type Combine uint8

// Ways to combine.
const (
	Sum  Combine = iota
	Mean         // over the rows; the same as Sum where Norm rescales
	Max          // element by element
)

// Steer says how rows become a shift of the activation. The zero value sums rows as they are and shifts by nothing.
type Steer struct {
	Combine Combine
	Norm    float64 // p of the p-norm: 2 or 1; 0 leaves rows and sum as long as they are
	Factor  float64 // length of the shift relative to h's; negative to suppress
}

// Float is a number of an activation.
type Float interface{ ~float32 | ~float64 }

// shortest is the least length that anything is divided by, as in the released code.
const shortest = 1e-8

// Shift sets dst = factor·‖h‖·s/‖s‖ with s the combination of the weights times rows/‖rows‖: what is to be added to h. All norms are p-norms. dst, h
// and every row are equally long and there is a weight for each row, else it panics; dst is not h. It does not allocate.
func Shift[F Float](dst, h []F, rows [][]F, weights []float64, steer Steer) {
	if len(dst) != len(h) || len(rows) != len(weights) {
		panic("rules: shift: lengths differ")
	}
	clear(dst)
	for i, row := range rows {
		if len(row) != len(dst) {
			panic("rules: shift: lengths differ")
		}
		w := weights[i]
		if steer.Norm != 0 {
			w /= max(norm(row, steer.Norm), shortest)
		}
		accumulate(dst, row, w, i == 0 || steer.Combine != Max)
	}
	factor := steer.Factor
	if steer.Combine == Mean && len(rows) > 0 {
		factor /= float64(len(rows))
	}
	if steer.Norm != 0 {
		// The mean's divisor cancels with the rescaling.
		factor = steer.Factor * max(norm(h, steer.Norm), shortest) / max(norm(dst, steer.Norm), shortest)
	}
	for j := range dst {
		dst[j] = F(float64(dst[j]) * factor)
	}
}

// accumulate adds w·row to dst, or keeps the larger one.
func accumulate[F Float](dst, row []F, w float64, add bool) {
	for j, v := range row {
		x := F(w * float64(v))
		if add {
			dst[j] += x
		} else {
			dst[j] = max(dst[j], x)
		}
	}
}

func norm[F Float](x []F, p float64) float64 {
	sum := 0.0
	switch p {
	case 1:
		for _, v := range x {
			sum += math.Abs(float64(v))
		}
		return sum
	case 2:
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		return math.Sqrt(sum)
	}
	for _, v := range x {
		sum += math.Pow(math.Abs(float64(v)), p)
	}
	return math.Pow(sum, 1/p)
}
