// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/export"
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// isExport tells whether path is an ONNX export: an .onnx file, or a folder with one and without the safetensors of a model.
func isExport(path string, dir bool) bool {
	if !dir {
		return strings.HasSuffix(path, ".onnx")
	}
	for _, name := range []string{"model.safetensors", "model.safetensors.index.json"} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return false
		}
	}
	_, err := export.Find(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func openExport(path string) (*Model, error) {
	x, err := export.Open(path)
	if err != nil {
		return nil, fmt.Errorf("models: open %s: %w", path, err)
	}
	m := &Model{Export: x, Path: path, Bytes: x.Bytes, Types: map[quant.Type]int64{}, Source: noTensors{}, close: x.Close}
	m.Description = decoder.Description{
		Family: x.Family, Name: x.Name, Layers: x.Layers, Width: x.Width, Vocab: x.Vocab, Context: x.Context, Heads: x.Heads, KVHeads: x.KVHeads, HeadDim: x.HeadDim,
	}
	m.MLPWidth = x.Sites()[export.Place{Point: "mlp_act"}]
	for t, n := range x.Types {
		m.Types[stored(t)] += n
	}
	ends, err := exportEnds(x.Folder)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("models: open %s: %w", path, err), x.Close())
	}
	m.tokenizer = once(func() (tokenizer.Tokenizer, error) { return hfTokenizer(x.Folder, ends, m.Native) })
	m.template = once(func() (*chat.Template, error) { return hfTemplate(x.Folder, m.tokenizer) })
	return m, nil
}

// stored is the type of quant whose elements are those of an ONNX type: blocks of 4 bits lie in bytes.
func stored(t onnx.DType) quant.Type {
	switch t {
	case onnx.Float:
		return quant.F32
	case onnx.Float16:
		return quant.F16
	case onnx.BFloat:
		return quant.BF16
	case onnx.Int32:
		return quant.I32
	case onnx.Int64:
		return quant.I64
	case onnx.Double:
		return quant.F64
	}
	return quant.I8
}

// exportEnds reads the file that may say which tokens end a generation.
func exportEnds(dir string) (settings, error) {
	genai, err := readSettings(dir, "genai_config.json", true)
	if err != nil {
		return genai, err
	}
	if genai.has("model") {
		return genai.object("model"), nil
	}
	return readSettings(dir, "config.json", true)
}

// noTensors is the source of a model whose weights only its graph knows.
type noTensors struct{}

// Tensor implements decoder.Source.
func (noTensors) Tensor(string) (decoder.Tensor, bool) { return decoder.Tensor{}, false }
