// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/models/onnx"
)

// Model is an exported decoder on disk, its weights mapped.
type Model struct {
	Settings
	Path    string   // of the .onnx file
	Real    string   // the same file behind all links
	Folder  string   // with the model's other files: config, tokenizer
	Main    *Graph   // runs a pass
	First   *Graph   // runs a pass over an empty cache where the export has a graph of its own for that; nil otherwise
	Notes   []string // what a user should know once
	Bytes   int64    // of the weights
	Types   map[onnx.DType]int64
	Missing map[Place]string // sites that were not found, with the reason

	proto *onnx.Model
	files files
}

// Place names a site: a point as hooks spells it, and a block or Once.
type Place struct {
	Point string
	Layer int
}

// Once is the layer of points that stand once a model.
const Once = -1

// Error says what of an export this package cannot run.
type Error struct {
	Path        string
	Part        string
	Want, Found string
}

func (e *Error) Error() string {
	return fmt.Sprintf("export: %s: %s: want %s, found %s", e.Path, e.Part, e.Want, e.Found)
}

// Is makes errors.Is(err, errors.ErrUnsupported) hold.
func (e *Error) Is(target error) bool { return target == errors.ErrUnsupported }

// Open reads the export at path: an .onnx file, or a folder with one (see Find).
func Open(path string) (*Model, error) {
	file, err := Find(path)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	f, err := mapped.Open(file)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	m := &Model{Path: file, Real: real, Missing: map[Place]string{}, Types: map[onnx.DType]int64{}}
	m.files = files{model: f, path: file, real: real, others: map[string]*mapped.File{}, names: map[string]string{}}
	if err := m.read(f.Bytes()); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Model) read(data []byte) (err error) {
	if m.proto, err = onnx.Read(data); err != nil {
		return fmt.Errorf("export: %s: %w", m.Path, err)
	}
	if m.Folder, m.Settings, err = readSettings(m.Path); err != nil {
		return fmt.Errorf("export: %s: %w", m.Path, err)
	}
	for _, set := range m.proto.Opsets {
		if set.Domain == "" && set.Version < 11 {
			return &Error{m.Path, "operators", "version 11 or newer (export the model again)", fmt.Sprintf("version %d", set.Version)}
		}
	}
	bodies, err := m.branches(&m.proto.Body)
	if err != nil {
		return err
	}
	graphs := make([]*Graph, len(bodies))
	for i := range bodies {
		if graphs[i], err = m.analyse(&bodies[i]); err != nil {
			return err
		}
	}
	m.Main = graphs[0]
	if len(graphs) > 1 {
		m.First = graphs[1]
		m.First.agree(m.Main)
		m.Main.agree(m.First)
	}
	m.settle()
	return nil
}

// settle fills in what the settings did not say and lists what is missing.
func (m *Model) settle() {
	g := m.Main
	m.Width, m.Vocab = first(g.width, m.Width), first(g.vocab(), m.Vocab)
	m.Layers = first(m.Layers, g.layers)
	m.Family = first(m.Family, "onnx")
	m.Name = filepath.Base(first(m.Name, m.Folder))
	for _, s := range g.States {
		if s.Past == 2 && len(s.Shape) == 4 {
			m.KVHeads, m.HeadDim = first(m.KVHeads, s.Shape[1]), first(m.HeadDim, s.Shape[3])
			break
		}
	}
	m.Heads = first(m.Heads, g.heads())
	if m.Context == 0 {
		m.Context = first(g.positions(), assumedContext)
		if m.Context == assumedContext {
			m.note("the export does not say how many tokens it was made for; %d are allowed", assumedContext)
		}
	}
	if len(g.States) == 0 {
		m.note("the graph has no cache input: every token runs the whole sequence again")
	}
	for p, reason := range g.missing {
		m.Missing[p] = reason
	}
	for _, t := range g.tensors {
		if size := t.bytes(); size > 0 {
			m.Types[t.Info.Type] += size
			m.Bytes += size
		}
	}
}

const assumedContext = 4096

func (m *Model) note(format string, args ...any) {
	m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
}

// first returns the first of two values that is not zero.
func first[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// Sites lists the sites that were found, in no order.
func (m *Model) Sites() map[Place]int {
	out := map[Place]int{}
	for _, s := range m.Main.sites {
		out[s.place] = s.width
	}
	return out
}

// Close unmaps the files; nothing borrowed from the model may be used afterwards. Twice and nil are fine.
func (m *Model) Close() error {
	if m == nil {
		return nil
	}
	return m.files.close()
}
