// SPDX-License-Identifier: Apache-2.0

package tokenizer

import "fmt"

// UnsupportedError says which part of a tokenizer definition is not implemented in Go.
// A caller may then open the same tokenizer.json through cgo/tokenizers.
type UnsupportedError struct {
	Part string // model, normalizer, pre_tokenizer, decoder, pre ...
	Name string // what the definition asks for there
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("tokenizer: %s %q is not implemented in Go; for a tokenizer.json run make setup and build with -tags tokenizers", e.Part, e.Name)
}

func unsupported(part, name string) error { return &UnsupportedError{Part: part, Name: name} }
