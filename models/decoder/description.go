// SPDX-License-Identifier: Apache-2.0

package decoder

import "fmt"

// NormKind is the arithmetic of a normalisation.
type NormKind uint8

// The normalisations in use.
const (
	RMSNorm   NormKind = iota // x / sqrt(mean(x²) + eps) · w
	LayerNorm                 // (x - mean) / sqrt(var + eps) · w + b
)

// Activation is the non-linearity of a feed-forward layer.
type Activation uint8

// The activations in use.
const (
	SiLU     Activation = iota
	GELU                // with erf
	GELUTanh            // the tanh approximation
)

// Description is everything about a model that its graph depends on, apart from the weights. Families differ in nothing else.
type Description struct {
	Family   string // architecture, as GGUF names it
	Name     string // the model's own name
	Layers   int
	Width    int // of the residual stream
	Vocab    int
	Context  int // tokens the model was made for
	Heads    int
	KVHeads  int
	HeadDim  int
	MLPWidth int

	Norm       NormKind
	NormEps    float32
	Activation Activation
	Gated      bool // act(gate(x)) · up(x) rather than act(up(x))

	AttnScale float32 // multiplies q·k; 0 is 1/sqrt(HeadDim)
	Rope      Rope
}

// Check returns an error that names the first field that no graph can be built from.
func (d *Description) Check() error {
	for _, f := range []struct {
		name string
		v    int
		most int
	}{
		{"layers", d.Layers, 1 << 12},
		{"width", d.Width, 1 << 20},
		{"vocabulary", d.Vocab, 1 << 24},
		{"context", d.Context, 1 << 28},
		{"heads", d.Heads, 1 << 12},
		{"kv heads", d.KVHeads, 1 << 12},
		{"head dimension", d.HeadDim, 1 << 14},
		{"feed-forward width", d.MLPWidth, 1 << 22},
	} {
		if f.v < 1 || f.v > f.most {
			return fmt.Errorf("decoder: %s: want between 1 and %d, found %d", f.name, f.most, f.v)
		}
	}
	if d.Heads%d.KVHeads != 0 {
		return fmt.Errorf("decoder: heads: want a multiple of the %d kv heads, found %d", d.KVHeads, d.Heads)
	}
	if d.Rope.Dims > d.HeadDim || d.Rope.Dims%2 != 0 {
		return fmt.Errorf("decoder: rotary dimensions: want an even number of at most %d, found %d", d.HeadDim, d.Rope.Dims)
	}
	return nil
}
