// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/onnx"
)

// variant is the model's graph with places for the steps of one signature, ready to run. Many sessions may run it at once.
type variant struct {
	signature string
	session   *ort.Session
	first     *ort.Session // runs passes over an empty cache, where the model is an export with a graph for that; nil otherwise
}

func (v *variant) close() {
	v.session.Close()
	v.first.Close()
}

// variant returns the graph for a program, building it at the first use. The weights are those of every other variant.
func (m *Model) variant(p *program) (*variant, error) {
	m.variants.Lock()
	defer m.variants.Unlock()
	key := p.signature(m.device != nil)
	if v := m.variants.built[key]; v != nil {
		return v, nil
	}
	v, err := m.network.build(p)
	if err != nil {
		return nil, fmt.Errorf("runtime: build graph [%s]: %w", key, err)
	}
	v.signature = key
	m.variants.built[key] = v
	return v, nil
}

func (m ownNetwork) build(p *program) (*variant, error) {
	o := m.config.graph()
	if len(p.steps) > 0 {
		s := splicer{program: p, aside: m.device != nil, masks: map[int][]decoder.Mask{}, nodes: m.ownNodes()}
		o.Watched = func(point string, layer int) bool { return len(p.at(site(point, layer))) > 0 }
		o.At, o.Masks = s.at, func(layer int) []decoder.Mask { return s.masks[layer] }
	}
	session, err := m.ready(o, func(*onnx.Graph) {})
	if err != nil {
		return nil, err
	}
	return &variant{session: session}, nil
}

// ready builds a graph over the model's tensors and hands it to ONNX Runtime; declare is called with it once it is built.
func (m *Model) ready(o decoder.Options, declare func(*onnx.Graph)) (*ort.Session, error) {
	g, err := decoder.Build(&m.file.Description, m.file, o)
	if err != nil {
		return nil, err
	}
	declare(g.Graph)
	values, err := m.store.supply(g.Weights)
	if err != nil {
		return nil, err
	}
	folder, err := placeholderFolder()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	options := m.config.sessions()
	options.Initializers, options.Folder, options.Packs = values, folder, m.store.packs
	if m.config.Provider == OpenVINO {
		options.Initializers = nil
		m.store.embed(g)
	}
	session, err := ort.NewSession(g.Marshal(), options)
	if r, ok := m.file.Source.(decoder.Releaser); ok {
		r.ReleaseAll() // what was looked at to build the graph
	}
	return session, err
}

// ownNodes tells whether graphs have the project's own operators wherever there are some.
func (m *Model) ownNodes() bool { return m.file.Export == nil && m.config.Kernels == Own }

// placeholderFolder makes a folder with the empty file that ONNX Runtime wants to see where weights are supplied.
func placeholderFolder() (string, error) {
	dir, err := os.MkdirTemp("", "trimtab")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, onnx.SuppliedFile), nil, 0o600)
}
