// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
)

// term is a condition on one session: a running mean for each of its sites.
type term struct {
	condition *Condition
	places    []*condition
}

// condition is a condition vector at one site.
type condition struct {
	site    hooks.Site
	vector  []float32
	length  float64
	sum     []float64
	count   int
	lengths []float64
	sorted  []float64
	median  float64
	holds   bool
	label   [2]string // of a reading: does not hold, holds
}

func newCondition(c *Condition, p Place) *condition {
	v := p.directions[0]
	out := &condition{site: p.Site, vector: v, length: dot.Length(v), sum: make([]float64, len(v))}
	for i, word := range []string{"no", "yes"} {
		out.label[i] = fmt.Sprintf("%s at %s: %s", c, p.Site, word)
	}
	return out
}

func (c *condition) restart() {
	c.count, c.median, c.lengths, c.holds = 0, 0, c.lengths[:0], false
	clear(c.sum)
}

// see takes the rows of a prompt in and returns how alike their mean and the vector are. Rows more than four times as long as the median are left out, unless all
// count; the median is that of the prompt so far.
func (c *condition) see(a *hooks.Activation, last, all bool) float64 {
	if last {
		c.count = 0
		clear(c.sum)
	}
	from := 0
	if last {
		from = len(a.Rows) - 1
	}
	c.measure(a)
	for i := from; i < len(a.Rows); i++ {
		if !all && (a.First+i == 0 || c.median > 0 && c.lengths[len(c.lengths)-len(a.Rows)+i] > massiveTimes*c.median) {
			continue
		}
		c.count++
		for j, x := range a.Row(i) {
			c.sum[j] += float64(x)
		}
	}
	return c.likeness()
}

// massiveTimes is how many times the median's length a massive activation has.
const massiveTimes = 4

func (c *condition) measure(a *hooks.Activation) {
	for i := range a.Rows {
		c.lengths = append(c.lengths, dot.Length(a.Row(i)))
	}
	c.sorted = append(c.sorted[:0], c.lengths...)
	slices.Sort(c.sorted)
	c.median = c.sorted[len(c.sorted)/2]
}

// likeness is cos(h, tanh(P h)) for the mean h, P the projection onto the vector; 0 where nothing counted.
func (c *condition) likeness() float64 {
	if c.count == 0 {
		return 0
	}
	n := float64(c.count)
	along := 0.0
	for i, s := range c.sum {
		along += s / n * float64(c.vector[i])
	}
	along /= c.length * c.length
	product, h2, t2 := 0.0, 0.0, 0.0
	for i, s := range c.sum {
		h, t := s/n, math.Tanh(along*float64(c.vector[i]))
		product, h2, t2 = product+h*t, h2+h*h, t2+t*t
	}
	if h2 == 0 || t2 == 0 {
		return 0
	}
	return product / math.Sqrt(h2*t2)
}
