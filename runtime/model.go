// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/cgo/tokenizers"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// Model is an opened model. Its methods may be called from several goroutines; sessions of one model run at the same time on the same weights.
type Model struct {
	file    *models.Model
	config  Config
	version string // of ONNX Runtime
	network network
	shape   hooks.Shape
	device  *device // memory of the provider; nil is the processor's
	store   store
	rope    ropeTable

	batch       *batch // nil where sessions share no passes
	encoders    encoders
	attachments atomic.Uint64 // made so far: each has a number of its own

	variants struct {
		sync.Mutex
		built map[string]*variant
	}
	open struct {
		sync.Mutex
		sessions map[*Session]bool
		closed   bool
	}
}

// Open loads the model at path and builds its untouched graph. Close gives everything back.
func Open(path string, c Config) (*Model, error) {
	file, err := models.Open(path)
	if err != nil {
		return nil, err
	}
	file.Native = func(tokenizerJSON []byte) (tokenizer.Engine, error) { return tokenizers.Open(tokenizerJSON) }
	m := &Model{file: file}
	if err := m.load(c); err != nil {
		return nil, errors.Join(fmt.Errorf("runtime: open %s: %w", path, err), m.Close())
	}
	debug.FreeOSMemory() // what opening left behind, a third of the Go heap: generating allocates too little for a collection to come soon
	return m, nil
}

func (m *Model) load(c Config) (err error) {
	if m.file.Export != nil && (c.Kernels != "" || c.KV != "") {
		return fmt.Errorf("runtime: kernels and kv: an ONNX export brings its own: want none given, found %q and %q", string(c.Kernels), string(c.KV))
	}
	if m.file.Export != nil && c.Batch > 1 {
		return fmt.Errorf("runtime: batch: %w: an ONNX export's graph runs one sequence: want 0 or 1, found %d", ErrNoBatch, c.Batch)
	}
	if m.config, err = c.withDefaults(m.file.Context); err != nil {
		return err
	}
	if m.config.Library == "" {
		if m.config.Library, err = FindLibrary(); err != nil {
			return err
		}
	}
	if m.version, err = ort.Load(m.config.Library); err != nil {
		return err
	}
	if err := m.config.Provider.check(m.config.Library, m.version); err != nil {
		return err
	}
	if err := useKernels(); err != nil {
		return err
	}
	if err := m.openDevice(); err != nil {
		return m.config.Provider.explain(m.config.Library, err)
	}
	if m.shape, err = Describe(m.file); err != nil {
		return err
	}
	m.store = store{device: m.device, held: map[string]*heldWeight{}, threads: m.config.Threads, progress: m.config.Progress, release: func([]byte) {}}
	if r, ok := m.file.Source.(decoder.Releaser); ok {
		m.store.release = r.Release
	}
	if name, _ := m.config.Provider.memory(); m.config.graph().NBits && name == "" { // slow without: a token of SmolLM2 took 0.9 s
		if m.store.packs, err = ort.NewPacks(); err != nil {
			return err
		}
	}
	m.rope = ropeTable{rope: &m.file.Rope, device: m.device}
	if m.network, err = m.newNetwork(); err != nil {
		return err
	}
	m.variants.built = map[string]*variant{}
	m.open.sessions = map[*Session]bool{}
	if _, err = m.variant(&program{}); err != nil {
		return m.config.Provider.explain(m.config.Library, err)
	}
	if m.config.Batch > 1 {
		m.batch, err = newBatch(m)
	}
	return err
}

// openDevice opens the provider's memory where it has its own.
func (m *Model) openDevice() (err error) {
	name, number := m.config.Provider.memory()
	if m.config.apart {
		name = "Cpu"
	}
	if name == "" {
		return nil
	}
	m.device, err = newDevice(m.config.sessions(), name, number)
	return err
}

// sessions is what all of ONNX Runtime's sessions of the model have in common.
func (c Config) sessions() ort.Options {
	return ort.Options{Threads: c.Threads, Provider: c.Provider.options(), Profile: c.Profile}
}

// Shape describes the model to hooks; it must not be written.
func (m *Model) Shape() *hooks.Shape { return &m.shape }

// File is the model as it lies on disk; it is closed with m.
func (m *Model) File() *models.Model { return m.file }

// Tokenizer returns the model's tokenizer, or models.ErrNoTokenizer.
func (m *Model) Tokenizer() (tokenizer.Tokenizer, error) { return m.file.Tokenizer() }

// Template returns the model's chat template, or models.ErrNoTemplate.
func (m *Model) Template() (*chat.Template, error) { return m.file.Template() }

// Prompt is [models.Model.Prompt]: a conversation as the model wants it, up to where its answer begins.
func (m *Model) Prompt(messages ...chat.Message) ([]int32, error) { return m.file.Prompt(messages...) }

// special tells whether a token is markup rather than text; without a tokenizer none is.
func (m *Model) special(id int32) bool {
	tok, err := m.file.Tokenizer()
	return err == nil && tok.Special(id)
}

// Config returns how the model was opened, defaults filled in.
func (m *Model) Config() Config { return m.config }

// Notes says what a user should know of the model once, such as that it runs slowly for a reason of its own.
func (m *Model) Notes() []string {
	if m.file.Export == nil {
		return nil
	}
	return m.file.Export.Notes
}

// ORTVersion returns the version of the ONNX Runtime library in use.
func (m *Model) ORTVersion() string { return m.version }

// Close ends all sessions of the model and frees it; runs that are under way are stopped first. Twice and nil are fine.
func (m *Model) Close() error {
	if m == nil {
		return nil
	}
	m.open.Lock()
	sessions := m.open.sessions
	m.open.sessions = nil
	closed := m.open.closed
	m.open.closed = true
	m.open.Unlock()
	if closed {
		return nil
	}
	for s := range sessions {
		s.Close()
	}
	for _, v := range m.variants.built {
		v.close()
	}
	m.batch.close()
	if m.network != nil {
		m.network.close()
	}
	m.device.close()
	return m.file.Close()
}
