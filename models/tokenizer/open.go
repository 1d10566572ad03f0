// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Open reads the tokenizer of a model's folder: tokenizer.json with tokenizer_config.json, else tokenizer.model.
// The error is an [*UnsupportedError] where only cgo/tokenizers can read it, and fs.ErrNotExist where the folder has neither.
func Open(dir string) (*Coder, error) {
	config, err := readOptional(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		return nil, err
	}
	data, err := readOptional(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		return nil, err
	}
	if data != nil {
		return FromJSON(data, config)
	}
	data, err = readOptional(filepath.Join(dir, "tokenizer.model"))
	if err != nil {
		return nil, err
	}
	if data != nil {
		return FromSentencePiece(data)
	}
	return nil, fmt.Errorf("tokenizer: open %s: want tokenizer.json or tokenizer.model, found neither: %w", dir, fs.ErrNotExist)
}

// readOptional is nil for a file that is not there.
func readOptional(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: read %s: %w", path, err)
	}
	return data, nil
}
