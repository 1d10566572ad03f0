// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"

	"github.com/trimtab/trimtab/models/onnx"
)

// body is a graph as it was read, flat: the branch that is to run stands in the place of the If that chose it.
type body struct {
	nodes           []onnx.Node
	tensors         map[string]*tensor
	inputs, outputs []onnx.Info
	infos           map[string]onnx.Info
}

// branches returns the graph to run and, for exports that merged two graphs under an If over a bool input (use_cache_branch), the one for an empty cache behind it.
// In the branch with a cache such exports may have lost the causal mask, so that it runs one token at a time.
func (m *Model) branches(b *onnx.Body) ([]body, error) {
	at, err := mergedAt(b)
	if err != nil {
		return nil, fmt.Errorf("export: %s: %w", m.Path, err)
	}
	if at < 0 {
		flat, err := m.flat(b, nil, -1)
		return []body{flat}, err
	}
	var out []body
	for _, name := range []string{"then_branch", "else_branch"} {
		a, _ := b.Nodes[at].Attribute(name)
		if len(a.Graphs) != 1 {
			return nil, &Error{m.Path, "node If", "one graph as " + name, fmt.Sprint(len(a.Graphs))}
		}
		branch, err := onnx.ReadBody(a.Graphs[0])
		if err != nil {
			return nil, fmt.Errorf("export: %s: %s: %w", m.Path, name, err)
		}
		flat, err := m.flat(b, &branch, at)
		if err != nil {
			return nil, err
		}
		out = append(out, flat)
	}
	return out, nil
}

// mergedAt finds the If whose condition is an input of the graph, and which makes the graph's outputs; -1 is none.
func mergedAt(b *onnx.Body) (int, error) {
	condition := map[string]bool{}
	for _, in := range b.Inputs {
		condition[in.Name] = in.Type == onnx.Bool
	}
	for i := range b.Nodes {
		n := &b.Nodes[i]
		if n.Op != "If" || len(n.Inputs) != 1 || !condition[n.Inputs[0]] {
			continue
		}
		if _, err := n.Attributes(); err != nil {
			return -1, err
		}
		return i, nil
	}
	return -1, nil
}

// flat puts a branch in the place of the node at.
func (m *Model) flat(b, branch *onnx.Body, at int) (body, error) {
	out := body{inputs: b.Inputs, outputs: b.Outputs, tensors: map[string]*tensor{}, infos: map[string]onnx.Info{}}
	lists := []*onnx.Body{b}
	if branch == nil {
		out.nodes = b.Nodes
	} else {
		lists = append(lists, branch)
		if len(branch.Outputs) != len(b.Nodes[at].Outputs) {
			return out, &Error{m.Path, "branch of the node If", fmt.Sprintf("%d outputs", len(b.Nodes[at].Outputs)), fmt.Sprint(len(branch.Outputs))}
		}
		out.nodes = append(out.nodes, b.Nodes[:at]...)
		out.nodes = append(out.nodes, branch.Nodes...)
		for i, name := range b.Nodes[at].Outputs {
			if name != branch.Outputs[i].Name {
				out.nodes = append(out.nodes, onnx.Node{Op: "Identity", Inputs: []string{branch.Outputs[i].Name}, Outputs: []string{name}})
			}
		}
		out.nodes = append(out.nodes, b.Nodes[at+1:]...)
	}
	for _, l := range lists {
		for i := range l.Tensors {
			t := &tensor{Tensor: &l.Tensors[i]}
			if err := m.files.locate(t); err != nil {
				return out, err
			}
			out.tensors[t.Info.Name] = t
		}
		for _, info := range l.Infos {
			out.infos[info.Name] = info
		}
	}
	return out, m.constants(&out)
}

// constants makes initializers of large tensors that nodes hold.
func (m *Model) constants(b *body) error {
	kept := make([]onnx.Node, 0, len(b.nodes))
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.Op == "Constant" && len(n.Stored) > 2*inlineBytes && len(n.Outputs) == 1 {
			a, _ := n.Attribute("value")
			stored, err := onnx.ReadTensor(a.Tensor)
			if err != nil {
				return fmt.Errorf("export: %s: constant %q: %w", m.Path, n.Outputs[0], err)
			}
			stored.Info.Name = n.Outputs[0]
			t := &tensor{Tensor: &stored}
			if err := m.files.locate(t); err != nil {
				return err
			}
			if len(t.data) > inlineBytes {
				b.tensors[n.Outputs[0]] = t
				continue
			}
		}
		kept = append(kept, *n)
	}
	b.nodes = kept
	return nil
}
