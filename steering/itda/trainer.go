// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Settings say how a dictionary is fitted.
type Settings struct {
	Width     int     `json:"width"` // numbers of an activation
	Most      int     `json:"most"`  // atoms at most
	K         int     `json:"k"`     // rounds of the pursuit that decides, and of the dictionary afterwards
	Rule      Rule    `json:"rule"`
	Threshold float64 `json:"threshold"`
	Massive   bool    `json:"massive"` // do not leave massive activations out
}

func (s *Settings) check() error {
	if s.Width < 1 || s.Most < 1 || s.K < 1 || s.Rule.Definition() == "" {
		return fmt.Errorf("itda: want a width, a number of atoms and rounds of at least 1 and a rule, found %d, %d, %d and %q", s.Width, s.Most, s.K, s.Rule)
	}
	if most := 4 / float64(s.Width); s.Rule == Mean && s.Threshold >= most {
		return fmt.Errorf("itda: mse threshold %g: want one below 4/width = %.3g, the largest error there is; usual is what cos:0.85 stands for, %.3g",
			s.Threshold, most, 0.3/float64(s.Width))
	}
	return nil
}

// Trainer fits one dictionary in one pass; its memory grows with the atoms alone. One goroutine at a time may use it.
//
// The first Width activations become atoms as they come. After that every activation of a batch whose reconstruction from the atoms before the batch is bad
// becomes one; nothing is taken back. The released code seeds with the most frequent rows of a batch instead, which are those of equal contexts.
type Trainer struct {
	s       Settings
	growth  *dictionary.Growth
	atoms   []dictionary.Atom
	tokens  int
	leftOut int

	seeds   map[string]bool // activations that are atoms already, until there are Width
	lengths []float64
	sorted  []float64
	usable  []int
	chosen  []int
	x       []float32 // rows side by side
	bad     []bool
}

// New returns a trainer without atoms.
func New(s Settings) (*Trainer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	g, err := dictionary.NewGrowth(s.Width, dictionary.PursuitRule{Method: dictionary.Matching, K: s.K})
	if err != nil {
		return nil, err
	}
	return &Trainer{s: s, growth: g, seeds: map[string]bool{}}, nil
}

// Len returns the number of atoms.
func (t *Trainer) Len() int { return t.growth.Len() }

// Full tells that no atom will be added any more.
func (t *Trainer) Full() bool { return t.Len() >= t.s.Most }

// Seen returns how many activations there were, and how many of them were left out as massive, zero or no numbers.
func (t *Trainer) Seen() (rows, leftOut int) { return t.tokens, t.leftOut }

// Step goes through a batch of rows and asks source where those come from that become atoms.
func (t *Trainer) Step(rows []float32, source func(row int) dictionary.Atom) {
	t.choose(rows)
	rest := t.seed(rows, source)
	if len(rest) == 0 || t.Full() {
		return
	}
	t.judge(rows, rest)
	t.chosen = t.chosen[:0]
	for i, r := range rest {
		if t.bad[i] && t.Len()+len(t.chosen) < t.s.Most {
			t.chosen = append(t.chosen, r)
		}
	}
	t.add(rows, t.chosen, source)
}

// seed takes rows until there are Width atoms, each activation once, and returns the usable rows behind them.
func (t *Trainer) seed(rows []float32, source func(row int) dictionary.Atom) (rest []int) {
	n := min(t.s.Width, t.s.Most) - t.Len()
	t.chosen = t.chosen[:0]
	rest = t.usable
	for len(rest) > 0 && len(t.chosen) < n {
		r := rest[0]
		rest = rest[1:]
		key := fmt.Sprint(rows[r*t.s.Width : (r+1)*t.s.Width])
		if !t.seeds[key] {
			t.seeds[key] = true
			t.chosen = append(t.chosen, r)
		}
	}
	t.add(rows, t.chosen, source)
	if !t.Seeding() {
		t.seeds = nil
	}
	return rest
}

// Seeding tells that there are too few atoms yet to judge by.
func (t *Trainer) Seeding() bool { return t.Len() < min(t.s.Width, t.s.Most) }

