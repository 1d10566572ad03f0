// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Shape is what a hook sees of the model it is attached to; it is read only and shared by all sessions of a model.
type Shape struct {
	Model   string          // the model's own name, or the file's where it has none
	Family  string          // architecture name, such as llama
	Layers  int             // blocks
	Width   int             // width of the residual stream
	Heads   int             // query heads of one block
	Vocab   int             // width of logits
	Context int             // largest sequence, in tokens
	Widths  map[Site]int    // every site the model has, with its width
	Missing map[Site]string // sites it lacks, with the reason
	Routers map[int]*Router // of the blocks that have experts
	Turn    func() []int32  // the tokens that the model's template puts between what a user says and the answer; nil, or none, without a template
}

// Resolve counts a negative layer from the last block and returns a *SiteError where the model lacks the site.
func (sh *Shape) Resolve(s Site) (Site, error) {
	r := s
	if r.Layer < 0 && r.Layer != NoLayer {
		r.Layer += sh.Layers
	}
	if _, ok := sh.Widths[r]; ok {
		return r, nil
	}
	if reason, ok := sh.Missing[r]; ok {
		return r, &SiteError{Name: r.String(), Model: sh.Model, Reason: reason}
	}
	if s.Layer != NoLayer && (r.Layer < 0 || r.Layer >= sh.Layers) {
		return s, &SiteError{Name: s.String(), Model: sh.Model, Reason: fmt.Sprintf("the model has blocks 0 to %d", sh.Layers-1)}
	}
	return r, &SiteError{Name: r.String(), Model: sh.Model, Reason: "the model has no such site; trimtab inspect lists those it has"}
}

// SiteWidth returns the width of the activation at a site, or a *SiteError where the model lacks it.
func (sh *Shape) SiteWidth(s Site) (int, error) {
	r, err := sh.Resolve(s)
	if err != nil {
		return 0, err
	}
	return sh.Widths[r], nil
}

// Select returns the sites that a comma-separated list of names, ranges (resid_post.10-20) and globs (resid_post.*, *.3) stands for,
// in forward order and without repeats; a part that selects nothing is an error.
func (sh *Shape) Select(list string) ([]Site, error) {
	chosen := map[Site]bool{}
	for part := range strings.SplitSeq(list, ",") {
		if err := sh.selectPart(chosen, strings.TrimSpace(part)); err != nil {
			return nil, err
		}
	}
	out := make([]Site, 0, len(chosen))
	for s := range chosen {
		out = append(out, s)
	}
	slices.SortFunc(out, Compare)
	return out, nil
}

func (sh *Shape) selectPart(chosen map[Site]bool, part string) error {
	if p, layers, ok := strings.Cut(part, "."); ok && strings.ContainsAny(p, "*?[") {
		return sh.selectGlob(chosen, part, p, layers)
	}
	point, layers, err := splitName(part)
	if err != nil {
		return err
	}
	if !point.PerLayer() || (layers != "*" && !strings.Contains(layers[1:], "-")) {
		return sh.selectOne(chosen, part)
	}
	return sh.selectGlob(chosen, part, string(point), layers)
}

func (sh *Shape) selectOne(chosen map[Site]bool, name string) error {
	s, err := ParseSite(name)
	if err != nil {
		return err
	}
	if s, err = sh.Resolve(s); err != nil {
		return err
	}
	chosen[s] = true
	return nil
}

func (sh *Shape) selectGlob(chosen map[Site]bool, part, pointGlob, layers string) error {
	lo, hi, err := sh.layerRange(part, layers)
	if err != nil {
		return err
	}
	found := false
	for s := range sh.Widths {
		ok, err := path.Match(pointGlob, string(s.Point))
		if err != nil {
			return fmt.Errorf("hooks: sites %q: %w", part, err)
		}
		if ok && s.Layer != NoLayer && lo <= s.Layer && s.Layer <= hi {
			chosen[s], found = true, true
		}
	}
	if !found {
		return &SiteError{Name: part, Model: sh.Model, Reason: "selects no site of this model"}
	}
	return nil
}

// layerRange reads "*", "7", "-1", "10-20"; both ends of a range are part of it.
func (sh *Shape) layerRange(part, layers string) (lo, hi int, err error) {
	if layers == "*" {
		return 0, sh.Layers - 1, nil
	}
	if layers == "" {
		return 0, 0, fmt.Errorf("hooks: sites %q: want layers as 7, 10-20 or *, found none", part)
	}
	first, last := layers, layers
	if i := strings.Index(layers[1:], "-"); i >= 0 {
		first, last = layers[:i+1], layers[i+2:]
	}
	lo, err1 := strconv.Atoi(first)
	hi, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("hooks: sites %q: want layers as 7, 10-20 or *, found %q", part, layers)
	}
	if lo < 0 {
		lo += sh.Layers
	}
	if hi < 0 {
		hi += sh.Layers
	}
	if lo > hi || lo < 0 || hi >= sh.Layers {
		return 0, 0, &SiteError{Name: part, Model: sh.Model, Reason: fmt.Sprintf("want layers between 0 and %d in rising order", sh.Layers-1)}
	}
	return lo, hi, nil
}

// Compare orders sites as the forward pass reaches them.
func Compare(a, b Site) int { return rank(a) - rank(b) }

func rank(s Site) int {
	i := slices.Index(Points(), s.Point)
	switch {
	case s.Point == Embeddings:
		return -1
	case s.Layer == NoLayer:
		return 1<<30 + i
	}
	return s.Layer*32 + i
}
