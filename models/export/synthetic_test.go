// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/trimtab/trimtab/models/onnx"
)

// drawing writes small decoders in the ways that exporters and families differ; names of its values say what they are, so that a test can tell what was found.
type drawing struct {
	onnx.Graph
	width, vocab int
	random       *rand.Rand
}

func newDrawing() *drawing {
	d := &drawing{width: 8, vocab: 16, random: rand.New(rand.NewPCG(1, 2))}
	d.Input("input_ids", onnx.Int64, onnx.Dims("batch", "tokens")...)
	return d
}

// node appends a node that makes a value of the given name.
func (d *drawing) node(to, op string, inputs ...string) string {
	d.Nodes = append(d.Nodes, onnx.Node{Op: op, Inputs: inputs, Outputs: []string{to}})
	return to
}

func (d *drawing) attr(name string, value any) {
	n := &d.Nodes[len(d.Nodes)-1]
	n.Attrs = append(n.Attrs, onnx.Attr{Name: name, Value: value})
}

// weight is a matrix or vector of small random numbers.
func (d *drawing) weight(name string, shape ...int) string {
	n := 1
	dims := make([]onnx.Dim, len(shape))
	for i, s := range shape {
		n *= s
		dims[i] = onnx.N(s)
	}
	data := make([]byte, 0, 4*n)
	for range n {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(d.random.NormFloat64()/2)))
	}
	return d.Constant(name, onnx.Float, data, dims...)
}

func (d *drawing) ints(name string, values ...int) string {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(int64(v)))
	}
	return d.Constant(name, onnx.Int64, data, onnx.N(len(values)))
}

func (d *drawing) number(name string, v float32) string {
	return d.Constant(name, onnx.Float, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
}

func (d *drawing) embed() string {
	return d.node("embedded", "Gather", d.weight("table", d.vocab, d.width), "input_ids")
}

func (d *drawing) linear(to, x string, in, out int) string {
	return d.node(to, "MatMul", x, d.weight(to+".weight", in, out))
}

// norm is one of the forms of a norm: one node, or arithmetic.
func (d *drawing) norm(to, x string) string {
	mean := d.node(to+".mean", "ReduceMean", d.node(to+".square", "Mul", x, x), d.ints("last", -1))
	d.attr("keepdims", 1)
	rms := d.node(to+".rms", "Sqrt", d.node(to+".eps", "Add", mean, d.number("eps", 1e-5)))
	return d.node(to, "Mul", d.node(to+".unit", "Div", x, rms), d.weight(to+".weight", d.width))
}

// attention is written out, over x, with its output matrix.
func (d *drawing) attention(to, x string) string {
	w := d.width
	q, k, v := d.linear(to+".q", x, w, w), d.linear(to+".k", x, w, w), d.linear(to+".v", x, w, w)
	turned := d.node(to+".kt", "Transpose", k)
	d.attr("perm", []int{0, 2, 1})
	scores := d.node(to+".scaled", "Div", d.node(to+".scores", "MatMul", q, turned), d.number("root", 2.8))
	z := d.node(to+".z", "MatMul", d.node(to+".probabilities", "Softmax", scores), v)
	return d.node(to, "Add", d.linear(to+".o", z, w, w), d.weight(to+".bias", w))
}

func (d *drawing) mlp(to, x string) string {
	gate, up := d.linear(to+".gate", x, d.width, 12), d.linear(to+".up", x, d.width, 12)
	act := d.node(to+".act", "Mul", d.node(to+".silu", "Mul", gate, d.node(to+".sigmoid", "Sigmoid", gate)), up)
	return d.linear(to, act, 12, d.width)
}

// experts is a layer of two experts of which one is chosen; the other counts with weight 0.
func (d *drawing) experts(to, x string) string {
	logits := d.linear(to+".router", x, d.width, 4)
	shares := d.node(to+".shares", "Softmax", logits)
	d.Nodes = append(d.Nodes, onnx.Node{Op: "TopK", Inputs: []string{shares, d.ints("two", 2)}, Outputs: []string{to + ".best", to + ".chosen"}})
	sum := ""
	for e := range 4 {
		is := d.node(fmt.Sprintf("%s.is%d", to, e), "Equal", to+".chosen", d.ints(fmt.Sprint("expert", e), e))
		share := d.node(fmt.Sprintf("%s.share%d", to, e), "ReduceSum", d.node(fmt.Sprintf("%s.mine%d", to, e), "Mul",
			d.node(fmt.Sprintf("%s.one%d", to, e), "Cast", is), to+".best"), d.ints("last", -1))
		d.Nodes[len(d.Nodes)-3].Attrs = []onnx.Attr{{Name: "to", Value: 1}}
		y := d.node(fmt.Sprintf("%s.weighed%d", to, e), "Mul", d.mlp(fmt.Sprintf("%s.expert%d", to, e), x), share)
		if e == 0 {
			sum = y
		} else {
			sum = d.node(fmt.Sprintf("%s.sum%d", to, e), "Add", sum, y)
		}
	}
	return d.node(to, "Identity", sum)
}

func (d *drawing) head(x string) {
	d.linear("logits", d.norm("final", x), d.width, d.vocab)
	d.Outputs = append(d.Outputs, onnx.Info{Name: "logits", Type: onnx.Float, Shape: append(onnx.Dims("batch", "tokens"), onnx.N(d.vocab))})
}

// write stores the graph as a file.
func (d *drawing) write(t testing.TB) string {
	t.Helper()
	return writeModel(t, d.Marshal())
}

func writeModel(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serial is the plain block: each layer reads a norm of the stream and is added to it.
func (d *drawing) serial(blocks int) {
	x := d.embed()
	for i := range blocks {
		n := fmt.Sprint("b", i)
		x = d.node(n+".mid", "Add", x, d.attention(n+".attn", d.norm(n+".norm1", x)))
		x = d.node(n+".out", "Add", d.mlp(n+".mlp", d.norm(n+".norm2", x)), x)
	}
	d.head(x)
}
