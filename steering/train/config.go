// SPDX-License-Identifier: Apache-2.0

package train

import (
	"fmt"
	"math"
	"runtime"
	"slices"
)

// Arch is how a code is chosen from the pre-activations while training.
type Arch string

// The architectures. BatchTopK and Matryoshka are written as JumpReLU with one threshold, as SAELens does.
const (
	TopK       Arch = "topk"       // the K largest of each row, of those the positive ones
	BatchTopK  Arch = "batchtopk"  // the K·rows largest of a batch (arXiv 2412.06410)
	JumpReLU   Arch = "jumprelu"   // those above a threshold of each feature's own, learnt so that rows have K on average (arXiv 2407.14435)
	Matryoshka Arch = "matryoshka" // BatchTopK whose first features must do without the rest (arXiv 2503.17547)
	AbsTopK    Arch = "abstopk"    // the K largest by absolute value, with their signs
)

// Archs lists the architectures.
func Archs() []Arch { return []Arch{TopK, BatchTopK, JumpReLU, Matryoshka, AbsTopK} }

// Config says what is trained and how; where 0 is no choice it stands for the default that the field names.
type Config struct {
	Arch  Arch `json:"arch"`
	In    int  `json:"in"`    // numbers of an activation
	Width int  `json:"width"` // features
	K     int  `json:"k"`     // features of a row, on average

	Batch  int     `json:"batch"`  // rows of a step; 256
	Passes int     `json:"passes"` // over the texts; 5
	Rate   float64 `json:"rate"`   // of Adam, reached after the first twentieth of the steps, falling to 0 over the last third; 1e-3
	Buffer int     `json:"buffer"` // rows that are mixed; 131,072. Texts that fit in it as a whole are read once for all passes
	Seed   uint64  `json:"seed"`

	Groups    []int   `json:"groups"`     // Matryoshka: the numbers of features that must do by themselves, rising to Width; Width/16, Width/4, Width
	AuxK      int     `json:"aux_k"`      // dead features that a row's error is given to; K
	AuxWeight float64 `json:"aux_weight"` // of their error in the loss; 1/32
	DeadAfter int     `json:"dead_after"` // rows without a feature after which it is dead; a quarter of a pass, at most 10 million
	Bandwidth float64 `json:"bandwidth"`  // JumpReLU: width of the kernel around a threshold, in units of an activation's mean square; 0.3
	Sparsity  float64 `json:"sparsity"`   // JumpReLU: weight of (L0/K - 1)² in the loss; 1

	Threads int `json:"-"` // 0 is one a processor
}

// withDefaults fills in what is 0 and refuses what makes no sense; rows is how many a pass has, about.
func (c Config) withDefaults(rows int) (Config, error) {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orFloat := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	or(&c.Batch, 256)
	or(&c.Passes, 5)
	or(&c.Buffer, 1<<17)
	or(&c.AuxK, c.K)
	or(&c.DeadAfter, min(max(rows/4, 1), 10_000_000))
	or(&c.Threads, runtime.GOMAXPROCS(0))
	orFloat(&c.Rate, 1e-3)
	orFloat(&c.AuxWeight, 1.0/32)
	orFloat(&c.Bandwidth, 0.3)
	orFloat(&c.Sparsity, 1)
	if c.Arch == Matryoshka && c.Groups == nil {
		c.Groups = []int{max(c.Width/16, 1), max(c.Width/4, 1), c.Width}
	}
	if c.Arch != Matryoshka {
		c.Groups = []int{c.Width}
	}
	c.Groups = slices.Compact(slices.Clone(c.Groups))
	return c, c.check()
}

func (c *Config) check() error {
	if !slices.Contains(Archs(), c.Arch) {
		return fmt.Errorf("train: architecture: want one of %v, found %q", Archs(), c.Arch)
	}
	if c.In < 1 || c.Width < 1 || c.K < 1 || c.K > c.Width || int64(c.In)*int64(c.Width) > math.MaxInt32 {
		return fmt.Errorf("train: want a width above 0 and k between 1 and the width, found %d features of %d numbers and k %d", c.Width, c.In, c.K)
	}
	if c.Batch < 1 || c.Passes < 1 || c.Buffer < c.Batch || c.AuxK < 1 || c.DeadAfter < 1 || c.Threads < 1 {
		return fmt.Errorf("train: want a batch, passes, a buffer of at least a batch, and threads, found %d, %d, %d and %d", c.Batch, c.Passes, c.Buffer, c.Threads)
	}
	for _, v := range []float64{c.Rate, c.AuxWeight, c.Bandwidth, c.Sparsity} {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("train: want rate, auxiliary weight, bandwidth and sparsity above 0, found %g, %g, %g and %g", c.Rate, c.AuxWeight, c.Bandwidth, c.Sparsity)
		}
	}
	if !slices.IsSorted(c.Groups) || c.Groups[0] < 1 || c.Groups[len(c.Groups)-1] != c.Width {
		return fmt.Errorf("train: groups: want rising numbers of features that end with all %d, found %v", c.Width, c.Groups)
	}
	return nil
}
