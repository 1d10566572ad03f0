// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"

	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// Names of the graph's inputs and outputs. Batch is 1; "s" new tokens are run, of which "r" have logits computed.
const (
	InputIDs   = "input_ids" // int64 [1, s]
	InputRows  = "rows"      // int64 [r]: which of the s rows go through the head
	InputLast  = "seqlens_k" // int32 [1]: tokens in the cache after this pass, less 1
	InputTotal = "total"     // int32 scalar: the same tokens
	InputCos   = "rope_cos"  // float [positions, dims/2]
	InputSin   = "rope_sin"
	OutLogits  = "logits" // float [1, r, vocabulary]
)

// CacheNames returns the names of a block's cache: inputs and outputs of shape [1, kv heads, capacity, head dimension], to be bound to the same memory.
func CacheNames(layer int) (pastKey, pastValue, key, value string) {
	return fmt.Sprintf("past_key.%d", layer), fmt.Sprintf("past_value.%d", layer), fmt.Sprintf("key.%d", layer), fmt.Sprintf("value.%d", layer)
}

// CacheName is the graph input of a block's cache where the project's own attention runs: uint8, written in place.
func CacheName(layer int) string { return fmt.Sprintf("cache.%d", layer) }

// Cache says which attention a graph has, by the cache that it keeps.
type Cache uint8

// The caches that graphs are built with.
const (
	CacheORT Cache = iota // ONNX Runtime's GroupQueryAttention, float32: see CacheNames
	CacheF32              // the project's own attention, float32: see CacheName
	CacheF16              // the same, half precision
)

// Type is the number type of the cache.
func (c Cache) Type() quant.Type {
	if c == CacheF16 {
		return quant.F16
	}
	return quant.F32
}

// Rows tells which rows a site has.
type Rows string

// The two kinds of rows.
const (
	AllRows  Rows = "s" // one a token of the pass
	HeadRows Rows = "r" // one a token whose logits are computed
)

// Options says how a graph is built.
type Options struct {
	Cache Cache
	// PackedBytes returns the size of a matrix in packed form, or 0 where it is to run as float32; nil packs nothing.
	PackedBytes func(t quant.Type, rows, cols int) int
	// At is called at every site in forward order with the value there, and returns the value that takes its place; nil leaves the graph as it is.
	At func(g *onnx.Graph, point string, layer int, value string, width int, rows Rows) string
}

// Graph is a decoder ready to be marshalled, with the weights that a session must be given.
type Graph struct {
	*onnx.Graph
	Weights []Weight
}

// builder carries what Build's steps share; err is the first failure.
type builder struct {
	*onnx.Graph
	d    *Description
	src  Source
	o    Options
	out  []Weight
	have map[string]bool
	err  error
}

// Once marks points that stand once a model in calls of Options.At.
const Once = -1

// Build returns the graph of the described model over the given tensors.
func Build(d *Description, src Source, o Options) (*Graph, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	b := &builder{Graph: &onnx.Graph{}, d: d, src: src, o: o, have: map[string]bool{}}
	b.inputs()
	x := b.site("embeddings", Once, b.embed(), d.Width, AllRows)
	for i := range d.Layers {
		x = b.block(i, x)
	}
	b.head(x)
	return &Graph{b.Graph, b.out}, b.err
}

func (b *builder) inputs() {
	b.Input(InputIDs, onnx.Int64, onnx.N(1), onnx.Sym("s"))
	b.Input(InputRows, onnx.Int64, onnx.Sym("r"))
	b.Input(InputLast, onnx.Int32, onnx.N(1))
	b.Input(InputTotal, onnx.Int32)
	if b.d.Rope.Dims > 0 {
		b.Input(InputCos, onnx.Float, onnx.Sym("positions"), onnx.N(b.d.Rope.Dims/2))
		b.Input(InputSin, onnx.Float, onnx.Sym("positions"), onnx.N(b.d.Rope.Dims/2))
	}
}

// block is one decoder block: attention and feed-forward layer, each behind a norm and added to the residual.
func (b *builder) block(i int, x string) string {
	d := b.d
	x = b.site("resid_pre", i, x, d.Width, AllRows)
	a := b.attention(i, b.norm(b.name(i, "attn_norm"), x))
	a = b.site("attn_post", i, a, d.Width, AllRows)
	x = b.site("resid_mid", i, b.Add("Add", "", []string{x, a}), d.Width, AllRows)
	m := b.mlp(i, b.norm(b.name(i, "ffn_norm"), x))
	m = b.site("mlp_post", i, m, d.Width, AllRows)
	return b.site("resid_post", i, b.Add("Add", "", []string{x, m}), d.Width, AllRows)
}

// head takes the chosen rows through the final norm to the logits.
func (b *builder) head(x string) {
	x = b.Add("Gather", "", []string{x, InputRows}, onnx.Attr{Name: "axis", Value: 1})
	x = b.site("final_norm", Once, b.norm("output_norm", x), b.d.Width, HeadRows)
	weight := "output"
	if _, ok := b.src.Tensor("output.weight"); !ok {
		weight = "token_embd" // tied
	}
	x = b.site("logits", Once, b.linear(x, b.d.Width, weight), b.d.Vocab, HeadRows)
	b.Output(x, OutLogits, onnx.Float, onnx.N(1), onnx.Sym("r"), onnx.N(b.d.Vocab))
}

// site notes the value's shape, which lets taps work in place, and hands it to the caller.
func (b *builder) site(point string, layer int, value string, width int, rows Rows) string {
	if b.o.At == nil {
		return value
	}
	b.Note(value, onnx.Float, onnx.N(1), onnx.Sym(string(rows)), onnx.N(width))
	return b.o.At(b.Graph, point, layer, value, width, rows)
}

func (b *builder) name(layer int, part string) string { return fmt.Sprintf("blk.%d.%s", layer, part) }

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}
