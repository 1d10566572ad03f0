// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// encoderInput names the graph input that has the matrix of tap i.
func encoderInput(i int) string { return fmt.Sprintf("encoder.%d", i) }

// heldEncoder is an encoder's matrix in the form that graphs read: packed as Q8_0, Q6_0 or float32, or plain float32 [width, rows] for ONNX Runtime's MatMul. It is an input of graphs, not a part of
// them, so that all encoders of one size share a variant.
type heldEncoder struct {
	of     *hooks.Encoder
	users  int
	packed bool
	as     quant.Type // where it is packed
	width  int
	memory []byte
	value  *ort.Value
	slack  []float32
}

// encoders holds each encoder once a model, as long as a session uses it.
type encoders struct {
	sync.Mutex
	held map[*hooks.Encoder]*heldEncoder
}

// hold returns the encoder of a tap, or nil where it has none, preparing it at the first use; release gives it back.
func (m *Model) hold(t *hooks.Tap) (*heldEncoder, error) {
	if t.Encoder == nil {
		return nil, nil
	}
	m.encoders.Lock()
	defer m.encoders.Unlock()
	if h := m.encoders.held[t.Encoder]; h != nil {
		h.users++
		return h, nil
	}
	h := &heldEncoder{of: t.Encoder, users: 1, width: m.shape.Widths[t.Site]}
	h.as, h.packed = m.packs(h)
	if err := h.bring(m.device); err != nil {
		h.free()
		return nil, fmt.Errorf("runtime: prepare encoder %s: %w", t.Encoder.Name, err)
	}
	if m.encoders.held == nil {
		m.encoders.held = map[*hooks.Encoder]*heldEncoder{}
	}
	m.encoders.held[t.Encoder] = h
	return h, nil
}

func (m *Model) release(list []*heldEncoder) {
	m.encoders.Lock()
	defer m.encoders.Unlock()
	for _, h := range list {
		if h == nil {
			continue
		}
		if h.users--; h.users == 0 {
			delete(m.encoders.held, h.of)
			h.free()
		}
	}
}

// packs tells in which form an encoder runs: rounded where the model's own weights run as stored blocks too, and the width is one that kernels know;
// in float32 otherwise, through the kernels that the model's weights run through.
func (m *Model) packs(h *heldEncoder) (as quant.Type, packed bool) {
	as = quant.Q8_0
	if h.of.Bits == 6 {
		as = quant.Q6_0
	}
	if m.config.Quant == Keep && m.config.Provider == CPU && h.of.Bits != 32 && h.width%32 == 0 && packedBytes(as, h.of.Rows, h.width) > 0 {
		return as, true
	}
	return quant.F32, m.ownNodes() && packedBytes(quant.F32, h.of.Rows, h.width) > 0
}

func (h *heldEncoder) bring(on *device) error {
	switch {
	case h.packed && h.as == quant.F32:
		return h.packFloats()
	case h.packed:
		return h.pack()
	}
	memory, err := kernels.Alloc(4 * h.of.Rows * h.width)
	if err != nil {
		return err
	}
	h.memory = memory
	dst := ort.Floats(memory)
	h.slack = make([]float32, h.of.Rows)
	for r := range h.of.Rows {
		row := h.of.Weight[r*h.width:][:h.width]
		for c, v := range row {
			dst[c*h.of.Rows+r] = v
		}
		h.slack[r] = float32(dot.Length(row) * rounded(h.width))
	}
	h.value, err = on.hold(memory, ort.Float32, h.width, h.of.Rows)
	return err
}

// rounded bounds the error of a sum of n products in float32, as a share of the lengths of its factors.
func rounded(n int) float64 { return float64(n) * 0x1p-24 }

// inputs of packed products are rounded to steps of 1/(127·254) of the largest of 32: as a share of the activation's length by at most √32 half steps.
const packedInput = 5.657 / (2 * 127 * 254)

// pack quantises the rows and measures what each of them loses.
func (h *heldEncoder) pack() error {
	rowBytes, err := quant.Bytes(h.as, h.width)
	if err != nil {
		return err
	}
	blocks, back := make([]byte, h.of.Rows*rowBytes), make([]float32, h.width)
	h.slack = make([]float32, h.of.Rows)
	for r := range h.of.Rows {
		row, to := h.of.Weight[r*h.width:][:h.width], blocks[r*rowBytes:][:rowBytes]
		if err := quant.Quantise(to, h.as, row); err != nil {
			return err
		}
		if err := quant.Dequantize(back, h.as, to); err != nil {
			return err
		}
		whole := dot.Length(row)
		for i, v := range row {
			back[i] -= v
		}
		h.slack[r] = float32(dot.Length(back) + whole*(packedInput+rounded(h.width)))
		if s := h.slack[r]; s-s != 0 {
			return fmt.Errorf("row %d: want numbers that %s holds, found a row of length %g: run the model with --quant f32", r, h.as, whole)
		}
	}
	return h.tile(blocks)
}

func (h *heldEncoder) packFloats() error {
	h.slack = make([]float32, h.of.Rows)
	stored := make([]byte, 0, 4*len(h.of.Weight))
	for r := range h.of.Rows {
		row := h.of.Weight[r*h.width:][:h.width]
		h.slack[r] = float32(dot.Length(row) * rounded(h.width))
		for _, v := range row {
			stored = binary.LittleEndian.AppendUint32(stored, math.Float32bits(v))
		}
	}
	return h.tile(stored)
}

// tile lays stored rows out as the kernels read them.
func (h *heldEncoder) tile(blocks []byte) error {
	size := packedBytes(h.as, h.of.Rows, h.width)
	memory, err := kernels.Alloc(size)
	if err != nil {
		return err
	}
	h.memory = memory
	w := kernels.Weight{Type: kernels.Type(h.as), Rows: h.of.Rows, Cols: h.width, Data: memory}
	if err := kernels.Pack(w, kernels.Piece{Data: blocks, Rows: h.of.Rows}); err != nil {
		return err
	}
	h.value, err = ort.NewValue(memory, ort.Uint8, size)
	return err
}

func (h *heldEncoder) free() {
	h.value.Close()
	if h.memory != nil {
		kernels.Free(h.memory)
	}
}

// declare returns what a tap takes besides the value, and its attributes: a packed matrix, whose product it computes itself, or the product; nothing where h is nil.
func (h *heldEncoder) declare(g *onnx.Graph, input, value string) ([]string, []onnx.Attr) {
	attrs := func(encoded, rows int, as quant.Type) []onnx.Attr {
		return []onnx.Attr{{Name: "encoded", Value: encoded}, {Name: "rows", Value: rows}, {Name: "type", Value: int(as)}}
	}
	switch {
	case h == nil:
		return nil, attrs(0, 0, 0)
	case h.packed:
		return []string{"", g.Input(input, onnx.Uint8, onnx.N(len(h.memory)))}, attrs(0, h.of.Rows, h.as)
	}
	w := g.Input(input, onnx.Float, onnx.N(h.width), onnx.N(h.of.Rows))
	return []string{g.Add("MatMul", "", []string{value, w})}, attrs(1, 0, 0)
}
