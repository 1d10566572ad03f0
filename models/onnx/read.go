// SPDX-License-Identifier: Apache-2.0

package onnx

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Model is a ModelProto that was read. Its byte slices are BORROWED from the bytes that Read was given.
type Model struct {
	IR        int
	Producer  string
	Opsets    []Opset
	Body      Body
	Functions [][]byte // FunctionProtos, as stored
}

// Opset is the version of one set of operators.
type Opset struct {
	Domain  string
	Version int
}

// Body is a GraphProto that was read: a whole graph, or a branch of an If.
type Body struct {
	Nodes           []Node
	Tensors         []Tensor // initializers
	Inputs, Outputs []Info
	Infos           []Info
}

// Tensor is an initializer that was read.
type Tensor struct {
	Info   Info
	Stored []byte // the TensorProto
	Data   []byte // its elements where they lie together, little-endian; nil otherwise
	File   string // of data outside the model, relative to its folder; "" otherwise
	Offset int64  // in File
	Length int64  // in File; -1 is not said
}

// FormatError says that bytes are no ONNX model, or a damaged one.
type FormatError struct {
	Where string // the message that was read
	Found string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("onnx: %s: want a message of onnx.proto3, found %s", e.Where, e.Found)
}

// Fields of ModelProto, TensorProto and GraphProto that are only read.
const (
	modelFunctions                           = 25
	nodeOverload                             = 8
	tensorFloats, tensorInt32s, tensorInt64s = 4, 5, 7
	attrTensor, attrGraph, attrGraphs        = 5, 6, 11
)

// maxFields bounds the fields of one message, so that a small file cannot make large tables.
const maxFields = 1 << 22

// field is one field of a message: bytes, or a number.
type field struct {
	number protowire.Number
	kind   protowire.Type
	bytes  []byte
	value  uint64
}

