// SPDX-License-Identifier: Apache-2.0

package fit

// view is one site of a set without some of its texts.
type view struct {
	*Samples
	site int
	left func(i int) bool // texts of both sides that are left out; nil is none
}

func (v *view) skips(i int) bool { return v.left != nil && v.left(i) }

// count is how many texts of a side there are in the view.
func (v *view) count(side Side) (n int) {
	for i := range v.Len(side) {
		if !v.skips(i) {
			n++
		}
	}
	return n
}

// each calls visit with every row of a side.
func (v *view) each(side Side, visit func(row []float32)) error {
	c := v.sides[side].at(v.site)
	for i := range v.Len(side) {
		if v.skips(i) {
			continue
		}
		row, err := c.row(i)
		if err != nil {
			return err
		}
		visit(row)
	}
	return nil
}

// pairs calls visit with every positive row and the negative one that belongs to it.
func (v *view) pairs(visit func(positive, negative []float32)) error {
	p, n := v.sides[Positive].at(v.site), v.sides[Negative].at(v.site)
	for i := range v.Len(Positive) {
		if v.skips(i) {
			continue
		}
		a, err := p.row(i)
		if err != nil {
			return err
		}
		b, err := n.row(i)
		if err != nil {
			return err
		}
		visit(a, b)
	}
	return nil
}

// mean is that of one side in double precision; without rows it is nil.
func (v *view) mean(side Side) ([]float64, error) {
	n := v.count(side)
	if n == 0 {
		return nil, nil
	}
	sum := make([]float64, v.width)
	err := v.each(side, func(row []float32) {
		for i, x := range row {
			sum[i] += float64(x)
		}
	})
	for i := range sum {
		sum[i] /= float64(n)
	}
	return sum, err
}
