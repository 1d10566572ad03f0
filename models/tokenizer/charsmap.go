// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// charsmap is SentencePiece's compiled normaliser: a double-array trie (darts-clone's units) from byte strings to offsets of
// NUL-terminated replacements.
type charsmap struct {
	units []uint32
	texts []byte
}

// precompiled reads the blob as tokenizer.json has it, in base64; null or empty changes nothing.
func precompiled(data json.RawMessage) (rewrite, error) {
	var blob []byte
	if err := json.Unmarshal(data, &blob); err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: normalizer Precompiled: %w", err)
	}
	return charsmapRewrite(blob)
}

func charsmapRewrite(blob []byte) (rewrite, error) {
	if len(blob) == 0 {
		return nil, nil
	}
	if len(blob) < 4 {
		return nil, fmt.Errorf("tokenizer: precompiled_charsmap: want at least 4 bytes, found %d", len(blob))
	}
	size := uint64(binary.LittleEndian.Uint32(blob))
	if size%4 != 0 || size == 0 || size > uint64(len(blob)-4) {
		return nil, fmt.Errorf("tokenizer: precompiled_charsmap: want a trie of 4 to %d bytes, found %d", len(blob)-4, size)
	}
	m := &charsmap{units: make([]uint32, size/4), texts: blob[4+size:]}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(blob[4+4*i:])
	}
	return func(text string, _ bool) string { return m.apply(text) }, nil
}

func (m *charsmap) apply(text string) string {
	var b strings.Builder
	for text != "" {
		n, with, ok := m.longest(text)
		if !ok {
			n = runeLen(text)
			b.WriteString(text[:n])
		} else {
			b.Write(with)
		}
		text = text[n:]
	}
	return b.String()
}

// longest is the longest key that text begins with, and its replacement.
func (m *charsmap) longest(text string) (n int, with []byte, ok bool) {
	node := m.offset(0)
	for i := 0; i < len(text); i++ {
		node ^= uint32(text[i])
		if int(node) >= len(m.units) {
			break
		}
		unit := m.units[node]
		if unit&(1<<31|0xFF) != uint32(text[i]) {
			break
		}
		node ^= offsetOf(unit)
		if unit&(1<<8) == 0 {
			continue
		}
		if int(node) >= len(m.units) {
			break
		}
		if at := m.units[node] &^ (1 << 31); int(at) < len(m.texts) {
			n, with, ok = i+1, m.text(at), true
		}
	}
	return n, with, ok
}

func (m *charsmap) offset(node uint32) uint32 { return node ^ offsetOf(m.units[node]) }

// offsetOf is the distance to a unit's children: 22 bits, or 8 bits more when bit 9 is set.
func offsetOf(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

func (m *charsmap) text(at uint32) []byte {
	rest := m.texts[at:]
	if end := bytes.IndexByte(rest, 0); end >= 0 {
		return rest[:end]
	}
	return rest
}
