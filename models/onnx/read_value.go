// SPDX-License-Identifier: Apache-2.0

package onnx

import "math"

func readInfo(dst *[]Info, b []byte) error {
	i := Info{Shape: Open()}
	err := each("ValueInfoProto", b, func(f field) error {
		switch {
		case f.is(infoName):
			i.Name = string(f.bytes)
		case f.is(infoType):
			return each("TypeProto", f.bytes, func(f field) error {
				if !f.is(typeTensor) {
					return nil // no tensor: the type stays 0
				}
				return i.readTensorType(f.bytes)
			})
		}
		return nil
	})
	*dst = append(*dst, i)
	return err
}

func (i *Info) readTensorType(b []byte) error {
	return each("TypeProto.Tensor", b, func(f field) error {
		switch {
		case f.number == typeElem:
			i.Type = DType(f.value)
		case f.is(typeShape):
			i.Shape = nil
			return each("TensorShapeProto", f.bytes, func(f field) error {
				if !f.is(shapeDim) {
					return nil
				}
				d, err := readDim(f.bytes)
				i.Shape = append(i.Shape, d)
				return err
			})
		}
		return nil
	})
}

// readDim reads a dimension; one of which nothing is said is named "?".
func readDim(b []byte) (Dim, error) {
	d := Sym("?")
	err := each("Dimension", b, func(f field) error {
		switch {
		case f.number == dimValue:
			d = N(f.count())
		case f.is(dimParam):
			d = Sym(string(f.bytes))
		}
		return nil
	})
	return d, err
}

// Stored is an attribute of a node that was read.
type Stored struct {
	Name   string
	Int    int
	Float  float32
	Text   string
	Ints   []int
	Tensor []byte   // TensorProto
	Graphs [][]byte // GraphProtos
}

// Attributes returns the attributes of a node that was read.
func (n *Node) Attributes() ([]Stored, error) {
	var out []Stored
	err := each("NodeProto", n.Stored, func(f field) error {
		if !f.is(nodeAttribute) {
			return nil
		}
		a, err := readAttribute(f.bytes)
		out = append(out, a)
		return err
	})
	return out, err
}

// Attribute returns one attribute of a node that was read; the zero value where the node lacks it.
func (n *Node) Attribute(name string) (Stored, bool) {
	list, _ := n.Attributes() // what a damaged node has before the damage is enough to tell that it is not what was looked for
	for _, a := range list {
		if a.Name == name {
			return a, true
		}
	}
	return Stored{}, false
}

func readAttribute(b []byte) (a Stored, err error) {
	err = each("AttributeProto", b, func(f field) error {
		switch f.number {
		case attrName:
			a.Name = string(f.bytes)
		case attrFloat:
			a.Float = math.Float32frombits(uint32(f.value))
		case attrInt:
			a.Int = f.count()
		case attrString:
			a.Text = string(f.bytes)
		case attrInts:
			a.Ints = integers(a.Ints, f)
		case attrTensor:
			a.Tensor = f.bytes
		case attrGraph, attrGraphs:
			a.Graphs = append(a.Graphs, f.bytes)
		}
		return nil
	})
	return a, err
}
