// SPDX-License-Identifier: Apache-2.0

package models

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/safetensors"
)

// hfSource finds tensors of a Hugging Face folder by GGUF's names. What the file stores in another way is made when it is asked for.
type hfSource struct {
	file    *safetensors.File
	tensors map[string]decoder.Tensor
}

func (s *hfSource) Tensor(name string) (decoder.Tensor, bool) {
	t, ok := s.tensors[name]
	return t, ok
}

// Release implements decoder.Releaser.
func (s *hfSource) Release(data []byte) { s.file.Release(data) }

// ReleaseAll implements decoder.Releaser.
func (s *hfSource) ReleaseAll() { s.file.ReleaseAll() }

// names lists what the source has.
func (s *hfSource) names() []string {
	out := make([]string, 0, len(s.tensors))
	for n := range s.tensors {
		out = append(out, n)
	}
	return out
}

// newHFSource gives every stored tensor its place.
func newHFSource(f *safetensors.File, d *decoder.Description, family hfFamily, tied *bool) (*hfSource, error) {
	s := &hfSource{file: f, tensors: make(map[string]decoder.Tensor, len(f.Tensors))}
	names := newHFNames(family)
	p := hfPlacer{source: s, d: d, family: family}
	for _, t := range f.Tensors {
		place, ok := names.place(t.Name)
		switch {
		case !ok:
			return nil, &TensorError{t.Name, "it has no known place in the family " + d.Family}
		case place.ignore, place.layer >= d.Layers && d.Latent.Rank > 0: // DeepSeek-V3 has a block more, which predicts a second token
			continue
		}
		if err := p.put(place, t); err != nil {
			return nil, err
		}
	}
	if tied != nil && *tied {
		delete(s.tensors, "output.weight")
	}
	if _, ok := s.tensors["output.weight"]; !ok && tied != nil && !*tied {
		return nil, &TensorError{"lm_head.weight", "tie_word_embeddings is false, but the file has no head"}
	}
	return s, nil
}

// TensorError says that a file holds a tensor that the model's description has no use for, or lacks one, so that the model would not be what its file means.
type TensorError struct {
	Tensor string
	Reason string
}

func (e *TensorError) Error() string { return fmt.Sprintf("models: tensor %s: %s", e.Tensor, e.Reason) }

// hfPlacer enters tensors into a source.
type hfPlacer struct {
	source *hfSource
	d      *decoder.Description
	family hfFamily
	heads  map[string][]headPart // norms of single heads, by the name of the norm
}

func (p *hfPlacer) put(place hfPlace, t safetensors.Tensor) error {
	q, ok := map[safetensors.DType]quant.Type{safetensors.F64: quant.F64, safetensors.F32: quant.F32, safetensors.F16: quant.F16, safetensors.BF16: quant.BF16}[t.DType]
	if !ok {
		return &TensorError{t.Name, fmt.Sprintf("want numbers of type F32, F16, BF16 or F64, found %s", t.DType)}
	}
	x := decoder.Tensor{Type: q, Shape: t.Shape, Data: t.Data}
	switch {
	case place.stack != "":
		return p.stacked(place, t.Name, x)
	case place.head >= 0:
		return p.headNorm(place, t.Name, x)
	}
	name := place.name + "." + place.kind
	switch {
	case p.family.plusOne && strings.HasSuffix(place.name, "norm"):
		x = plusOne(x)
	case p.family.transposed && place.layer >= 0 && len(x.Shape) == 2:
		x = transposed(x)
	case p.family.byHead && strings.HasSuffix(place.name, "attn_qkv"):
		x = p.byKind(x)
	}
	return p.enter(name, t.Name, x)
}

func (p *hfPlacer) enter(name, stored string, x decoder.Tensor) error {
	if _, twice := p.source.tensors[name]; twice {
		return &TensorError{stored, "its place is taken by another tensor: " + name}
	}
	x.Name = name
	p.source.tensors[name] = x
	return nil
}

// byKind orders rows that stand by head, and within a head queries, keys, values, as all queries, all keys, all values.
func (p *hfPlacer) byKind(x decoder.Tensor) decoder.Tensor {
	heads, dim := p.d.Heads, p.d.HeadDim
	if len(x.Shape) < 1 || x.Shape[0] != 3*heads*dim {
		return x // whoever asks for it says what is wrong
	}
	order := make([]int32, 0, 3*heads*dim)
	for kind := range 3 {
		for h := range heads {
			for j := range dim {
				order = append(order, int32((h*3+kind)*dim+j))
			}
		}
	}
	if len(x.Shape) == 2 {
		x.Order = order
		return x
	}
	return arranged(x, func(i int) int { return int(order[i]) })
}

// arranged is a tensor whose element i is the stored element from(i).
func arranged(x decoder.Tensor, from func(i int) int) decoder.Tensor {
	_, size := x.Type.Block()
	n, stored := x.Rows()*x.Cols(), x.Data
	x.Data, x.Make = nil, func() ([]byte, error) {
		out := make([]byte, 0, n*size)
		for i := range n {
			at := from(i) * size
			out = append(out, stored[at:at+size]...)
		}
		return out, nil
	}
	return x
}

// transposed is a matrix that the file stores the other way round.
func transposed(x decoder.Tensor) decoder.Tensor {
	in, out := x.Shape[0], x.Shape[1]
	x.Shape = []int{out, in}
	return arranged(x, func(i int) int { return i%in*out + i/in })
}

// plusOne adds 1 to every element, in float32.
func plusOne(x decoder.Tensor) decoder.Tensor {
	stored, kind, n := x.Data, x.Type, x.Rows()*x.Cols()
	x.Type, x.Data = quant.F32, nil
	x.Make = func() ([]byte, error) {
		v := make([]float32, n)
		if err := quant.Dequantize(v, kind, stored); err != nil {
			return nil, err
		}
		for i := range v {
			v[i]++
		}
		return floatBytes(v), nil
	}
	return x
}

func floatBytes(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}
