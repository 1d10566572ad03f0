// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// Place is one site of a model and what acts there.
type Place struct {
	Site       hooks.Site
	Tensors    []string // the file's names of the directions: one, for rotate two
	directions [][]float32
}

// String prints the place as direction.14 -> resid_post.14.
func (p Place) String() string { return strings.Join(p.Tensors, ", ") + " -> " + p.Site.String() }

// PlaceError says that a vector has no direction for a site that was asked for.
type PlaceError struct {
	Vector string // the vector's name
	Site   string // the site or the pattern that was asked for
	Has    string // which directions there are
}

func (e *PlaceError) Error() string {
	const format = "steering: vector %s at %s: want a direction of that layer, found %s (one direction for every site is chosen as FILE:TENSOR)"
	return fmt.Sprintf(format, e.Vector, e.Site, e.Has)
}

// Sites returns where the steering acts on a model of this shape, in forward order, with the same errors as Bind but for widths.
// A site that is named or lies in a range must have a direction; of a pattern with * those that have none are left out.
func (s *Steering) Sites(sh *hooks.Shape) ([]Place, error) {
	own := *s
	own.vectors = nil
	for _, v := range s.vectors {
		if err := v.checkModel(sh); err != nil {
			return nil, err
		}
		v, err := v.counted(sh)
		if err != nil {
			return nil, err
		}
		own.vectors = append(own.vectors, v)
	}
	s = &own
	places := map[hooks.Site]Place{}
	var err error
	if s.spec.Kind == KindAblate && s.spec.Sites == "" {
		own.spec.Sites = ablationSites(sh)
	}
	if s.spec.Sites == "" {
		err = s.ownBlocks(sh, places)
	} else {
		err = s.chosen(sh, places)
	}
	if err != nil {
		return nil, err
	}
	out := make([]Place, 0, len(places))
	for _, p := range places {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Place) int { return hooks.Compare(a.Site, b.Site) })
	return out, nil
}

// ownBlocks puts every direction of the first vector at the block it is numbered with.
func (s *Steering) ownBlocks(sh *hooks.Shape, places map[hooks.Site]Place) error {
	v := s.vectors[0]
	layers := v.Layers()
	if len(layers) == 0 {
		return &PlaceError{Vector: v.Name, Site: "its own block", Has: "a direction without a layer, which needs @SITES"}
	}
	if last := layers[len(layers)-1]; last >= sh.Layers {
		return &MismatchError{Vector: v.Name, Model: sh.Model, Reason: fmt.Sprintf("it has %s, the model has blocks 0 to %d", v.Tensor(last), sh.Layers-1)}
	}
	for _, layer := range layers {
		site, err := sh.Resolve(v.Site(layer))
		if err != nil {
			return fmt.Errorf("steering: vector %s: %w", v.Name, err)
		}
		p, missing := s.at(site)
		if missing != nil {
			return missing.lacks(site.String())
		}
		places[site] = p
		if v.attnIn[layer] && sh.Widths[hooks.At(hooks.AttnIn, layer)] > 0 {
			p.Site = hooks.At(hooks.AttnIn, layer)
			places[p.Site] = p
		}
	}
	return nil
}

// chosen puts directions at the sites of the spec.
func (s *Steering) chosen(sh *hooks.Shape, places map[hooks.Site]Place) error {
	for part := range strings.SplitSeq(s.spec.Sites, ",") {
		sites, err := sh.Select(part)
		if err != nil {
			return fmt.Errorf("steering: %s: %w", s.name, err)
		}
		pattern := strings.Contains(part, "*")
		for _, site := range sites {
			p, missing := s.at(site)
			if missing != nil && !pattern {
				return missing.lacks(site.String())
			}
			if missing == nil {
				places[site] = p
			}
		}
	}
	if len(places) == 0 {
		return s.vectors[0].lacks(s.spec.Sites)
	}
	return nil
}

// at returns the directions for one site, or the vector that has none there.
func (s *Steering) at(site hooks.Site) (Place, *Vector) {
	p := Place{Site: site}
	for _, v := range s.vectors {
		tensor, d := v.Family, v.Single()
		switch {
		case d == nil:
			tensor, d = v.Tensor(site.Layer), v.blocks[site.Layer]
		case v.blockless == nil:
			tensor = v.Tensor(v.Layers()[0])
		}
		if d == nil {
			return p, v
		}
		p.Tensors = append(p.Tensors, tensor)
		p.directions = append(p.directions, d)
	}
	return p, nil
}

func (v *Vector) lacks(site string) error {
	layers := v.Layers()
	has := fmt.Sprintf("%s of layers %s", v.Family, ranges(layers))
	return &PlaceError{Vector: v.Name, Site: site, Has: has}
}

// ranges writes rising numbers as 3, 8-22.
func ranges(n []int) string {
	var parts []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		part := fmt.Sprint(n[i])
		if j > i {
			part = fmt.Sprintf("%d-%d", n[i], n[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
