// SPDX-License-Identifier: Apache-2.0

// Package steer turns a --steer spec into a hook and the words that tell the user what it will do.
package steer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// Loaded is a steering with the places where it acts on one model.
type Loaded struct {
	steering.Hook
	Places []steering.Place
}

// Load reads a spec and resolves it on a model; nothing is attached yet.
func Load(spec string, sh *hooks.Shape) (*Loaded, error) {
	s, err := steering.Load(spec)
	if err != nil {
		return nil, err
	}
	places, err := s.Sites(sh)
	if err != nil {
		return nil, err
	}
	return &Loaded{Hook: s, Places: places}, nil
}

// Check measures on the model whether the hook can do what it is for, and says what it found.
func (l *Loaded) Check(ctx context.Context, m *runtime.Model) ([]string, error) {
	f, ok := l.Hook.(*steering.Features)
	if !ok {
		return nil, nil
	}
	line, err := Fidelity(ctx, m, f)
	if err != nil {
		return nil, err
	}
	d := f.Dictionary()
	notes := []string{fmt.Sprintf("%s: %s; the files say: %s", f.Name(), d.Format, d.Address)}
	if line != "" {
		notes = append(notes, line)
	}
	return notes, nil
}

// Notes are what a user should see when the steering is attached: where each direction goes, and warnings.
func (l *Loaded) Notes() []string {
	out := []string{l.Name() + ": " + l.Where()}
	if spec := l.Spec(); len(spec.When.Terms) > 0 {
		out = append(out, l.Name()+": acts "+spec.When.String()+", which each prompt decides")
	}
	for _, w := range l.Warnings() {
		out = append(out, "warning: "+w)
	}
	return out
}

// Where prints each direction with its site; a run of neighbouring blocks is printed as its first and last.
func (l *Loaded) Where() string {
	var parts []string
	if folded := fold(l.Places); folded != "" {
		return folded
	}
	for i := 0; i < len(l.Places); {
		n := run(l.Places[i:])
		part := l.Places[i].String()
		if n > 1 {
			part = fmt.Sprintf("%s ... %s (%d blocks)", l.Places[i], l.Places[i+n-1], n)
		}
		parts = append(parts, part)
		i += n
	}
	return strings.Join(parts, ", ")
}

// fold prints one direction at sites of several points as direction.20 -> resid_pre.0-29, attn_out.0-29; "" for anything else.
func fold(places []steering.Place) string {
	var points []hooks.Point
	blocks := map[hooks.Point][]int{}
	for _, p := range places {
		if !slices.Equal(p.Tensors, places[0].Tensors) || p.Site.Layer == hooks.NoLayer {
			return ""
		}
		if blocks[p.Site.Point] == nil {
			points = append(points, p.Site.Point)
		}
		blocks[p.Site.Point] = append(blocks[p.Site.Point], p.Site.Layer)
	}
	if len(points) < 2 {
		return ""
	}
	var parts []string
	for _, point := range points {
		list := blocks[point]
		first, last := list[0], list[len(list)-1]
		switch {
		case last-first+1 != len(list):
			return ""
		case first == last:
			parts = append(parts, hooks.At(point, first).String())
		default:
			parts = append(parts, fmt.Sprintf("%s-%d", hooks.At(point, first), last))
		}
	}
	return strings.Join(places[0].Tensors, ", ") + " -> " + strings.Join(parts, ", ")
}

// run counts the places from the first on that differ from it by the number of the block alone.
func run(places []steering.Place) int {
	n := 1
	for n < len(places) && follows(places[0], places[n], n) {
		n++
	}
	return n
}

func follows(first, p steering.Place, n int) bool {
	if p.Site.Point != first.Site.Point || p.Site.Layer != first.Site.Layer+n {
		return false
	}
	from, to := fmt.Sprint(first.Site.Layer), fmt.Sprint(p.Site.Layer)
	for i, name := range first.Tensors {
		moved := name
		if stem, ok := strings.CutSuffix(name, "."+from); ok {
			moved = stem + "." + to
		}
		if p.Tensors[i] != moved {
			return false
		}
	}
	return true
}
