// SPDX-License-Identifier: Apache-2.0

package onnx

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

// fields are the values of one message by field number, in order: uint64, float32 or []byte.
type fields map[protowire.Number][]any

func parse(t *testing.T, b []byte) fields {
	t.Helper()
	f := fields{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		var v any
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var u uint32
			u, n = protowire.ConsumeFixed32(b)
			v = math.Float32frombits(u)
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(b)
		default:
			t.Fatalf("field %d has wire type %d", number, kind)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		f[number], b = append(f[number], v), b[n:]
	}
	return f
}

// text is a field that must stand exactly once.
func (f fields) text(t *testing.T, n protowire.Number) string {
	t.Helper()
	if len(f[n]) != 1 {
		t.Fatalf("field %d stands %d times, want once", n, len(f[n]))
	}
	return string(f[n][0].([]byte))
}

func (f fields) texts(n protowire.Number) (out []string) {
	for _, v := range f[n] {
		out = append(out, string(v.([]byte)))
	}
	return out
}

func (f fields) messages(t *testing.T, n protowire.Number) (out []fields) {
	t.Helper()
	for _, v := range f[n] {
		out = append(out, parse(t, v.([]byte)))
	}
	return out
}

func (f fields) message(t *testing.T, n protowire.Number) fields {
	t.Helper()
	return parse(t, []byte(f.text(t, n)))
}

func (f fields) ints(n protowire.Number) (out []int64) {
	for _, v := range f[n] {
		out = append(out, int64(v.(uint64)))
	}
	return out
}

// equal compares what was parsed with numbers of onnx.proto3, written out here once more so that a slip in marshal.go shows.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func example() *Graph {
	g := &Graph{}
	x := g.Input("x", Float, N(1), Sym("s"), N(4))
	n := g.Input("n", Int32)
	g.Constant("axes", Int64, []byte{255, 255, 255, 255, 255, 255, 255, 255}, N(1))
	g.Constant("axes", Int64, []byte{1}, N(1)) // a second time: nothing
	g.Supply("w", Float, N(4), N(8))
	y := g.Add("MatMul", "", []string{x, "w"})
	g.Note(y, Float, N(1), Sym("s"), N(8))
	z := g.AddN("Odd", "trimtab", 2, []string{y, "", n},
		Attr{"int", -3}, Attr{"float", float32(0.1)}, Attr{"text", "both"}, Attr{"ints", []int{1, -2, 0}})
	g.Output(z[1], "z", Float16, N(1), Sym("s"))
	return g
}

func TestModel(t *testing.T) {
	m := parse(t, example().Marshal())
	equal(t, "IR version", m.ints(1), []int64{10})
	equal(t, "producer", m.text(t, 2), "trimtab")
	sets := map[string]int64{}
	for _, s := range m.messages(t, 8) {
		sets[s.text(t, 1)] = s.ints(2)[0]
	}
	equal(t, "operator sets", sets, map[string]int64{"": 21, "com.microsoft": 1, "trimtab": 1})
	if len(m) != 4 {
		t.Errorf("the model has fields %v", m)
	}
}

func TestNodes(t *testing.T) {
	nodes := parse(t, example().Marshal()).message(t, 7).messages(t, 1)
	type node struct {
		Op, Domain      string
		Inputs, Outputs []string
	}
	var got []node
	names := map[string]bool{}
	for _, n := range nodes {
		domain := ""
		if len(n[7]) > 0 {
			domain = n.text(t, 7)
		}
		got = append(got, node{n.text(t, 4), domain, n.texts(1), n.texts(2)})
		names[n.text(t, 3)] = true
	}
	equal(t, "nodes", got, []node{
		{"MatMul", "", []string{"x", "w"}, []string{"MatMul_1"}},
		{"Odd", "trimtab", []string{"MatMul_1", "", "n"}, []string{"Odd_2", "Odd_3"}},
		{"Identity", "", []string{"Odd_3"}, []string{"z"}},
	})
	if len(names) != len(nodes) {
		t.Errorf("%d names for %d nodes", len(names), len(nodes))
	}
	attrs := nodes[1].messages(t, 5)
	if len(attrs) != 4 {
		t.Fatalf("%d attributes, want 4", len(attrs))
	}
	for i, want := range []struct {
		name  string
		kind  int64 // AttributeProto.AttributeType
		field protowire.Number
		value []any
	}{
		{"int", 2, 3, []any{uint64(math.MaxUint64 - 2)}}, // -3
		{"float", 1, 2, []any{float32(0.1)}},
		{"text", 3, 4, []any{[]byte("both")}},
		{"ints", 7, 8, []any{uint64(1), uint64(math.MaxUint64 - 1), uint64(0)}},
	} {
		equal(t, want.name, attrs[i], fields{1: {[]byte(want.name)}, 20: {uint64(want.kind)}, want.field: want.value})
	}
}

