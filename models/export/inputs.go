// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/models/onnx"
)

// Role says what a pass writes into an input.
type Role uint8

// The inputs that exports have. "total" is the number of tokens behind the pass, "past" before it.
const (
	TokenIDs   Role = iota // [1, s]: the tokens
	Positions              // [.., s]: past..total-1 in each row
	Mask                   // [1, total]: ones
	CacheFlag              // bool: whether the cache holds tokens
	RowsKept               // number: how many of the last rows have logits
	LastToken              // [1] or [1, 1]: total-1
	Total                  // number: total
	Past                   // number: past
	TokenKinds             // [1, s]: zeros
)

// Input is what a pass must fill, apart from the cache.
type Input struct {
	Name  string
	Role  Role
	Type  onnx.DType
	Shape []onnx.Dim
}

// State is a cache input and the output that takes its place in the next pass.
type State struct {
	In, Out string
	Type    onnx.DType
	Shape   []int // for one sequence; 0 where the number of past tokens stands
	Past    int   // which dimension that is; -1 is a state of fixed size, which starts as zeros and cannot be shortened
	Shared  bool  // attention writes new tokens into the input's memory: input and output are one buffer, with room for more tokens than there are
}

// Graph is one graph of an export, with its sites.
type Graph struct {
	Inputs []Input
	States []State
	Rows   Rows
	Single bool // runs one token at a time

	*flow
	model   *Model
	logits  onnx.Info
	tail    string // the last residual: rows are chosen behind it
	sites   []site
	missing map[Place]string
	routers map[int]Router
	width   int
	layers  int
	types   map[string]onnx.DType
}

// Rows says which rows have logits.
type Rows uint8

// The ways of heads.
const (
	Chosen Rows = iota // those that the input RowsInput lists
	All                // every row of the pass
	Last               // the last row of the pass
)

// RowsInput is the graph input, int64 [r], with the rows that go through the head where Graph.Rows is Chosen.
const RowsInput = "trimtab.rows"

// roles are the names of inputs, after those of Hugging Face and onnxruntime-genai.
func roles() map[string]Role {
	return map[string]Role{
		"input_ids": TokenIDs, "position_ids": Positions, "cache_position": Positions, "attention_mask": Mask, "use_cache_branch": CacheFlag,
		"num_logits_to_keep": RowsKept, "logits_to_keep": RowsKept, "seqlens_k": LastToken, "past_seq_len": LastToken, "total_sequence_length": Total, "total_seq_len": Total,
		"past_sequence_length": Past, "current_sequence_length": Total, "token_type_ids": TokenKinds,
	}
}

// connect gives every input of the graph its role, pairs cache inputs with outputs and finds the logits.
func (g *Graph) connect() error {
	known := roles()
	for usual, name := range g.model.inputs {
		if r, ok := known[usual]; ok {
			known[name] = r
		}
	}
	outputs := map[string]onnx.Info{}
	for _, o := range g.outputs {
		outputs[o.Name] = o
	}
	if err := g.findLogits(outputs); err != nil {
		return err
	}
	var fed []onnx.Info
	for _, in := range g.inputs {
		if g.tensors[in.Name] != nil {
			continue // an initializer that may be fed
		}
		if _, ok := known[in.Name]; ok {
			fed = append(fed, in)
		} else if err := g.addState(in); err != nil {
			return err
		}
	}
	for _, in := range fed {
		if role := known[in.Name]; g.Feeds(in.Name) || role == TokenIDs {
			if err := g.addInput(in, role); err != nil {
				return err
			}
		}
	}
	if g.input(TokenIDs) == nil {
		return &Error{g.model.Path, "inputs", "token ids named input_ids", names(g.inputs)}
	}
	return nil
}

