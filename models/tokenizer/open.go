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
func Open(dir string) (*Coder, error) { return OpenWith(dir, nil) }

// OpenWith is Open, except that a tokenizer.json that plain Go does not implement is handed to native, where that is not nil.
func OpenWith(dir string, native func(tokenizerJSON []byte) (Engine, error)) (*Coder, error) {
	config, err := readOptional(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		return nil, err
	}
	data, err := readOptional(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		return nil, err
	}
	if data != nil {
		return fromJSONOr(native, data, config)
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

func fromJSONOr(native func([]byte) (Engine, error), data, config []byte) (*Coder, error) {
	c, err := FromJSON(data, config)
	var missing *UnsupportedError
	if !errors.As(err, &missing) || native == nil {
		return c, err
	}
	e, failed := native(data)
	if failed != nil {
		return nil, fmt.Errorf("%w (%w)", err, failed)
	}
	return FromEngine(e, data, config)
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
