// SPDX-License-Identifier: Apache-2.0

//go:build cgo && tokenizers

package tokenizers

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"

	daulet "github.com/daulet/tokenizers"
)

// Engine is one tokenizer.json in the native library. It may be used from several goroutines at once; its native memory goes
// when it is no longer reachable.
type Engine struct {
	marked *daulet.Tokenizer // special tokens in the text are parsed
	plain  *daulet.Tokenizer // special tokens in the text are text
}

// Open reads the bytes of a tokenizer.json. Truncation and padding that the file asks for are left out.
func Open(data []byte) (*Engine, error) {
	data, err := untrimmed(data)
	if err != nil {
		return nil, err
	}
	marked, err := daulet.FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizers: read tokenizer.json: %w", err)
	}
	plain, err := daulet.FromBytes(data, daulet.WithEncodeSpecialTokens())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tokenizers: read tokenizer.json: %w", err), marked.Close())
	}
	e := &Engine{marked: marked, plain: plain}
	runtime.AddCleanup(e, func(pair [2]*daulet.Tokenizer) {
		// The library's Close only frees; it has no error to give.
		_, _ = pair[0].Close(), pair[1].Close()
	}, [2]*daulet.Tokenizer{marked, plain})
	return e, nil
}

// untrimmed takes out what would change the number of ids.
func untrimmed(data []byte) ([]byte, error) {
	var file map[string]json.RawMessage
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("tokenizers: read tokenizer.json: %w", err)
	}
	delete(file, "truncation")
	delete(file, "padding")
	return json.Marshal(file)
}

// Encode appends the ids of text to dst, without what the post-processor adds. The library takes C strings of UTF-8, so NUL
// and bytes that are not UTF-8 are encoded as U+FFFD.
func (e *Engine) Encode(dst []int32, text string, parseSpecial bool) []int32 {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	t := e.plain
	if parseSpecial {
		t = e.marked
	}
	for _, id := range t.EncodeWithOptions(text, false).IDs {
		dst = append(dst, int32(id))
	}
	runtime.KeepAlive(e)
	return dst
}

// Decode gives the text of the ids, special tokens included; ids outside the vocabulary vanish.
func (e *Engine) Decode(ids []int32) string {
	unsigned := make([]uint32, 0, len(ids))
	for _, id := range ids {
		if id >= 0 {
			unsigned = append(unsigned, uint32(id))
		}
	}
	text := e.marked.Decode(unsigned, false)
	runtime.KeepAlive(e)
	return text
}

// Enabled says whether this build has the library.
const Enabled = true
