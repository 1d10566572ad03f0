// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// merged puts the nodes of a model into both branches of an If over use_cache_branch, as decoder_model_merged.onnx has them.
func merged(model []byte) []byte {
	var rest, branch, outer []byte
	for b := model; len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		if number == 7 {
			branch, outer = split(b[n : n+size])
		} else {
			rest = append(rest, b[:n+size]...)
		}
		b = b[n+size:]
	}
	condition := []byte("\x0a\x10use_cache_branch\x12\x08\x0a\x06\x08\x09\x12\x02\x0a\x00") // a ValueInfoProto: bool, one dimension
	outer = protowire.AppendBytes(protowire.AppendTag(outer, 11, protowire.BytesType), condition)
	node := []byte("\x0a\x10use_cache_branch\x12\x06logits\x22\x02If")
	for _, name := range []string{"then_branch", "else_branch"} {
		a := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
		a = protowire.AppendBytes(protowire.AppendTag(a, 6, protowire.BytesType), branch)
		a = protowire.AppendVarint(protowire.AppendTag(a, 20, protowire.VarintType), 5)
		node = protowire.AppendBytes(protowire.AppendTag(node, 5, protowire.BytesType), a)
	}
	outer = protowire.AppendBytes(protowire.AppendTag(outer, 1, protowire.BytesType), node)
	return protowire.AppendBytes(protowire.AppendTag(rest, 7, protowire.BytesType), outer)
}

// split tells what of a GraphProto belongs into a branch (nodes, outputs) and what stays outside (initializers, inputs, outputs).
func split(graph []byte) (branch, outer []byte) {
	graph, _ = protowire.ConsumeBytes(graph)
	for b := graph; len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		n += protowire.ConsumeFieldValue(number, kind, b[n:])
		switch number {
		case 1:
			branch = append(branch, b[:n]...)
		case 2, 12:
			branch, outer = append(branch, b[:n]...), append(outer, b[:n]...)
		default:
			outer = append(outer, b[:n]...)
		}
		b = b[n:]
	}
	return branch, outer
}

func TestMergedBranches(t *testing.T) {
	d := newDrawing()
	d.serial(2)
	m, sites := found(t, writeModel(t, merged(d.Marshal())))
	if m.First == nil || len(m.First.sites) != len(m.Main.sites) || sites[Place{"resid_post", 1}].value != "b1.out" {
		t.Fatalf("%d sites in the branch with a cache, first graph %v", len(m.Main.sites), m.First)
	}
	for _, g := range []*Graph{m.Main, m.First} {
		b, err := g.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range b.Nodes {
			if n.Op == "If" {
				t.Error("the If is still there")
			}
		}
		if g.input(CacheFlag) != nil {
			t.Error("the graph still reads use_cache_branch")
		}
	}
}
