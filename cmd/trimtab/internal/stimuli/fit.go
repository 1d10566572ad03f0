// SPDX-License-Identifier: Apache-2.0

package stimuli

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/fit"
)

// Set is what a vector is fitted on: pairs, or texts of each kind that do not belong together.
type Set struct {
	Pairs              []Pair
	Positive, Negative []Text
}

// Len returns the number of texts of each kind.
func (s *Set) Len() (positive, negative int) {
	return len(s.Pairs) + len(s.Positive), len(s.Pairs) + len(s.Negative)
}

// Gathered are the activations of a set.
type Gathered struct {
	*fit.Samples
	Hash string // SHA-256 of all tokens, with those that were read, in hexadecimal
}

// Sites selects the sites of a list, which must be of one point and width, in forward order.
func Sites(sh *hooks.Shape, list string) ([]hooks.Site, error) {
	sites, err := sh.Select(list)
	if err != nil {
		return nil, err
	}
	for _, s := range sites {
		if s.Point != sites[0].Point || !s.Point.PerLayer() {
			return nil, fmt.Errorf("want sites of one point that exists once a block, such as resid_post.*, found %s and %s", sites[0], s)
		}
		if sh.Widths[s] != sh.Widths[sites[0]] {
			return nil, fmt.Errorf("want sites of one width, found %s with %d and %s with %d", sites[0], sh.Widths[sites[0]], s, sh.Widths[s])
		}
	}
	return sites, nil
}

// NewCoder returns what makes items for a model.
func NewCoder(m *runtime.Model, read Read, asChat bool) (*Coder, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	c := &Coder{Tok: tok, Read: read, Chat: asChat}
	if t, err := m.Template(); err == nil {
		c.Template = t
	}
	return c, nil
}

// Gather runs a set through a model. progress is called after every text.
func Gather(ctx context.Context, m *runtime.Model, sites []hooks.Site, c *Coder, set *Set, progress func(done, total int64)) (*Gathered, error) {
	pool, err := gather.NewPool(m, sites)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	samples, err := fit.NewSamples(len(sites), m.Shape().Widths[sites[0]])
	if err != nil {
		return nil, err
	}
	positive, negative := set.Len()
	g := &gathering{ctx: ctx, pool: pool, coder: c, samples: samples, hash: sha256.New(), total: int64(positive + negative), progress: progress}
	if err := g.all(set); err != nil {
		return nil, errors.Join(err, samples.Close())
	}
	return &Gathered{samples, hex.EncodeToString(g.hash.Sum(nil))}, nil
}

// gathering is one run of Gather.
type gathering struct {
	ctx         context.Context
	pool        *gather.Pool
	coder       *Coder
	samples     *fit.Samples
	hash        hash.Hash
	done, total int64
	progress    func(done, total int64)
}

func (g *gathering) all(set *Set) error {
	for i, p := range set.Pairs {
		a, b, err := g.coder.Both(p)
		if err == nil {
			err = errors.Join(g.read(fit.Positive, a), g.read(fit.Negative, b))
		}
		if err != nil {
			return fmt.Errorf("pair %d: %w", i+1, err)
		}
	}
	for side, list := range [][]Text{fit.Positive: set.Positive, fit.Negative: set.Negative} {
		for i, t := range list {
			item, err := g.coder.One(t)
			if err == nil {
				err = g.read(fit.Side(side), item)
			}
			if err != nil {
				return fmt.Errorf("%s text %d: %w", [...]string{"positive", "negative"}[side], i+1, err)
			}
		}
	}
	return nil
}

func (g *gathering) read(side fit.Side, item Item) error {
	head := binary.LittleEndian.AppendUint32([]byte{byte(side)}, uint32(len(item.IDs)))
	for i, id := range item.IDs {
		head = binary.LittleEndian.AppendUint32(head, uint32(id))
		if item.Keep[i] {
			head = append(head, 1)
		}
	}
	g.hash.Write(head) // never fails
	rows, err := g.pool.Read(g.ctx, item.IDs, item.Keep)
	if err != nil {
		return err
	}
	g.done++
	g.progress(g.done, g.total)
	return g.samples.Add(side, rows)
}
