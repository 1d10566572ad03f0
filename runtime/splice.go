// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/onnx"
)

// runInput is the graph input of the taps: the run's identity, then a gate for each tap.
const runInput = "run"

// editInput names a graph input of edit i: "c" its strength by row, "v0" and "v1" its directions as rows, "u0" and "u1" the same memory as columns,
// "x0" and "x1" two numbers (the bounds of a clamp, cosine and sine of a rotation). A Raise and a Route have no columns.
func editInput(i int, part string) string { return fmt.Sprintf("edit.%d.%s", i, part) }

// splicer puts the steps of a program into a graph while it is built.
type splicer struct {
	program *program
	edits   int
	taps    int
	aside   bool                   // taps that only read stand beside the values' way rather than in it
	run     string                 // the run as the next tap takes it
	masks   map[int][]decoder.Mask // by block, of Route edits; nil where the graph is an export, whose routers take no masks
	nodes   bool                   // edits are one node of the project's own each, rather than standard ones
}

// at is decoder.Options.At: every step takes the value that the one before it left.
func (s *splicer) at(g *onnx.Graph, point string, layer int, value string, width int, rows decoder.Rows) string {
	for _, st := range s.program.at(site(point, layer)) {
		switch {
		case st.edit == nil:
			value = s.tap(g, &st, value)
		case st.edit.Op == hooks.Route && s.masks != nil:
			s.masks[layer] = append(s.masks[layer], s.mask(g, width))
			continue
		default:
			value = s.edit(g, st.edit.Op, value, width)
		}
		g.Note(value, onnx.Float, onnx.N(1), onnx.Sym(string(rows)), onnx.N(width))
	}
	return value
}

func site(point string, layer int) hooks.Site {
	if layer == decoder.Once {
		return hooks.Once(hooks.Point(point))
	}
	return hooks.At(hooks.Point(point), layer)
}

func (s *splicer) tap(g *onnx.Graph, st *step, value string) string {
	if s.taps == 0 {
		s.run = g.Input(runInput, onnx.Int64, onnx.Sym("taps"))
	}
	i := s.taps
	s.taps++
	encoder, attrs := st.encoder.declare(g, encoderInput(i), value)
	inputs := append([]string{value, s.run}, encoder...)
	attrs = append(attrs, onnx.Attr{Name: "tap", Value: i})
	if s.aside && st.tap.ReadOnly {
		s.run = g.Add("Watch", "trimtab", inputs, attrs...)
		return value
	}
	return g.Add("Tap", "trimtab", inputs, attrs...)
}

// mask declares the inputs of a Route; the builder hands them to the router.
func (s *splicer) mask(g *onnx.Graph, width int) decoder.Mask {
	e := s.begin(g, "", width)
	return decoder.Mask{Strength: e.c, Low: e.direction(0), Lift: e.direction(1), Before: e.direction(2), After: e.direction(3)}
}

// begin declares the strength of the next edit.
func (s *splicer) begin(g *onnx.Graph, h string, width int) *editNodes {
	e := &editNodes{Graph: g, i: s.edits, width: width, h: h}
	s.edits++
	e.c = g.Input(editInput(e.i, "c"), onnx.Float, onnx.N(1), onnx.Sym(fmt.Sprintf("strengths.%d", e.i)), onnx.N(1))
	return e
}

// edit writes the arithmetic of hooks.Op, as one node or in standard operators. The strength is 0 in rows that the edit
// leaves alone, which keeps their bits; there is one for each row, or one for all.
func (s *splicer) edit(g *onnx.Graph, op hooks.Op, h string, width int) string {
	e := s.begin(g, h, width)
	if s.nodes {
		return e.node(op)
	}
	switch op {
	case hooks.AddKeepNorm:
		return e.keepNorm()
	case hooks.Project:
		return e.remove(e.component(0))
	case hooks.ProjectPositive:
		return e.remove(e.op("Relu", e.component(0)))
	case hooks.Clamp:
		p := e.component(0)
		clipped := e.op("Clip", p, e.number("x0"), e.number("x1"))
		return e.along(h, e.op("Sub", clipped, p), 0)
	case hooks.Rotate:
		return e.rotate()
	case hooks.Raise:
		return e.raise()
	}
	return e.along(h, "", 0) // a Route in front of an export's router lowers logits
}