// each calls visit for every field of a message.
func each(where string, b []byte, visit func(field) error) error {
	for n := 0; len(b) > 0; n++ {
		f := field{}
		var size int
		f.number, f.kind, size = protowire.ConsumeTag(b)
		if size < 0 || n == maxFields {
			return &FormatError{where, "a damaged field"}
		}
		b = b[size:]
		switch f.kind {
		case protowire.BytesType:
			f.bytes, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			f.value, size = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, size = protowire.ConsumeFixed32(b)
			f.value = uint64(v)
		case protowire.Fixed64Type:
			f.value, size = protowire.ConsumeFixed64(b)
		default:
			size = protowire.ConsumeFieldValue(f.number, f.kind, b)
		}
		if size < 0 {
			return &FormatError{where, fmt.Sprintf("field %d cut short", f.number)}
		}
		b = b[size:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// is tells whether a field has a number and holds bytes.
func (f field) is(number protowire.Number) bool {
	return f.number == number && f.kind == protowire.BytesType
}

// count is the field as a whole number that fits an int.
func (f field) count() int { return int(int64(f.value)) }

// Read takes a model apart. Weights stay where they are: only their places are noted.
func Read(b []byte) (*Model, error) {
	m := &Model{}
	found := false
	err := each("ModelProto", b, func(f field) (err error) {
		switch {
		case f.number == modelIRVersion:
			m.IR = f.count()
		case f.is(modelProducer):
			m.Producer = string(f.bytes)
		case f.is(modelOpset):
			o, err := readOpset(f.bytes)
			m.Opsets = append(m.Opsets, o)
			return err
		case f.is(modelFunctions):
			m.Functions = append(m.Functions, f.bytes)
		case f.is(modelGraph):
			found = true
			m.Body, err = ReadBody(f.bytes)
		}
		return err
	})
	if err == nil && !found {
		err = &FormatError{"ModelProto", "no graph"}
	}
	return m, err
}

func readOpset(b []byte) (o Opset, err error) {
	err = each("OperatorSetIdProto", b, func(f field) error {
		switch {
		case f.is(opsetDomain):
			o.Domain = string(f.bytes)
		case f.number == opsetVersion:
			o.Version = f.count()
		}
		return nil
	})
	if o.Domain == "ai.onnx" { // another spelling of the standard set
		o.Domain = ""
	}
	return o, err
}

// ReadBody takes a GraphProto apart.
func ReadBody(b []byte) (Body, error) {
	var g Body
	err := each("GraphProto", b, func(f field) error {
		if f.kind != protowire.BytesType {
			return nil
		}
		switch f.number {
		case graphNode:
			n, err := readNode(f.bytes)
			g.Nodes = append(g.Nodes, n)
			return err
		case graphInitializer:
			t, err := ReadTensor(f.bytes)
			g.Tensors = append(g.Tensors, t)
			return err
		case graphInput:
			return readInfo(&g.Inputs, f.bytes)
		case graphOutput:
			return readInfo(&g.Outputs, f.bytes)
		case graphValueInfo:
			return readInfo(&g.Infos, f.bytes)
		}
		return nil
	})
	return g, err
}

func readNode(b []byte) (n Node, err error) {
	err = each("NodeProto", b, func(f field) error {
		if f.kind != protowire.BytesType {
			return nil
		}
		switch f.number {
		case nodeInput:
			n.Inputs = append(n.Inputs, string(f.bytes))
		case nodeOutput:
			n.Outputs = append(n.Outputs, string(f.bytes))
		case nodeName:
			n.Name = string(f.bytes)
		case nodeOp:
			n.Op = string(f.bytes)
		case nodeDomain:
			n.Domain = string(f.bytes)
		case nodeOverload, nodeAttribute:
			n.Stored = bytes(n.Stored, f.number, f.bytes)
		}
		return nil
	})
	if n.Domain == "ai.onnx" {
		n.Domain = ""
	}
	return n, err
}

// ReadTensor takes a TensorProto apart.
func ReadTensor(b []byte) (Tensor, error) {
	t := Tensor{Stored: b, Length: -1}
	external, floats := false, 0
	err := each("TensorProto", b, func(f field) error {
		switch {
		case f.number == tensorDims:
			for _, v := range integers(nil, f) {
				t.Info.Shape = append(t.Info.Shape, N(v))
			}
		case f.number == tensorType:
			t.Info.Type = DType(f.value)
		case f.is(tensorName):
			t.Info.Name = string(f.bytes)
		case f.is(tensorRaw):
			t.Data = f.bytes
		case f.is(tensorFloats):
			t.Data, floats = f.bytes, floats+1
		case f.is(tensorExternal):
			return t.readEntry(f.bytes)
		case f.number == tensorLocation:
			external = f.value == 1
		}
		return nil
	})
	if err == nil && floats > 1 {
		t.Data = nil
	}
	if !external {
		t.File = ""
	} else if t.Data = nil; t.File == "" && err == nil {
		err = &FormatError{"TensorProto", fmt.Sprintf("tensor %q outside the file without its file's name", t.Info.Name)}
	}
	return t, err
}

// readEntry reads one of the texts that say where external data lie.
func (t *Tensor) readEntry(b []byte) error {
	var key, value string
	err := each("StringStringEntryProto", b, func(f field) error {
		switch {
		case f.is(entryKey):
			key = string(f.bytes)
		case f.is(entryValue):
			value = string(f.bytes)
		}
		return nil
	})
	switch key {
	case "location":
		t.File = value
	case "offset":
		t.Offset, err = number(value, err)
	case "length":
		t.Length, err = number(value, err)
	}
	return err
}

func number(text string, err error) (int64, error) {
	var v int64
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(text, "%d", &v); err != nil || v < 0 {
		return 0, &FormatError{"external data", fmt.Sprintf("%q as a number of bytes", text)}
	}
	return v, nil
}

// integers appends a field of whole numbers, packed or not.
func integers(dst []int, f field) []int {
	if f.kind != protowire.BytesType {
		return append(dst, f.count())
	}
	for b := f.bytes; len(b) > 0; {
		v, size := protowire.ConsumeVarint(b)
		if size < 0 {
			return dst
		}
		dst, b = append(dst, int(int64(v))), b[size:]
	}
	return dst
}

// Ints returns the elements of a small tensor of whole numbers; false where it is none.
func (t *Tensor) Ints() ([]int, bool) {
	var out []int
	switch {
	case t.Info.Type != Int64 && t.Info.Type != Int32:
		return nil, false
	case t.Data != nil:
		size := 4
		if t.Info.Type == Int64 {
			size = 8
		}
		for b := t.Data; len(b) >= size; b = b[size:] {
			if size == 8 {
				out = append(out, int(int64(binary.LittleEndian.Uint64(b))))
			} else {
				out = append(out, int(int32(binary.LittleEndian.Uint32(b))))
			}
		}
		return out, true
	}
	err := each("TensorProto", t.Stored, func(f field) error {
		if f.number == tensorInt32s || f.number == tensorInt64s {
			out = integers(out, f)
		}
		return nil
	})
	return out, err == nil && t.File == ""
}
