// SPDX-License-Identifier: Apache-2.0

package tokenizer

// wordLevel has one token a word.
type wordLevel struct {
	vocab map[string]int32
	unk   int32
}

func (m *wordLevel) id(token string) (int32, bool) {
	id, ok := m.vocab[token]
	return id, ok
}

func (m *wordLevel) encode(_ *worker, dst []int32, word string) []int32 {
	if id, ok := m.vocab[word]; ok {
		return append(dst, id)
	}
	if m.unk < 0 {
		return dst
	}
	return append(dst, m.unk)
}
