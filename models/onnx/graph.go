// SPDX-License-Identifier: Apache-2.0

// Package onnx holds an ONNX graph while it is built and writes it as a ModelProto.
//
// A [Graph] is nodes in order, typed inputs and outputs, small constants kept inside the file, and the names of weights that are
// supplied from outside when a session is made. The format is that of onnx.proto3, ONNX 1.17 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
package onnx

import "fmt"

// DType is an element type, numbered as TensorProto.DataType.
type DType int32

// The element types that graphs of this project use.
const (
	Float   DType = 1
	Uint8   DType = 2
	Int8    DType = 3
	Int32   DType = 6
	Int64   DType = 7
	Bool    DType = 9
	Float16 DType = 10
	Double  DType = 11
	BFloat  DType = 16
)

// Dim is one dimension of a value: a number, or a name for one that differs from run to run.
type Dim struct {
	Name string
	Size int
}

// N is a dimension of known size.
func N(n int) Dim { return Dim{Size: n} }

// Sym is a dimension known by name only.
func Sym(name string) Dim { return Dim{Name: name} }

// Dims is a shape of dimensions known by name only.
func Dims(names ...string) []Dim {
	out := make([]Dim, len(names))
	for i, n := range names {
		out[i] = Sym(n)
	}
	return out
}

// Open is the shape of a value of which nothing is known.
func Open() []Dim { return []Dim{{Name: "..."}} }

func isOpen(shape []Dim) bool { return len(shape) == 1 && shape[0].Name == "..." }

// Info is the type and shape of a named value.
type Info struct {
	Name  string
	Type  DType
	Shape []Dim
}

// Attr is one attribute of a node; Value is an int, a float32, a string or a []int.
type Attr struct {
	Name  string
	Value any
}

// Node is one operator with the names of the values it reads and writes; an empty input name is an omitted optional one.
type Node struct {
	Op      string
	Domain  string // "" is the standard set
	Name    string // "" is one made from Op
	Inputs  []string
	Outputs []string
	Attrs   []Attr
	Stored  []byte // attributes of a node that was read, as fields of a NodeProto
}

// Constant is a small tensor kept inside the file; Data is little-endian.
type Constant struct {
	Info Info
	Data []byte
}

// Location is a place in a file, which is named relative to the folder that the session's options give.
type Location struct {
	File           string
	Offset, Length int64
}

// Graph is a graph under construction; the zero value is empty and ready.
type Graph struct {
	Nodes     []Node
	Inputs    []Info
	Outputs   []Info
	Infos     []Info              // shapes of inner values, where they are worth knowing
	Constants []Constant          // inside the file
	External  []Info              // supplied when a session is made
	Lies      map[string]Location // where the data of supplied weights lie too, for a runtime's optimiser to read; nil: nowhere
	Prefix    string              // of the names that Add and AddN make, where others stand in the graph already
	From      *Model              // whose versions and functions the graph takes over; nil is none
	Stored    [][]byte            // TensorProtos as they were read
	values    int
	constants map[string]bool
}

// Add appends a node with one output and returns the output's name.
func (g *Graph) Add(op, domain string, inputs []string, attrs ...Attr) string {
	return g.AddN(op, domain, 1, inputs, attrs...)[0]
}

// AddN appends a node with n outputs and returns their names.
func (g *Graph) AddN(op, domain string, n int, inputs []string, attrs ...Attr) []string {
	outputs := make([]string, n)
	for i := range outputs {
		g.values++
		outputs[i] = fmt.Sprintf("%s%s_%d", g.Prefix, op, g.values)
	}
	g.Nodes = append(g.Nodes, Node{Op: op, Domain: domain, Inputs: inputs, Outputs: outputs, Attrs: attrs})
	return outputs
}

// Input declares an input of the graph and returns its name.
func (g *Graph) Input(name string, t DType, shape ...Dim) string {
	g.Inputs = append(g.Inputs, Info{Name: name, Type: t, Shape: shape})
	return name
}

// Output declares that a value is an output under the given name.
func (g *Graph) Output(value, name string, t DType, shape ...Dim) {
	g.Nodes = append(g.Nodes, Node{Op: "Identity", Inputs: []string{value}, Outputs: []string{name}})
	g.Outputs = append(g.Outputs, Info{Name: name, Type: t, Shape: shape})
}

// Constant stores a small tensor in the file, once a name, and returns the name.
func (g *Graph) Constant(name string, t DType, data []byte, shape ...Dim) string {
	if g.constants == nil {
		g.constants = map[string]bool{}
	}
	if !g.constants[name] {
		g.constants[name] = true
		g.Constants = append(g.Constants, Constant{Info{Name: name, Type: t, Shape: shape}, data})
	}
	return name
}

// Supply declares a weight that is supplied when a session is made, and returns its name.
func (g *Graph) Supply(name string, t DType, shape ...Dim) string {
	g.External = append(g.External, Info{Name: name, Type: t, Shape: shape})
	return name
}

// Note records the type and shape of an inner value.
func (g *Graph) Note(value string, t DType, shape ...Dim) {
	g.Infos = append(g.Infos, Info{Name: value, Type: t, Shape: shape})
}