func TestTensors(t *testing.T) {
	list := parse(t, example().Marshal()).message(t, 7).messages(t, 5)
	if len(list) != 2 {
		t.Fatalf("%d initializers, want 2: a constant once and a supplied weight", len(list))
	}
	equal(t, "constant", list[0], fields{1: {uint64(1)}, 2: {uint64(7)}, 8: {[]byte("axes")}, 9: {[]byte{255, 255, 255, 255, 255, 255, 255, 255}}})
	w := list[1]
	equal(t, "place of a supplied weight", w.message(t, 13), fields{1: {[]byte("location")}, 2: {[]byte(SuppliedFile)}})
	delete(w, 13)
	equal(t, "supplied weight", w, fields{1: {uint64(4), uint64(8)}, 2: {uint64(1)}, 8: {[]byte("w")}, 14: {uint64(1)}})
}

func TestValues(t *testing.T) {
	g := parse(t, example().Marshal()).message(t, 7)
	for _, c := range []struct {
		what  string
		field protowire.Number
		want  []Info
	}{
		{"inputs", 11, []Info{{"x", Float, []Dim{N(1), Sym("s"), N(4)}}, {"n", Int32, nil}}},
		{"outputs", 12, []Info{{"z", Float16, []Dim{N(1), Sym("s")}}}},
		{"inner values", 13, []Info{{"MatMul_1", Float, []Dim{N(1), Sym("s"), N(8)}}}},
	} {
		var got []Info
		for _, v := range g.messages(t, c.field) {
			tensor := v.message(t, 2).message(t, 1)
			i := Info{Name: v.text(t, 1), Type: DType(tensor.ints(1)[0])}
			for _, d := range tensor.message(t, 2).messages(t, 1) { // a scalar has an empty shape, not none
				switch {
				case len(d[2]) == 1 && len(d[1]) == 0:
					i.Shape = append(i.Shape, Sym(d.text(t, 2)))
				case len(d[1]) == 1 && len(d[2]) == 0:
					i.Shape = append(i.Shape, N(int(d.ints(1)[0])))
				default:
					t.Errorf("%s: dimension %v", c.what, d)
				}
			}
			got = append(got, i)
		}
		equal(t, c.what, got, c.want)
	}
}

// TestZeroSize: a dimension of 0 is written; left out it would mean one that is not known.
func TestZeroSize(t *testing.T) {
	g := &Graph{}
	g.Input("x", Float, N(0))
	shape := parse(t, g.Marshal()).message(t, 7).message(t, 11).message(t, 2).message(t, 1).message(t, 2)
	equal(t, "shape", shape.message(t, 1), fields{1: {uint64(0)}})
}

func TestNamesAreUnique(t *testing.T) {
	g := &Graph{}
	seen := map[string]bool{}
	for range 5 {
		for _, name := range append(g.AddN("Split", "", 3, []string{"x"}), g.Add("Add", "", nil)) {
			if seen[name] {
				t.Errorf("%s stands for two values", name)
			}
			seen[name] = true
		}
	}
}

func TestUnknownAttributeIsTheBuildersMistake(t *testing.T) {
	defer func() {
		if r, ok := recover().(string); !ok || !strings.Contains(r, "bad") || !strings.Contains(r, "float64") {
			t.Errorf("panicked with %v, want the attribute's name and type", r)
		}
	}()
	g := &Graph{}
	g.Add("Add", "", nil, Attr{"bad", 1.5})
	g.Marshal()
}
