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
	ReLU
)

// Description is everything about a model that its graph depends on, apart from the weights. Families differ in nothing else.
// What a file shows by having a tensor is not repeated here: biases, norms of q and k, norms behind attention and feed-forward layer, learned positions,
// attention sinks, which blocks have experts.
type Description struct {
	Family   string // architecture, as the file names it
	Name     string // the model's own name
	Layers   int
	Width    int // of the residual stream
	Vocab    int
	Context  int // tokens the model was made for
	Heads    int
	KVHeads  int
	HeadDim  int // of queries and keys
	MLPWidth int // of dense feed-forward layers

	Norm       NormKind
	NormEps    float32
	NoPreNorm  bool // attention and feed-forward layers read the residual itself: their norms stand behind them
	Parallel   bool // attention and feed-forward layer both read the block's input, through a norm each or through one
	Activation Activation
	Gated      bool // act(gate(x)) · up(x) rather than act(up(x))

	EmbedScale    float32 // multiplies embeddings; 0 is 1
	ResidualScale float32 // multiplies what attention and feed-forward layer add to the residual; 0 is 1
	LogitScale    float32 // multiplies logits; 0 is 1
	LogitCap      float32 // logits become cap · tanh(logits/cap); 0 leaves them

	AttnScale  float32 // multiplies q·k; 0 is 1/sqrt(HeadDim)
	AttnCap    float32 // as LogitCap, for scaled q·k
	ClipQKV    float32 // q, k and v are cut to ±this; 0 leaves them
	Rope       Rope
	Windows    []int // by block: the latest tokens that a query sees, itself among them; 0 is all of them. nil: all in every block
	WindowRope *Rope // of blocks with a window; nil is Rope

	Latent  Latent
	Experts Experts
}

// Latent describes attention whose keys and values come from one compressed vector (DeepSeek-V2, arXiv 2405.04434). The zero value is ordinary attention.
type Latent struct {
	Rank     int // of the compressed vector; 0 is none
	QRank    int // of the compressed query; 0 is an ordinary query projection
	ValueDim int // of one head's values; the last Rope.Dims dimensions of queries and keys turn, and all heads share those of the key
	NormEps  float32
}

// Experts describes the feed-forward layers of blocks with a router. The zero value has none.
type Experts struct {
	Count       int
	Used        int // by one token
	Width       int // of one expert
	SharedWidth int // of the expert that every token uses; 0 is none

	Score      Score
	Normalise  bool    // the chosen weights are divided by their sum
	Scale      float32 // then multiplies them; 0 is 1
	Groups     int     // experts compete within the best GroupsUsed of so many groups; 0 or 1 is one group
	GroupsUsed int
	GroupTop   int // a group is as good as the sum of its so many best experts

	// The activation is gate · sigmoid(Alpha · gate) · (up + Offset) with gate at most Limit and up within ±Limit.
	Alpha  float32 // 0 is 1, which is SiLU
	Offset float32
	Limit  float32 // 0 is none
}

// Score is how router logits become weights.
type Score uint8

// The scores in use.
const (
	Softmax Score = iota // over all experts
	Sigmoid
)

// Window returns how many tokens a query of a block sees, or 0 for all.
func (d *Description) Window(layer int) int {
	if d.Windows == nil {
		return 0
	}
	return d.Windows[layer]
}

// RopeOf returns the rotary embedding of a block.
func (d *Description) RopeOf(layer int) *Rope {
	if d.WindowRope != nil && d.Window(layer) > 0 {
		return d.WindowRope
	}
	return &d.Rope
}

// CacheDim is the width of one head in the cache: that of queries and keys, or of values where it is larger, in steps that the attention kernel takes.
func (d *Description) CacheDim() int {
	const step = 8
	return (max(d.HeadDim, d.Latent.ValueDim) + step - 1) / step * step
}

// ValueDim is the width of one head's values, and of its output.
func (d *Description) ValueDim() int {
	if d.Latent.Rank > 0 {
		return d.Latent.ValueDim
	}
	return d.HeadDim
}

// RangeError says that a description holds a number that no graph can be built from.
type RangeError struct {
	Field       string
	Least, Most int
	Found       int
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("decoder: %s: want between %d and %d, found %d", e.Field, e.Least, e.Most, e.Found)
}

// Check returns an error that names the first field that no graph can be built from.
func (d *Description) Check() error {
	for _, f := range []RangeError{
		{"layers", 1, 1 << 12, d.Layers},
		{"width", 1, 1 << 20, d.Width},
		{"vocabulary", 1, 1 << 24, d.Vocab},
		{"context", 1, 1 << 28, d.Context},
		{"heads", 1, 1 << 12, d.Heads},
		{"kv heads", 1, 1 << 12, d.KVHeads},
		{"head dimension", 1, 1 << 14, d.HeadDim},
		{"feed-forward width", 1, 1 << 22, d.MLPWidth},
	} {
		if f.Found < f.Least || f.Found > f.Most {
			return &f
		}
	}
	if d.Heads%d.KVHeads != 0 {
		return fmt.Errorf("decoder: heads: want a multiple of the %d kv heads, found %d", d.KVHeads, d.Heads)
	}
	if d.Windows != nil && len(d.Windows) != d.Layers {
		return &RangeError{"number of attention windows", d.Layers, d.Layers, len(d.Windows)}
	}
	if d.WindowRope != nil && d.WindowRope.LongFactors != nil {
		return fmt.Errorf("decoder: rotary embedding of blocks with a window: want one set of factors, found another for long sequences")
	}
	for _, r := range []*Rope{&d.Rope, d.WindowRope} {
		if err := r.check(d.HeadDim); err != nil {
			return err
		}
	}
	if err := d.Latent.check(d); err != nil {
		return err
	}
	return d.Experts.check()
}

func (l *Latent) check(d *Description) error {
	if l.Rank == 0 {
		return nil
	}
	if d.KVHeads != d.Heads {
		return fmt.Errorf("decoder: latent attention: want as many kv heads as heads, %d, found %d", d.Heads, d.KVHeads)
	}
	for _, f := range []RangeError{
		{"rank of latent attention", 1, 1 << 16, l.Rank},
		{"rank of latent queries", 0, 1 << 16, l.QRank},
		{"value dimension", 1, 1 << 14, l.ValueDim},
		{"rotary dimensions of latent attention", 2, d.HeadDim - 1, d.Rope.Dims},
	} {
		if f.Found < f.Least || f.Found > f.Most {
			return &f
		}
	}
	return nil
}

func (e *Experts) check() error {
	if e.Count == 0 {
		return nil
	}
	groups := max(e.Groups, 1)
	for _, f := range []RangeError{
		{"experts", 1, 1 << 14, e.Count},
		{"experts used", 1, e.Count, e.Used},
		{"expert width", 1, 1 << 22, e.Width},
		{"shared expert width", 0, 1 << 22, e.SharedWidth},
		{"groups of experts", 1, e.Count, groups},
	} {
		if f.Found < f.Least || f.Found > f.Most {
			return &f
		}
	}
	if groups == 1 {
		return nil
	}
	if e.Count%groups != 0 {
		return fmt.Errorf("decoder: groups of experts: want a divisor of %d, found %d", e.Count, groups)
	}
	for _, f := range []RangeError{
		{"groups used", (e.Used*groups + e.Count - 1) / e.Count, groups, e.GroupsUsed},
		{"experts that rate a group", 1, e.Count / groups, e.GroupTop},
	} {
		if f.Found < f.Least || f.Found > f.Most {
			return &f
		}
	}
	return nil
}