// addInput holds the type and the shape of an input against what its role can fill.
func (g *Graph) addInput(in onnx.Info, role Role) error {
	rank := len(in.Shape)
	if slices.Equal(in.Shape, onnx.Open()) {
		in.Shape, rank = onnx.Dims("batch", "s"), 2
	}
	switch {
	case in.Type != onnx.Int64 && in.Type != onnx.Int32 && in.Type != onnx.Bool && in.Type != onnx.Float:
		return &Error{g.model.Path, "input " + in.Name, "whole numbers, bool or float", fmt.Sprintf("type %d", in.Type)}
	case role == Mask && rank != 2:
		return &Error{g.model.Path, "input " + in.Name, "shape [batch, tokens]", fmt.Sprintf("%d dimensions", rank)}
	case role == TokenIDs && rank != 2:
		return &Error{g.model.Path, "input " + in.Name, "shape [batch, tokens]", fmt.Sprintf("%d dimensions", rank)}
	case rank > 3:
		return &Error{g.model.Path, "input " + in.Name, "at most 3 dimensions", fmt.Sprint(rank)}
	}
	for _, d := range in.Shape {
		if d.Size < 0 || d.Size > 8 && d.Name == "" {
			return &Error{g.model.Path, "input " + in.Name, "dimensions that are left open", fmt.Sprintf("one of %d", d.Size)}
		}
	}
	if role == TokenIDs && in.Shape[1].Name == "" && in.Shape[1].Size == 1 {
		g.Single = true
	}
	g.Inputs = append(g.Inputs, Input{in.Name, role, in.Type, in.Shape})
	return nil
}

// Feeds tells whether the graph reads an input.
func (g *Graph) Feeds(name string) bool { return len(g.readers[name]) > 0 }

// LogitsName is the output that Built has for the logits.
func (g *Graph) LogitsName() string {
	if g.logits.Type == onnx.Float {
		return g.logits.Name
	}
	return "trimtab.logits"
}

// LogitsShape is the shape of the logits for one sequence.
func (g *Graph) LogitsShape(rows, vocab int) []int {
	if len(g.logits.Shape) == 2 {
		return []int{rows, vocab}
	}
	return []int{1, rows, vocab}
}

func names(list []onnx.Info) string {
	var out []string
	for _, i := range list {
		out = append(out, i.Name)
	}
	if len(out) > 12 {
		out = append(out[:12], "...")
	}
	return strings.Join(out, ", ")
}

func (g *Graph) input(r Role) *Input {
	for i := range g.Inputs {
		if g.Inputs[i].Role == r {
			return &g.Inputs[i]
		}
	}
	return nil
}

func (g *Graph) findLogits(outputs map[string]onnx.Info) error {
	name := first(g.model.Settings.logits, "logits")
	var ok bool
	if g.logits, ok = outputs[name]; !ok && len(g.outputs) == 1 {
		g.logits, ok = g.outputs[0], true
	}
	if !ok {
		return &Error{g.model.Path, "outputs", "one named " + name, names(g.outputs)}
	}
	if t := g.logits.Type; t != onnx.Float && t != onnx.Float16 && t != onnx.BFloat {
		return &Error{g.model.Path, "output " + g.logits.Name, "numbers of type float, float16 or bfloat16", fmt.Sprintf("type %d", t)}
	}
	if d := g.logits.Shape; len(d) == 3 && d[1].Name == "" && d[1].Size == 1 || len(d) == 2 {
		g.Rows = Last
	}
	return nil
}

// addState pairs a cache input with its output.
func (g *Graph) addState(in onnx.Info) error {
	for _, o := range g.outputs {
		if !g.model.pairs(in.Name, o.Name) {
			continue
		}
		s := State{In: in.Name, Out: o.Name, Type: in.Type, Past: -1}
		if size(in.Type) < 8 {
			return &Error{g.model.Path, "input " + in.Name, "numbers", fmt.Sprintf("type %d", in.Type)}
		}
		if err := g.shapeState(&s, in.Shape); err != nil {
			return err
		}
		s.Shared = g.shared(&s)
		g.States = append(g.States, s)
		return nil
	}
	return &Error{
		g.model.Path, "inputs", "input_ids, attention_mask, position_ids and a cache whose outputs are named as its inputs (past..., present...)",
		fmt.Sprintf("%q, and the outputs %s", in.Name, names(g.outputs)),
	}
}

