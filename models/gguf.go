// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"
	"fmt"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// ggufFamily is what a GGUF architecture means beyond its metadata: a row of the table below, no code of its own.
type ggufFamily struct {
	norm       decoder.NormKind
	activation decoder.Activation
	gated      bool
	adjacent   bool // rotary pairs stand next to each other: the converter permuted the rows of q and k
}

// ggufFamilies names architectures as llama.cpp's converter does (general.architecture).
func ggufFamilies() map[string]ggufFamily {
	return map[string]ggufFamily{
		"llama": {norm: decoder.RMSNorm, activation: decoder.SiLU, gated: true, adjacent: true},
	}
}

// ggufSource finds tensors under the very names that files use.
type ggufSource struct{ file *gguf.File }

func (s ggufSource) Tensor(name string) (decoder.Tensor, bool) {
	t, ok := s.file.Tensor(name)
	return decoder.Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape, Data: t.Data}, ok
}

// Release implements decoder.Releaser.
func (s ggufSource) Release(data []byte) { s.file.Release(data) }

func openGGUF(path string) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("models: open %s: %w", path, err)
	}
	m := &Model{Path: path, Source: ggufSource{f}, Types: map[quant.Type]int64{}, close: f.Close}
	for _, t := range f.Tensors {
		m.Types[t.Type] += int64(len(t.Data))
		m.Bytes += int64(len(t.Data))
	}
	if m.Description, err = describeGGUF(f); err != nil {
		return nil, errors.Join(fmt.Errorf("models: open %s: %w", path, err), f.Close())
	}
	m.tokenizer = once(func() (tokenizer.Tokenizer, error) { return ggufTokenizer(f) })
	m.template = once(func() (*chat.Template, error) { return ggufTemplate(f, m.tokenizer) })
	return m, nil
}

// describeGGUF reads the keys of the GGUF specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
func describeGGUF(f *gguf.File) (decoder.Description, error) {
	arch, err := f.Meta.String("general.architecture")
	if err != nil {
		return decoder.Description{}, err
	}
	family, ok := ggufFamilies()[arch]
	if !ok {
		return decoder.Description{}, &FamilyError{Family: arch}
	}
	k := keys{meta: f.Meta, arch: arch}
	d := decoder.Description{
		Family:     arch,
		Name:       k.text("general.name"),
		Layers:     k.count("block_count"),
		Width:      k.count("embedding_length"),
		Context:    k.count("context_length"),
		Heads:      k.count("attention.head_count"),
		MLPWidth:   k.count("feed_forward_length"),
		Norm:       family.norm,
		NormEps:    k.eps(family.norm),
		Activation: family.activation,
		Gated:      family.gated,
	}
	if k.err != nil {
		return d, k.err
	}
	d.KVHeads = k.countOr("attention.head_count_kv", d.Heads)
	d.HeadDim = k.countOr("attention.key_length", d.Width/max(d.Heads, 1))
	d.Rope = k.rope(f, d.HeadDim, family.adjacent)
	d.Vocab = vocabulary(f)
	if k.err != nil {
		return d, k.err
	}
	return d, d.Check()
}

// vocabulary is the height of the embedding table: the token list may be longer or absent.
func vocabulary(f *gguf.File) int {
	t, ok := f.Tensor("token_embd.weight")
	if !ok || len(t.Shape) != 2 {
		return 0
	}
	return t.Shape[0]
}
