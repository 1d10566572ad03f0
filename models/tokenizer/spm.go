// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"sort"
	"strings"
)

// metaSpace stands for a space in SentencePiece vocabularies (U+2581).
const metaSpace = "\u2581"

// spm is SentencePiece's byte-pair encoding: of all neighbours whose union is a token, the best score is joined first.
type spm struct {
	vocab map[string]int32 // tokens that may be built
	ranks []int32          // by id: place of the score, equal for equal scores
	bytes [256]int32
	unk   int32
}

// newSPM keeps the tokens that usable accepts; scores are by id.
func newSPM(tokens []string, scores []float32, usable func(id int32) bool) *spm {
	m := &spm{vocab: make(map[string]int32, len(tokens)), ranks: scoreRanks(scores)}
	for i, t := range tokens {
		if _, twice := m.vocab[t]; !twice && usable(int32(i)) {
			m.vocab[t] = int32(i)
		}
	}
	return m
}

// scoreRanks numbers the scores from the highest; equal scores share a number.
func scoreRanks(scores []float32) []int32 {
	order := make([]int32, len(scores))
	for i := range order {
		order[i] = int32(i)
	}
	sort.SliceStable(order, func(i, j int) bool { return scores[order[i]] > scores[order[j]] })
	ranks, rank := make([]int32, len(scores)), int32(0)
	for i, id := range order {
		if i > 0 && scores[id] != scores[order[i-1]] {
			rank = int32(i)
		}
		ranks[id] = rank
	}
	return ranks
}

func (m *spm) id(token string) (int32, bool) {
	id, ok := m.vocab[token]
	return id, ok
}

func (m *spm) join(word string, a, b *symbol) (merge, bool) {
	id, ok := m.vocab[word[a.from:b.to]]
	if !ok {
		return merge{}, false
	}
	return merge{rank: m.ranks[id], id: id}, true
}

func (m *spm) encode(w *worker, dst []int32, word string) []int32 {
	dst, ok := w.recall(dst, word)
	if ok {
		return dst
	}
	from := len(dst)
	dst = m.encodeNew(w, dst, word)
	w.remember(word, dst[from:])
	return dst
}

func (m *spm) encodeNew(w *worker, dst []int32, word string) []int32 {
	w.syms = w.syms[:0]
	for i := 0; i < len(word); {
		n := runeLen(word[i:])
		id, ok := m.vocab[word[i:i+n]]
		if !ok {
			id = -1
		}
		w.push(id, i, i+n)
		i += n
	}
	w.mergeAll(word, m)
	for _, s := range w.syms {
		dst = m.spell(dst, s, word)
	}
	return dst
}

// spell appends the token of a symbol, or its bytes where there is none.
func (m *spm) spell(dst []int32, s symbol, word string) []int32 {
	if s.id >= 0 {
		return append(dst, s.id)
	}
	from := len(dst)
	for i := s.from; i < s.to; i++ {
		id := m.bytes[word[i]]
		if id < 0 {
			dst = dst[:from]
			if m.unk >= 0 {
				dst = append(dst, m.unk)
			}
			return dst
		}
		dst = append(dst, id)
	}
	return dst
}

// byWords is the splitter that changes nothing for a vocabulary without pre-tokenizer, where no token has a U+2581 behind
// another character: then nothing is joined across the beginning of a word, and words can be remembered. Else it is nil.
func byWords(vocab map[string]int32) []splitter {
	for t := range vocab {
		if strings.Contains(strings.TrimLeft(t, metaSpace), metaSpace) {
			return nil
		}
	}
	return []splitter{cutter(cutWord)}
}

// cutWord ends a piece before the U+2581 that follows another character.
func cutWord(s string, i int) int {
	for strings.HasPrefix(s[i:], metaSpace) {
		i += len(metaSpace)
	}
	if n := strings.Index(s[i:], metaSpace); n >= 0 {
		return i + n
	}
	return len(s)
}