// shapeState finds which dimension counts past tokens: the one that is named so, else the third of four. The others are numbers, or told by what is known of the model.
func (g *Graph) shapeState(s *State, shape []onnx.Dim) error {
	if slices.Equal(shape, onnx.Open()) || len(shape) == 0 {
		return &Error{g.model.Path, "input " + s.In, "a shape", "none"}
	}
	s.Shape = make([]int, len(shape))
	for i, d := range shape {
		s.Shape[i] = d.Size
		if d.Name != "" && (strings.Contains(d.Name, "past") || strings.Contains(d.Name, "history")) && s.Past < 0 {
			s.Past = i
		}
	}
	if s.Past < 0 && len(shape) == 4 && shape[2].Name != "" {
		s.Past = 2
	}
	batch := false
	for i, d := range shape {
		if d.Name == "" || i == s.Past {
			continue
		}
		switch {
		case !batch && (strings.HasPrefix(d.Name, "batch") || i == 0):
			batch, s.Shape[i] = true, 1
			if strings.Contains(d.Name, "*") || strings.Contains(d.Name, " x ") {
				s.Shape[i] = first(g.model.KVHeads, g.model.Heads)
			}
		case i == len(shape)-1:
			s.Shape[i] = g.headDim()
		default:
			s.Shape[i] = first(g.model.KVHeads, g.model.Heads)
		}
	}
	for i, n := range s.Shape {
		if i != s.Past && (n < 1 || n > 1<<24) {
			return &Error{g.model.Path, "input " + s.In, fmt.Sprintf("a number as dimension %d", i), fmt.Sprintf("%q (%d)", shape[i].Name, n)}
		}
	}
	if s.Past >= 0 {
		s.Shape[s.Past] = 0
	}
	return nil
}

// headDim is the width of a head, where the config or a table of rotations tells it.
func (g *Graph) headDim() int {
	if g.model.HeadDim > 0 {
		return g.model.HeadDim
	}
	for i := range g.nodes {
		if n := &g.nodes[i]; n.Op == "GroupQueryAttention" {
			if t := g.tensors[operand(n.Inputs, 7)]; t != nil && len(t.Info.Shape) == 2 {
				return 2 * t.Info.Shape[1].Size // all dimensions turn, in the models that leave this out
			}
		}
	}
	if g.model.Heads > 0 {
		return g.model.Width / g.model.Heads
	}
	return 0
}

// shared tells whether only GroupQueryAttention reads the input and makes the output, which it then does in place.
func (g *Graph) shared(s *State) bool {
	readers := g.readers[s.In]
	maker, ok := g.maker[s.Out]
	return ok && len(readers) == 1 && readers[0] == maker && len(g.readers[s.Out]) == 0 && g.nodes[maker].Op == "GroupQueryAttention" &&
		s.Past == 2 && len(s.Shape) == 4
}

// vocab is the width of the logits, where the graph says it.
func (g *Graph) vocab() int {
	if n := len(g.logits.Shape); n > 1 && g.logits.Shape[n-1].Name == "" {
		return g.logits.Shape[n-1].Size
	}
	return 0
}

// heads is the number of query heads that a fused node says.
func (g *Graph) heads() int {
	for i := range g.nodes {
		if attends(&g.nodes[i]) {
			if a, ok := g.nodes[i].Attribute("num_heads"); ok && a.Int > 0 && a.Int < 1<<16 {
				return a.Int
			}
		}
	}
	return 0
}

// positions is the number of rows of a table that is read by position, 0 where there is none.
func (g *Graph) positions() int {
	for i := range g.nodes {
		n := &g.nodes[i]
		table := ""
		switch {
		case n.Op == "GroupQueryAttention":
			table = operand(n.Inputs, 7)
		case n.Op == "RotaryEmbedding":
			table = operand(n.Inputs, 2)
		case n.Op == "Gather" && g.input(Positions) != nil && operand(n.Inputs, 1) == g.input(Positions).Name:
			table = n.Inputs[0]
		}
		if t := g.tensors[table]; t != nil && len(t.Info.Shape) == 2 && t.Info.Shape[0].Size > 0 {
			return t.Info.Shape[0].Size
		}
	}
	return 0
}
