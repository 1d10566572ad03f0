// SPDX-License-Identifier: Apache-2.0

//go:build !(cgo && tokenizers)

package tokenizers

import "errors"

// Engine cannot be had in this build.
type Engine struct{}

// Open fails: this build is without the library.
func Open([]byte) (*Engine, error) {
	return nil, errors.New("tokenizers: built without the tokenizers library: run make tokenizers, then build with cgo and " +
		`-tags tokenizers -ldflags "-extldflags '-L$PWD/.trimtab/lib'"`)
}

// Encode appends nothing; without Open there is no Engine to call it on.
func (*Engine) Encode(dst []int32, _ string, _ bool) []int32 { return dst }

// Decode is empty; without Open there is no Engine to call it on.
func (*Engine) Decode([]int32) string { return "" }

// Enabled says whether this build has the library.
const Enabled = false
