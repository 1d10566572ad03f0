// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/export"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// ErrNoTokenizer says that the model's file carries no tokenizer, so that it runs from token ids only.
var ErrNoTokenizer = errors.New("the model file has no tokenizer: give token ids")

// ErrNoTemplate says that the model's file carries no chat template.
var ErrNoTemplate = errors.New("the model file has no chat template: give a prompt instead of messages")

// Model is a model on disk: described, mapped, nothing computed yet. Its methods may be called from several goroutines until Close.
type Model struct {
	decoder.Description
	decoder.Source
	Path  string
	Bytes int64                // of the stored tensors
	Types map[quant.Type]int64 // bytes of each stored type

	Export *export.Model // of a model that came as an ONNX graph, whose description has sizes only and which has no Source; nil otherwise

	// Native makes a tokenizer of a tokenizer.json that plain Go does not implement; to be set before the first call of Tokenizer, nil is none.
	Native func(tokenizerJSON []byte) (tokenizer.Engine, error)

	tokenizer func() (tokenizer.Tokenizer, error)
	template  func() (*chat.Template, error)
	close     func() error
}

// Open reads the description of the model at path: a GGUF file, a Hugging Face folder with config.json and safetensors,
// or an ONNX export (see export.Find). Weights are mapped, not read.
func Open(path string) (*Model, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("models: open %s: %w", path, err)
	}
	if isExport(path, info.IsDir()) {
		return openExport(path)
	}
	if info.IsDir() {
		return openHF(path)
	}
	return openGGUF(path)
}

// Tokenizer returns the model's tokenizer, made at the first call, or ErrNoTokenizer.
func (m *Model) Tokenizer() (tokenizer.Tokenizer, error) { return m.tokenizer() }

// Template returns the model's chat template, parsed at the first call, or ErrNoTemplate.
func (m *Model) Template() (*chat.Template, error) { return m.template() }

// Prompt returns the ids of a conversation in the model's own template, up to where its answer begins; text of a message can never become a special token.
// The error is ErrNoTokenizer or ErrNoTemplate where the model lacks one.
func (m *Model) Prompt(messages ...chat.Message) ([]int32, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	t, err := m.Template()
	if err != nil {
		return nil, err
	}
	return t.Tokens(nil, tok, messages, true)
}

// Close unmaps the file. Nothing that was borrowed from the model may be used afterwards; closing twice is fine.
func (m *Model) Close() error {
	if m == nil || m.close == nil {
		return nil
	}
	closing := m.close
	m.close = nil
	return closing()
}

func once[T any](f func() (T, error)) func() (T, error) { return sync.OnceValues(f) }
