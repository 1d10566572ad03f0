// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/hooks"
)

// chains is a session's program in the form that the operator Steps reads: the steps of one site one behind the other.
type chains struct {
	list  []ort.Step
	edits []int // where each edit of the program stands
	taps  []int
	sites []chain
	wants bitset // the same sites
}

type chain struct {
	site    int // by number
	address int64
}

// mostMasks is what the operator RouteEach takes on one block from one session.
const mostMasks = 64

func newChains(s *Session, p *program, operands []*operand, numbers func(hooks.Site) int) (*chains, error) {
	c := &chains{}
	var err error
	if c.list, err = ort.NewSteps(len(p.steps)); err != nil {
		return nil, err
	}
	masks := 0
	for i := range p.steps {
		st, out := &p.steps[i], &c.list[i]
		if i == 0 || st.site != p.steps[i-1].site {
			n := numbers(st.site)
			c.sites, c.wants, masks = append(c.sites, chain{n, out.Address()}), c.wants.with(n), 0
		} else {
			c.list[i-1].More = 1
		}
		if st.edit == nil {
			c.tap(s, out, st, i)
			continue
		}
		out.Op = int64(st.edit.Op)
		for j, mem := range operands[len(c.edits)].memory {
			out.V[j] = unsafe.Pointer(unsafe.SliceData(mem))
		}
		c.edits = append(c.edits, i)
		if st.edit.Op == hooks.Route {
			masks++
		}
		if masks > mostMasks {
			c.free()
			return nil, fmt.Errorf("masks at %s: want at most %d of one session, found more", st.site, mostMasks)
		}
	}
	return c, nil
}

func (c *chains) tap(s *Session, out *ort.Step, st *step, i int) {
	out.Op, out.Run, out.Tap = ort.TapStep, s.identity, int64(len(c.taps))
	if h := st.encoder; h != nil {
		out.Encoder, out.EncoderType, out.EncoderRows = unsafe.Pointer(unsafe.SliceData(h.memory)), int64(h.as), int64(h.of.Rows)
	}
	c.taps = append(c.taps, i)
}

// set writes the strengths and gates of the session's next pass.
func (c *chains) set(s *Session) {
	row := s.pass.rows[len(s.pass.rows)-1]
	for i, e := range s.program.edits {
		st := &c.list[c.edits[i]]
		st.C, st.X0, st.X1 = numbersOf(e)
		if !e.Where.Selects(row) {
			st.C = 0
		}
	}
	for i := range s.taps {
		c.list[c.taps[i]].Open = s.pass.gate(&s.taps[i])
	}
}

func (c *chains) free() { ort.FreeSteps(c.list) }

// siteSet numbers the sites that sessions have had steps at, and counts the sessions that have some there now.
type siteSet struct {
	numbers map[hooks.Site]int
	list    []hooks.Site
	uses    []int
}

func (x *siteSet) number(s hooks.Site) int {
	n, ok := x.numbers[s]
	if !ok {
		n = len(x.list)
		x.numbers[s], x.list, x.uses = n, append(x.list, s), append(x.uses, 0)
	}
	return n
}

// inUse returns the sites of all sessions.
func (x *siteSet) inUse() (out bitset) {
	for n, uses := range x.uses {
		if uses > 0 {
			out = out.with(n)
		}
	}
	return out
}

// mostGraphs is after how many graphs the next one gets a place at every site that the model has, so that none can follow.
const mostGraphs = 8

// adopt brings a session's program into the form of shared passes, and sees to a graph that has the sites of all sessions together.
func (b *batch) adopt(s *Session, p *program, operands []*operand) (*chains, error) {
	if b == nil || len(p.steps) == 0 {
		return nil, nil
	}
	b.building.Lock()
	defer b.building.Unlock()
	c, err := newChains(s, p, operands, b.sites.number)
	if err != nil {
		return nil, err
	}
	want := b.sites.inUse().or(c.wants)
	if b.find(want) == nil {
		if len(b.graphs) >= mostGraphs {
			for site := range s.model.shape.Widths {
				want = want.with(b.sites.number(site))
			}
		}
		g, err := b.each.build(&b.sites, want)
		if err != nil {
			c.free()
			return nil, err
		}
		b.add(g)
	}
	for _, x := range c.sites {
		b.sites.uses[x.site]++
	}
	return c, nil
}

// drop is the opposite of adopt, for a session that is in no pass.
func (b *batch) drop(c *chains) {
	if c == nil {
		return
	}
	b.building.Lock()
	defer b.building.Unlock()
	for _, x := range c.sites {
		b.sites.uses[x.site]--
	}
	c.free()
}

func (b *batch) add(g *eachGraph) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.graphs = append(b.graphs, g)
	slices.SortStableFunc(b.graphs, func(x, y *eachGraph) int { return x.columns - y.columns })
}

// find returns the smallest graph with all the given sites, or nil.
func (b *batch) find(want bitset) *eachGraph {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.graphs {
		if g.sites.covers(want) {
			return g
		}
	}
	return nil
}

// choose returns the smallest graph with the sites of all these sessions.
func (b *batch) choose(members []*Session) (*eachGraph, error) {
	e := &b.each
	clear(e.union)
	for _, s := range members {
		if s.shared.chains != nil {
			e.union = e.union.or(s.shared.chains.wants)
		}
	}
	if g := b.find(e.union); g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("runtime: shared pass: no graph has the sites of all its sessions")
}

// bitset is a set of small numbers. Its methods that return one change theirs in place where it is long enough.
type bitset []uint64

func (x bitset) with(n int) bitset {
	for len(x) <= n/64 {
		x = append(x, 0)
	}
	x[n/64] |= 1 << (n % 64)
	return x
}

func (x bitset) has(n int) bool { return n/64 < len(x) && x[n/64]&(1<<(n%64)) != 0 }

func (x bitset) or(y bitset) bitset {
	for len(x) < len(y) {
		x = append(x, 0)
	}
	for i, w := range y {
		x[i] |= w
	}
	return x
}

func (x bitset) covers(y bitset) bool {
	for i, w := range y {
		if w != 0 && (i >= len(x) || w&^x[i] != 0) {
			return false
		}
	}
	return true
}