// editNodes builds the nodes of one edit of the value h.
type editNodes struct {
	*onnx.Graph
	i     int
	width int
	h     string
	c     string
}

func (e *editNodes) op(name string, inputs ...string) string { return e.Add(name, "", inputs) }

// node is the operator Edit of cgo/ort, whose bits do not depend on how many rows a pass has.
func (e *editNodes) node(op hooks.Op) string {
	inputs := []string{e.h, e.c, e.direction(0)}
	if op == hooks.Rotate || op == hooks.Raise {
		inputs = append(inputs, e.direction(1))
	}
	if bounded(op) {
		inputs = append(inputs, e.number("x0"), e.number("x1"))
	}
	return e.Add("Edit", "trimtab", inputs, onnx.Attr{Name: "op", Value: int(op)})
}

// bounded tells whether an operation reads two numbers beside its strength.
func bounded(op hooks.Op) bool { return op == hooks.Clamp || op == hooks.Rotate }

func (e *editNodes) number(part string) string {
	return e.Input(editInput(e.i, part), onnx.Float)
}

// component is h·u by row, [1, rows, 1].
func (e *editNodes) component(direction int) string {
	u := e.Input(editInput(e.i, fmt.Sprintf("u%d", direction)), onnx.Float, onnx.N(e.width), onnx.N(1))
	return e.op("MatMul", e.h, u)
}

func (e *editNodes) direction(j int) string {
	return e.Input(editInput(e.i, fmt.Sprintf("v%d", j)), onnx.Float, onnx.N(e.width))
}

// along is h + c · factor · v; an empty factor is 1.
func (e *editNodes) along(h, factor string, direction int) string {
	return e.op("Add", h, e.step(factor, direction))
}

// remove is h - c · p · u.
func (e *editNodes) remove(p string) string { return e.op("Sub", e.h, e.step(p, 0)) }

// step is c · factor · v.
func (e *editNodes) step(factor string, direction int) string {
	v := e.direction(direction)
	c := e.c
	if factor != "" {
		c = e.op("Mul", c, factor)
	}
	return e.op("Mul", c, v)
}

// keepNorm is (h + c v) · |h| / |h + c v|; the floor keeps a zero row zero.
func (e *editNodes) keepNorm() string {
	axes := e.Constant("last_axis", onnx.Int64, []byte{255, 255, 255, 255, 255, 255, 255, 255}, onnx.N(1))
	floor := e.Constant("norm_floor", onnx.Float, []byte{0, 0, 0x80, 0x0d}, onnx.N(1)) // 2^-100
	moved := e.along(e.h, "", 0)
	before := e.op("ReduceL2", e.h, axes)
	after := e.op("Max", e.op("ReduceL2", moved, axes), floor)
	return e.op("Mul", moved, e.op("Div", before, after))
}

// rotate is h + c (r cos - p) b1 + c (r sin - q) b2 with p, q the components of h in the plane and r their length; c is 1 or 0.
func (e *editNodes) rotate() string {
	p, q := e.component(0), e.component(1)
	r := e.op("Sqrt", e.op("Add", e.op("Mul", p, p), e.op("Mul", q, q)))
	turned := e.along(e.h, e.op("Sub", e.op("Mul", r, e.number("x0")), p), 0)
	return e.along(turned, e.op("Sub", e.op("Mul", r, e.number("x1")), q), 1)
}

// raise is h + c v (max h + margin - h) for the raised ones, and the same with min h - margin for the lowered ones.
func (e *editNodes) raise() string {
	axes := e.Constant("last_axis", onnx.Int64, []byte{255, 255, 255, 255, 255, 255, 255, 255}, onnx.N(1))
	margin := e.Constant("raise_margin", onnx.Float, []byte{0x0a, 0xd7, 0x23, 0x3c}, onnx.N(1)) // 0.01
	up := e.op("Sub", e.op("Add", e.op("ReduceMax", e.h, axes), margin), e.h)
	down := e.op("Sub", e.op("Sub", e.op("ReduceMin", e.h, axes), margin), e.h)
	return e.op("Add", e.along(e.h, up, 0), e.step(down, 1))
}
