// SPDX-License-Identifier: Apache-2.0

package models

import (
	"fmt"

	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/quant"
)

// stacked takes a tensor of all experts of a block apart. Weights are [experts, out, in] with gate above up; in families that store columns they are
// [experts, in, out], and columns of gate and up take turns.
func (p *hfPlacer) stacked(place hfPlace, stored string, x decoder.Tensor) error {
	block := fmt.Sprintf("blk.%d.", place.layer)
	want := 3
	if place.kind == "bias" {
		want = 2
	}
	if len(x.Shape) != want || x.Shape[0] != p.d.Experts.Count {
		return &TensorError{stored, fmt.Sprintf("want %d dimensions, the first of them %d experts, found shape %v", want, p.d.Experts.Count, x.Shape)}
	}
	if place.kind == "bias" {
		return p.stackedBias(block, place.stack, stored, x)
	}
	size := len(x.Data) / x.Shape[0]
	for e := range x.Shape[0] {
		one := decoder.Tensor{Type: x.Type, Shape: x.Shape[1:], Data: x.Data[e*size:][:size]}
		if p.family.columns {
			one = transposed(one)
		}
		if err := p.expert(block, place.stack, stored, e, one); err != nil {
			return err
		}
	}
	return nil
}

// expert enters the layers of one expert.
func (p *hfPlacer) expert(block, stack, stored string, e int, x decoder.Tensor) error {
	if stack == "down" {
		return p.enter(fmt.Sprintf("%sffn_down.%d.weight", block, e), stored, x)
	}
	if x.Shape[0]%2 != 0 {
		return &TensorError{stored, fmt.Sprintf("want an even number of rows, gate and up, found %d", x.Shape[0])}
	}
	for i, part := range []string{"gate", "up"} {
		half := p.half(x, i)
		if err := p.enter(fmt.Sprintf("%sffn_%s.%d.weight", block, part, e), stored, half); err != nil {
			return err
		}
	}
	return nil
}

// half is gate (0) or up (1) of a matrix that holds both.
func (p *hfPlacer) half(x decoder.Tensor, i int) decoder.Tensor {
	rows, cols := x.Shape[0]/2, x.Shape[1]
	x.Shape = []int{rows, cols}
	if !p.family.columns {
		size := len(x.Data) / 2
		x.Data = x.Data[i*size:][:size]
		return x
	}
	x.Order = make([]int32, rows)
	for r := range x.Order {
		x.Order[r] = int32(2*r + i)
	}
	return x
}

func (p *hfPlacer) stackedBias(block, stack, stored string, x decoder.Tensor) error {
	if stack == "down" {
		return p.enter(block+"ffn_down_exps.bias", stored, x)
	}
	width := x.Shape[1] / 2
	x.Shape = []int{x.Shape[0], width}
	for i, part := range []string{"gate", "up"} {
		half := arranged(x, func(j int) int { return j/width*2*width + j%width*2 + i })
		if err := p.enter(block+"ffn_"+part+"_exps.bias", stored, half); err != nil {
			return err
		}
	}
	return nil
}

// headNorm gathers the norms of single heads into one matrix, [heads, dim].
func (p *hfPlacer) headNorm(place hfPlace, stored string, x decoder.Tensor) error {
	name := place.name + "." + place.kind
	if place.head >= p.d.Heads || len(x.Shape) != 1 || x.Shape[0] != p.d.HeadDim {
		return &TensorError{stored, fmt.Sprintf("want a vector of %d for one of %d heads, found shape %v", p.d.HeadDim, p.d.Heads, x.Shape)}
	}
	all, ok := p.source.tensors[name]
	if !ok {
		all = decoder.Tensor{Name: name, Type: quant.F32, Shape: []int{0, x.Shape[0]}}
	}
	parts := append(p.heads[name], headPart{place.head, x})
	if p.heads == nil {
		p.heads = map[string][]headPart{}
	}
	p.heads[name] = parts
	all.Shape = []int{len(parts), x.Shape[0]}
	all.Make = func() ([]byte, error) { return joinHeads(name, parts) }
	p.source.tensors[name] = all
	return nil
}

type headPart struct {
	head int
	x    decoder.Tensor
}

func joinHeads(name string, parts []headPart) ([]byte, error) {
	rows := make([]float32, len(parts)*parts[0].x.Cols())
	for _, p := range parts {
		n := p.x.Cols()
		if p.head >= len(parts) {
			return nil, &TensorError{name, fmt.Sprintf("want heads 0 to %d, found head %d", len(parts)-1, p.head)}
		}
		if err := quant.Dequantize(rows[p.head*n:][:n], p.x.Type, p.x.Data); err != nil {
			return nil, err
		}
	}
	return floatBytes(rows), nil
}
