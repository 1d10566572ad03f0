// SPDX-License-Identifier: Apache-2.0

package dictionary

import "math"

// solver finds the weights of the chosen atoms anew in every round of an orthogonal pursuit. All in double precision: the
// normal equations square the condition of the atoms.
type solver struct {
	g      *gram
	chosen []bool
	list   []int32
	target []float64 // products of the chosen atoms with x
	q      []float64 // products between the chosen atoms, row by row up to the diagonal
	weight []float64

	// Of the least squares: a Cholesky factor of the independent atoms, and how the others follow from them.
	l      []float64   // row by row up to the diagonal
	basis  []int       // places in list
	others []dependent // atoms that are sums of basis atoms
	y, a   []float64
}

// dependent is a chosen atom, the sum of share[i] times the basis atom i.
type dependent struct {
	place int
	share []float64
}

// orthogonal runs OMP: an atom is chosen once, and all weights are found anew after each choice.
func (p *pursuer) orthogonal() {
	s := p.solve
	s.reset()
	signed := p.rule.Method == Orthogonal
	for range min(p.rule.K, p.g.n) {
		j := p.unchosen(signed)
		s.choose(j, p.x)
		if signed {
			s.leastSquares()
		} else {
			s.nonNegative()
		}
		p.take(s)
		if p.converged() {
			break
		}
	}
	for _, j := range s.list {
		s.chosen[j] = false
	}
}

func (p *pursuer) unchosen(signed bool) int {
	p.refresh()
	best, at := float32(math.Inf(-1)), 0
	for i, v := range p.c[:p.g.n] {
		if p.solve.chosen[i] {
			continue
		}
		if signed && v < 0 {
			v = -v
		}
		if v > best {
			best, at = v, i
		}
	}
	return at
}

// take sets the pursuit's weights and its residual.
func (p *pursuer) take(s *solver) {
	p.atoms = p.atoms[:0]
	for i, v := range p.x {
		p.r[i] = float64(v)
	}
	for i, j := range s.list {
		z := s.weight[i]
		p.atoms = append(p.atoms, atom{index: j, z: z})
		for k, v := range p.g.row(int(j)) {
			p.r[k] -= z * float64(v)
		}
	}
	p.stale, p.narrowed = true, false
}

func (s *solver) reset() {
	s.list, s.target, s.weight, s.q = s.list[:0], s.target[:0], s.weight[:0], s.q[:0]
	s.basis, s.others, s.y, s.l = s.basis[:0], s.others[:0], s.y[:0], s.l[:0]
}

// corner is the place of row i, column t of a matrix that is kept row by row up to the diagonal.
func corner(i, t int) int { return i*(i+1)/2 + t }

// choose adds an atom with weight 0 and its products.
func (s *solver) choose(j int, x []float32) {
	s.chosen[j] = true
	s.list = append(s.list, int32(j))
	s.weight = append(s.weight, 0)
	row := s.g.row(j)
	s.target = append(s.target, dotWide(row, x))
	for _, other := range s.list {
		s.q = append(s.q, dotWide(row, s.g.row(int(other))))
	}
}

func dotWide(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// leastSquares finds the weights with the smallest error and, of those, the smallest length, after one atom was chosen.
func (s *solver) leastSquares() {
	// An atom whose square outside the others' span is below this share of its own adds nothing but rounding.
	const dependence = 1e-10
	k, m := len(s.list)-1, len(s.basis)
	for range m + 1 {
		s.l = append(s.l, 0)
	}
	w := s.l[corner(m, 0):corner(m, m)]
	square := s.q[corner(k, k)]
	rest, y := square, s.target[k]
	for i := range w {
		v := s.q[corner(k, s.basis[i])]
		for t := range i {
			v -= s.l[corner(i, t)] * w[t]
		}
		w[i] = v / s.l[corner(i, i)]
		rest -= w[i] * w[i]
		y -= w[i] * s.y[i]
	}
	if rest > dependence*square {
		pivot := math.Sqrt(rest)
		s.l[corner(m, m)] = pivot
		s.y = append(s.y, y/pivot)
		s.basis = append(s.basis, k)
	} else {
		s.others = append(s.others, dependent{k, s.back(append([]float64(nil), w...))})
		s.l = s.l[:corner(m, 0)]
	}
	for i := range s.others { // the basis may have grown
		for len(s.others[i].share) < len(s.basis) {
			s.others[i].share = append(s.others[i].share, 0)
		}
	}
	s.a = s.back(append(s.a[:0], s.y...))
	s.spread()
}

// back solves Lᵀ v = v in place.
func (s *solver) back(v []float64) []float64 {
	for i := len(v) - 1; i >= 0; i-- {
		for t := i + 1; t < len(v); t++ {
			v[i] -= s.l[corner(t, i)] * v[t]
		}
		v[i] /= s.l[corner(i, i)]
	}
	return v
}

// spread shares the weights a of the basis with the dependent atoms so that their length is least: with the shares W of
// the dependent atoms, (1 + W Wᵀ) z = W a for those and a - Wᵀ z for the basis.
func (s *solver) spread() {
	n := len(s.others)
	z := make([]float64, n)
	if n > 0 {
		m := make([]float64, n*n)
		for i, p := range s.others {
			for t, q := range s.others {
				m[i*n+t] = inner(p.share, q.share)
			}
			m[i*n+i]++
			z[i] = inner(p.share, s.a)
		}
		eliminate(m, z)
	}
	for i, place := range s.basis {
		v := s.a[i]
		for t, p := range s.others {
			v -= p.share[i] * z[t]
		}
		s.weight[place] = v
	}
	for t, p := range s.others {
		s.weight[p.place] = z[t]
	}
}

func inner(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// eliminate solves M v = v in place for a symmetric matrix whose eigenvalues are at least 1, so that no pivot is small.
func eliminate(m, v []float64) {
	n := len(v)
	for i := range n {
		for t := i + 1; t < n; t++ {
			f := m[t*n+i] / m[i*n+i]
			for k := i; k < n; k++ {
				m[t*n+k] -= f * m[i*n+k]
			}
			v[t] -= f * v[i]
		}
	}
	for i := n - 1; i >= 0; i-- {
		for t := i + 1; t < n; t++ {
			v[i] -= m[i*n+t] * v[t]
		}
		v[i] /= m[i*n+i]
	}
}

// nonNegative takes ten steps of projected gradient descent from the weights of the round before, as overcomplete does
// (optimization/utils.py batched_matrix_nnls).
func (s *solver) nonNegative() {
	const steps, enough, guard = 10, 1e-5, 1e-8
	k := len(s.list)
	norm := 0.0
	for i := range k {
		for t := range i {
			norm += 2 * s.q[corner(i, t)] * s.q[corner(i, t)]
		}
		norm += s.q[corner(i, i)] * s.q[corner(i, i)]
	}
	rate := 1 / (math.Sqrt(norm) + guard)
	grad := append(s.a[:0], s.weight...)
	s.a = grad
	for range steps {
		length := 0.0
		for i := range grad {
			grad[i] = -s.target[i]
			for t, z := range s.weight {
				grad[i] += s.q[corner(max(i, t), min(i, t))] * z
			}
			length += grad[i] * grad[i]
		}
		for i, g := range grad {
			s.weight[i] = max(s.weight[i]-rate*g, 0)
		}
		if math.Sqrt(length) < enough {
			return
		}
	}
}
