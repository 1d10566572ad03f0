// SPDX-License-Identifier: Apache-2.0

package tokenizer

import "fmt"

// bpe is byte-pair encoding by ranked merges, over bytes or over characters with bytes to fall back on.
type bpe struct {
	vocab  map[string]int32
	merges *pairs
	bytes  [256]int32 // id of a byte; -1: none
	unk    int32      // -1: unknown characters vanish, as they do in the library that defines the format

	byteLevel  bool // symbols are bytes
	whole      bool // a word that is a token is not taken apart (ignore_merges)
	fuseUnk    bool // neighbouring unknown characters are one unk
	byteTokens bool // characters outside the vocabulary become byte tokens, as far as all of them exist
}

func (m *bpe) id(token string) (int32, bool) {
	id, ok := m.vocab[token]
	return id, ok
}

func (m *bpe) join(_ string, a, b *symbol) (merge, bool) {
	if a.id < 0 || b.id < 0 {
		return merge{}, false
	}
	return m.merges.get(a.id, b.id)
}

func (m *bpe) encode(w *worker, dst []int32, word string) []int32 {
	dst, ok := w.recall(dst, word)
	if ok {
		return dst
	}
	from := len(dst)
	dst = m.encodeNew(w, dst, word)
	w.remember(word, dst[from:])
	return dst
}

func (m *bpe) encodeNew(w *worker, dst []int32, word string) []int32 {
	if m.whole {
		if id, ok := m.vocab[word]; ok {
			return append(dst, id)
		}
	}
	w.syms = w.syms[:0]
	if m.byteLevel {
		m.byteSymbols(w, word)
	} else {
		m.charSymbols(w, word)
	}
	if len(w.syms) == 0 {
		return dst
	}
	w.mergeAll(word, m)
	for _, s := range w.syms {
		dst = append(dst, s.id)
	}
	return dst
}

func (m *bpe) byteSymbols(w *worker, word string) {
	for i := range len(word) {
		if id := m.bytes[word[i]]; id >= 0 {
			w.push(id, i, i+1)
		} else {
			m.pushUnknown(w, i, i+1)
		}
	}
}

func (m *bpe) charSymbols(w *worker, word string) {
	for i := 0; i < len(word); {
		n := runeLen(word[i:])
		char := word[i : i+n]
		if id, ok := m.vocab[char]; ok {
			w.push(id, i, i+n)
		} else if m.byteTokens && m.spellable(char) {
			for k := range n {
				w.push(m.bytes[char[k]], i+k, i+k+1)
			}
		} else {
			m.pushUnknown(w, i, i+n)
		}
		i += n
	}
}

func (m *bpe) spellable(char string) bool {
	for k := range len(char) {
		if m.bytes[char[k]] < 0 {
			return false
		}
	}
	return true
}

func (m *bpe) pushUnknown(w *worker, from, to int) {
	if m.unk < 0 {
		return
	}
	if n := len(w.syms); m.fuseUnk && n > 0 && w.syms[n-1].id == m.unk && int(w.syms[n-1].to) == from {
		w.syms[n-1].to = int32(to)
		return
	}
	w.push(m.unk, from, to)
}

func (w *worker) push(id int32, from, to int) {
	w.syms = append(w.syms, symbol{id: id, from: int32(from), to: int32(to)})
}

// mergeTable looks both halves and the whole of each merge up; spell turns a half into the model's own spelling.
func mergeTable(vocab map[string]int32, n int, pair func(i int) (left, right string, err error)) (*pairs, error) {
	table := newPairs(n)
	var joined []byte
	for i := range n {
		left, right, err := pair(i)
		if err != nil {
			return nil, err
		}
		a, ok1 := vocab[left]
		b, ok2 := vocab[right]
		joined = append(append(joined[:0], left...), right...)
		id, ok3 := vocab[string(joined)]
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("tokenizer: merge %d joins %q and %q: want both and their union in the vocabulary", i, left, right)
		}
		table.put(a, b, merge{rank: int32(i), id: id})
	}
	return table, nil
}

// byteIDs fills the table of single bytes; found looks a byte's token up.
func byteIDs(found func(b byte) (int32, bool)) (ids [256]int32) {
	for b := range ids {
		ids[b] = -1
		if id, ok := found(byte(b)); ok {
			ids[b] = id
		}
	}
	return ids
}
