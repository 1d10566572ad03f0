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
	InputLong  = "long"      // bool scalar: the sequence is longer than Rope.Original; where the model has LongFactors
	InputCos   = "rope_cos"  // float [positions, dims/2], of Description.Rope
	InputSin   = "rope_sin"
	OutLogits  = "logits" // float [1, r, vocabulary]

	// Of a graph whose tokens belong to a sequence each, instead of InputLast, InputTotal and the caches.
	InputPositions = "positions" // int64 [s]
	InputSequences = "sequences" // int64 [s, 3]: see the operator AttentionEach
)

// CacheNames returns the names of a block's cache: inputs and outputs of shape [1, kv heads, capacity, Description.CacheDim], to be bound to the same memory.
func CacheNames(layer int) (pastKey, pastValue, key, value string) {
	return fmt.Sprintf("past_key.%d", layer), fmt.Sprintf("past_value.%d", layer), fmt.Sprintf("key.%d", layer), fmt.Sprintf("value.%d", layer)
}

// CacheName is the graph input of a block's cache where the project's own attention runs: uint8, written in place.
func CacheName(layer int) string { return fmt.Sprintf("cache.%d", layer) }

// Cache says which attention a graph has, by the cache that it keeps.
type Cache uint8

// The caches that graphs are built with.
const (
	CacheORT    Cache = iota // ONNX Runtime's GroupQueryAttention, float32: see CacheNames
	CacheF32                 // the project's own attention, float32: see CacheName
	CacheF16                 // the same, half precision
	CacheI8                  // the same, bytes with a scale for each 32 columns of a token
	CacheORTF16              // ONNX Runtime's GroupQueryAttention in half precision, which is what CUDA has of it
)

// ORT tells whether ONNX Runtime attends.
func (c Cache) ORT() bool { return c == CacheORT || c == CacheORTF16 }

