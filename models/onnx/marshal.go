// SPDX-License-Identifier: Apache-2.0

package onnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Opset versions that graphs are written for: the standard set, ONNX Runtime's own, and this project's.
const (
	standardOpset = 21
	irVersion     = 10
)

// Field numbers of onnx.proto3, by message.
const (
	modelIRVersion, modelProducer, modelGraph, modelOpset = 1, 2, 7, 8
	opsetDomain, opsetVersion                             = 1, 2
	graphNode, graphName, graphInitializer                = 1, 2, 5
	graphInput, graphOutput, graphValueInfo               = 11, 12, 13
	nodeInput, nodeOutput, nodeName, nodeOp               = 1, 2, 3, 4
	nodeAttribute, nodeDomain                             = 5, 7
	attrName, attrFloat, attrInt, attrString, attrInts    = 1, 2, 3, 4, 8
	attrType                                              = 20
	tensorDims, tensorType, tensorName, tensorRaw         = 1, 2, 8, 9
	tensorExternal, tensorLocation                        = 13, 14
	entryKey, entryValue                                  = 1, 2
	infoName, infoType                                    = 1, 2
	typeTensor                                            = 1
	typeElem, typeShape                                   = 1, 2
	shapeDim                                              = 1
	dimValue, dimParam                                    = 1, 2
)

// Marshal returns the graph as a ModelProto. It panics on an attribute of an unknown Go type, which is a mistake in the builder.
func (g *Graph) Marshal() []byte {
	var b []byte
	ir, sets := irVersion, []Opset{{"", standardOpset}}
	if g.From != nil {
		ir, sets = g.From.IR, g.From.Opsets
	}
	b = varint(b, modelIRVersion, uint64(ir))
	b = text(b, modelProducer, "trimtab")
	b = message(b, modelGraph, g.body())
	for _, set := range withOurs(sets) {
		b = message(b, modelOpset, varint(text(nil, opsetDomain, set.Domain), opsetVersion, uint64(set.Version)))
	}
	if g.From != nil {
		for _, f := range g.From.Functions {
			b = message(b, modelFunctions, f)
		}
	}
	return b
}

// withOurs adds the sets that nodes of this project are of.
func withOurs(sets []Opset) []Opset {
	sets = slices.Clip(sets)
	for _, domain := range []string{"com.microsoft", "trimtab"} {
		if !slices.ContainsFunc(sets, func(o Opset) bool { return o.Domain == domain }) {
			sets = append(sets, Opset{domain, 1})
		}
	}
	return sets
}

func (g *Graph) body() []byte {
	var b []byte
	for i := range g.Nodes {
		b = message(b, graphNode, g.Nodes[i].marshal(i))
	}
	b = text(b, graphName, "decoder")
	for _, c := range g.Constants {
		b = message(b, graphInitializer, bytes(tensor(c.Info), tensorRaw, c.Data))
	}
	for _, w := range g.External {
		b = message(b, graphInitializer, placeholder(w, g.Lies[w.Name]))
	}
	for _, t := range g.Stored {
		b = message(b, graphInitializer, t)
	}
	for _, in := range g.Inputs {
		b = message(b, graphInput, in.marshal())
	}
	for _, out := range g.Outputs {
		b = message(b, graphOutput, out.marshal())
	}
	for _, v := range g.Infos {
		b = message(b, graphValueInfo, v.marshal())
	}
	return b
}

func (n *Node) marshal(i int) []byte {
	var b []byte
	for _, in := range n.Inputs {
		b = text(b, nodeInput, in)
	}
	for _, out := range n.Outputs {
		b = text(b, nodeOutput, out)
	}
	b = text(b, nodeName, cmp.Or(n.Name, fmt.Sprintf("%s:%d", n.Op, i)))
	b = text(b, nodeOp, n.Op)
	for _, a := range n.Attrs {
		b = message(b, nodeAttribute, a.marshal())
	}
	b = append(b, n.Stored...)
	if n.Domain != "" {
		b = text(b, nodeDomain, n.Domain)
	}
	return b
}

// marshal writes AttributeProto; the numbers given to attrType are AttributeProto.AttributeType.
func (a Attr) marshal() []byte {
	b := text(nil, attrName, a.Name)
	switch v := a.Value.(type) {
	case float32:
		b = protowire.AppendTag(b, attrFloat, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(v))
		return varint(b, attrType, 1)
	case int:
		return varint(varint(b, attrInt, uint64(int64(v))), attrType, 2)
	case string:
		return varint(text(b, attrString, v), attrType, 3)
	case []int:
		for _, n := range v {
			b = varint(b, attrInts, uint64(int64(n)))
		}
		return varint(b, attrType, 7)
	}
	panic(fmt.Sprintf("onnx: attribute %s has type %T", a.Name, a.Value))
}

// tensor writes a TensorProto without its data.
func tensor(i Info) []byte {
	var b []byte
	for _, d := range i.Shape {
		b = varint(b, tensorDims, uint64(d.Size))
	}
	b = varint(b, tensorType, uint64(i.Type))
	return text(b, tensorName, i.Name)
}

// SuppliedFile is the name of the file that supplied weights are said to lie in. ONNX Runtime checks that it exists but does not read it: the session's options give
// the tensors.
const SuppliedFile = "supplied"

// placeholder is an initializer whose data lies elsewhere.
func placeholder(i Info, at Location) []byte {
	b := tensor(i)
	entry := func(key, value string) {
		b = message(b, tensorExternal, text(text(nil, entryKey, key), entryValue, value))
	}
	entry("location", cmp.Or(at.File, SuppliedFile))
	if at.File != "" {
		entry("offset", fmt.Sprint(at.Offset))
		entry("length", fmt.Sprint(at.Length))
	}
	return varint(b, tensorLocation, 1)
}

func (i Info) marshal() []byte {
	var shape []byte
	for _, d := range i.Shape {
		if d.Name != "" {
			shape = message(shape, shapeDim, text(nil, dimParam, d.Name))
		} else {
			shape = message(shape, shapeDim, varint(nil, dimValue, uint64(d.Size)))
		}
	}
	t := varint(nil, typeElem, uint64(i.Type))
	if !isOpen(i.Shape) {
		t = message(t, typeShape, shape)
	}
	return message(text(nil, infoName, i.Name), infoType, message(nil, typeTensor, t))
}

func varint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func bytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func message(b []byte, field protowire.Number, v []byte) []byte { return bytes(b, field, v) }

func text(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}