// judge finds the rows that the atoms reconstruct badly.
func (t *Trainer) judge(rows []float32, list []int) {
	t.gather(rows, list)
	t.bad = slices.Grow(t.bad[:0], len(list))[:len(list)]
	d := t.s.Width
	t.growth.Encode(t.x, func(i int, code []dictionary.Feature) {
		x, y := t.x[i*d:(i+1)*d], make([]float32, d)
		t.growth.Reconstruct(y, code)
		product := 0.0
		for k, v := range x {
			product += float64(v) * float64(y[k])
		}
		t.bad[i] = t.s.takes(product, square(x), square(y))
	})
}

// gather puts rows side by side into t.x.
func (t *Trainer) gather(rows []float32, list []int) {
	t.x = t.x[:0]
	for _, r := range list {
		t.x = append(t.x, rows[r*t.s.Width:(r+1)*t.s.Width]...)
	}
}

func (t *Trainer) add(rows []float32, list []int, source func(row int) dictionary.Atom) {
	t.gather(rows, list)
	t.growth.Add(t.x)
	for _, r := range list {
		t.atoms = append(t.atoms, source(r))
	}
}

// massiveFactor is how many times the median of its batch an activation's length is above where it is left out.
const massiveFactor = dictionary.MassiveFactor

// choose finds the usable rows of a batch.
func (t *Trainer) choose(rows []float32) {
	n, d := len(rows)/t.s.Width, t.s.Width
	t.lengths, t.usable = t.lengths[:0], t.usable[:0]
	for i := range n {
		t.lengths = append(t.lengths, math.Sqrt(square(rows[i*d:(i+1)*d])))
	}
	limit := math.Inf(1)
	if !t.s.Massive && n > 0 {
		t.sorted = append(t.sorted[:0], t.lengths...)
		slices.Sort(t.sorted)
		limit = massiveFactor * t.sorted[n/2]
	}
	for i, v := range t.lengths {
		if v > 0 && v <= limit && !math.IsInf(v, 1) {
			t.usable = append(t.usable, i)
		}
	}
	t.tokens += n
	t.leftOut += n - len(t.usable)
}

func square(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return sum
}

// cosine is 0 where a vector is.
func cosine(product, xx, yy float64) float64 {
	if xx == 0 || yy == 0 {
		return 0
	}
	return product / math.Sqrt(xx*yy)
}

// Dictionary returns the atoms so far with their sources and the rule in Facts; what the trainer does not know of, the site and the texts, is left to the
// caller. With a limit above 0, an atom whose cosine with an earlier one is above it, or below its negative, is left out.
func (t *Trainer) Dictionary(limit float64) (*dictionary.Dictionary, error) {
	if t.Len() == 0 {
		return nil, fmt.Errorf("itda: want at least one atom, found none in %d activations, %d of them left out", t.tokens, t.leftOut)
	}
	d, err := t.growth.Dictionary()
	if err != nil {
		return nil, err
	}
	d.Atoms = slices.Clone(t.atoms)
	if limit > 0 {
		if d, err = Distinct(d, limit); err != nil {
			return nil, err
		}
	}
	d.Facts = &dictionary.Facts{
		Rule: string(t.s.Rule), Threshold: t.s.Threshold, Definition: t.s.Rule.Definition(), Rounds: t.s.K, Distinct: limit,
		Tokens: t.tokens, LeftOut: t.leftOut,
	}
	return d, nil
}

// Distinct returns a dictionary of those atoms of d whose cosine with every earlier one that stays is between -limit and limit (arXiv 2505.17769, section 3,
// removes near duplicates at the end).
func Distinct(d *dictionary.Dictionary, limit float64) (*dictionary.Dictionary, error) {
	f := d.Form
	kept, atoms := make([]float32, 0, len(f.Dec)), []dictionary.Atom(nil)
	products := make([]float32, f.N)
	for i := range f.N {
		row := d.Row(i)
		n := len(kept) / f.In
		dot.Products(products[:n], row, kept, f.In)
		if slices.ContainsFunc(products[:n], func(c float32) bool { return math.Abs(float64(c)) > limit }) {
			continue
		}
		kept = append(kept, row...)
		if d.Atoms != nil {
			atoms = append(atoms, d.Atoms[i])
		}
	}
	out, err := dictionary.New(&dictionary.Form{In: f.In, Out: f.Out, N: len(kept) / f.In, Dec: kept, Act: f.Act})
	if err != nil {
		return nil, err
	}
	out.Atoms, out.Facts, out.Address, out.Name, out.Format = atoms, d.Facts, d.Address, d.Name, d.Format
	return out, nil
}