// Type is the number type of the cache.
func (c Cache) Type() quant.Type {
	switch c {
	case CacheF16, CacheORTF16:
		return quant.F16
	case CacheI8:
		return quant.I8
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
	// As returns the type that a matrix of so many columns is held in; nil holds each as it is stored.
	As func(t *Tensor) quant.Type
	// PackedBytes returns the size of a matrix in packed form, or 0 where it is to run as float32; nil packs nothing.
	PackedBytes func(t quant.Type, rows, cols int) int
	// NBits runs matrices of types that ONNX Runtime's MatMulNBits can hold exactly, those with a quant.Coding, as that node.
	NBits bool
	// Each builds for passes over one token each of several sequences, whose caches are the project's own.
	Each bool
	// At is called at every site in forward order with the value there, and returns the value that takes its place; nil leaves the graph as it is.
	// What it returns for expert_ids and router_weights is not read: these can only be watched.
	At func(g *onnx.Graph, point string, layer int, value string, width int, rows Rows) string
	// Watched says whether anything stands at a value that can only be read, which costs nodes to show; nil is yes everywhere.
	Watched func(point string, layer int) bool
	// Masks returns what acts on a block's router; it is called behind the block's router_logits. nil is nothing, nowhere.
	Masks func(layer int) []Mask
	// Steps returns the graph input with the steps of all sequences, and which of its columns has the masks that act on a block's router; "" where none can.
	// It stands for Masks where Each is set.
	Steps func(layer int) (table string, site int)
}

// Mask names float values that act on a router's choice: hooks.Route has the arithmetic. All but Strength are [experts] long and as hooks.Edit.Operands returns them.
type Mask struct {
	Strength                 string // [1, rows, 1] or [1, 1, 1], at least 0
	Low, Lift, Before, After string
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
	memo map[string]string // values that are made once a graph
	err  error
}

// Once marks points that stand once a model in calls of Options.At.
const Once = -1

// Build returns the graph of the described model over the given tensors.
func Build(d *Description, src Source, o Options) (*Graph, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	if o.Each && o.Cache == CacheORT {
		return nil, fmt.Errorf("decoder: build for several sequences: want attention of the project's own, found ONNX Runtime's")
	}
	b := &builder{Graph: &onnx.Graph{}, d: d, src: src, o: o, have: map[string]bool{}, memo: map[string]string{}}
	b.inputs()
	x := b.site("embeddings", Once, b.embeddings(), d.Width, AllRows)
	for i := range d.Layers {
		x = b.block(i, x)
		if b.err != nil {
			return nil, b.err
		}
	}
	b.head(x)
	return &Graph{b.Graph, b.out}, b.err
}

func (b *builder) inputs() {
	b.Input(InputIDs, onnx.Int64, onnx.N(1), onnx.Sym("s"))
	b.Input(InputRows, onnx.Int64, onnx.Sym("r"))
	if b.o.Each {
		b.Input(InputPositions, onnx.Int64, onnx.Sym("s"))
		b.Input(InputSequences, onnx.Int64, onnx.Sym("s"), onnx.N(3))
	} else {
		b.Input(InputLast, onnx.Int32, onnx.N(1))
		b.Input(InputTotal, onnx.Int32)
		if b.d.Rope.LongFactors != nil {
			b.Input(InputLong, onnx.Bool)
		}
	}
	if b.d.Rope.Dims > 0 {
		b.Input(InputCos, onnx.Float, onnx.Sym("positions"), onnx.N(b.d.Rope.Dims/2))
		b.Input(InputSin, onnx.Float, onnx.Sym("positions"), onnx.N(b.d.Rope.Dims/2))
	}
}

// embeddings are the tokens' rows of the table, scaled, plus those of the table of positions where the model has one.
func (b *builder) embeddings() string {
	x := b.scaled(b.embed(), b.d.EmbedScale)
	p, ok := b.src.Tensor("position_embd.weight")
	if !ok {
		return x
	}
	if len(p.Shape) != 2 || p.Rows() < b.d.Context || p.Cols() != b.d.Width {
		b.fail(&MissingError{p.Name, fmt.Sprintf("%d rows of %d", b.d.Context, b.d.Width), fmt.Sprintf("shape %v", p.Shape)})
		return x
	}
	table := b.plain(p.Name, []Tensor{p}, p.Shape...)
	return b.op("Add", x, b.Add("Gather", "", []string{table, b.positions()}, onnx.Attr{Name: "axis", Value: 0}))
}

// block is one decoder block: attention and feed-forward layer, each behind a norm and added to the residual.
func (b *builder) block(i int, x string) string {
	d := b.d
	x = b.site("resid_pre", i, x, d.Width, AllRows)
	in := b.preNorm(i, "attn_norm", x)
	a := b.site("attn_post", i, b.contribution(i, "post_attention_norm", b.attention(i, in)), d.Width, AllRows)
	if d.Parallel {
		return b.parallel(i, x, in, a)
	}
	x = b.site("resid_mid", i, b.op("Add", x, a), d.Width, AllRows)
	m := b.mlp(i, b.preNorm(i, "ffn_norm", x))
	m = b.site("mlp_post", i, b.contribution(i, "post_ffw_norm", m), d.Width, AllRows)
	return b.site("resid_post", i, b.op("Add", x, m), d.Width, AllRows)
}

// parallel ends a block whose feed-forward layer reads the block's input, through a norm of its own where the model has one, else through attention's.
func (b *builder) parallel(i int, x, in, a string) string {
	if _, ok := b.src.Tensor(b.name(i, "ffn_norm.weight")); ok {
		in = b.preNorm(i, "ffn_norm", x)
	}
	m := b.site("mlp_post", i, b.contribution(i, "post_ffw_norm", b.mlp(i, in)), b.d.Width, AllRows)
	return b.site("resid_post", i, b.op("Add", b.op("Add", x, a), m), b.d.Width, AllRows)
}

func (b *builder) preNorm(i int, part, x string) string {
	if b.d.NoPreNorm {
		return x
	}
	return b.norm(b.name(i, part), x, b.d.Width)
}

// contribution is what a module's output becomes before it is added to the residual: normed where the model has the norm, and scaled.
func (b *builder) contribution(i int, norm, x string) string {
	if _, ok := b.src.Tensor(b.name(i, norm+".weight")); ok || b.d.NoPreNorm {
		x = b.norm(b.name(i, norm), x, b.d.Width)
	}
	return b.scaled(x, b.d.ResidualScale)
}

// head takes the chosen rows through the final norm to the logits.
func (b *builder) head(x string) {
	d := b.d
	x = b.Add("Gather", "", []string{x, InputRows}, onnx.Attr{Name: "axis", Value: 1})
	x = b.site("final_norm", Once, b.norm("output_norm", x, d.Width), d.Width, HeadRows)
	output := layer{"output", d.Vocab}
	if _, ok := b.src.Tensor("output.weight"); ok {
		x = b.linear(x, d.Width, output)
	} else { // tied
		x = b.bias(b.linear(x, d.Width, layer{"token_embd", d.Vocab}), []layer{output})
	}
	x = b.scaled(x, d.LogitScale)
	if d.LogitCap != 0 {
		x = b.scaled(b.op("Tanh", b.scaled(x, 1/d.LogitCap)), d.LogitCap)
	}
	x = b.site("logits", Once, x, d.Vocab, HeadRows)
	b.Output(x, OutLogits, onnx.Float, onnx.N(1), onnx.Sym("r"), onnx.N(d.Vocab))
}

// site notes the value's shape, which lets taps work in place, and hands it to the caller.
func (b *builder) site(point string, layer int, value string, width int, rows Rows) string {
	if b.o.At == nil || b.err != nil {
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
