// SPDX-License-Identifier: Apache-2.0

package tokenizer

import "math"

// unigram finds the segmentation with the highest sum of scores (Viterbi; Kudo 2018, arXiv 1804.10959).
type unigram struct {
	index  *prefixes
	scores []float64 // by id
	bytes  [256]int32
	unk    int32
	unkLow float64 // score of an unknown character: 10 below the worst token, as SentencePiece has it
}

// step is the best way to reach a byte of the word.
type step struct {
	score float64
	from  int32
	id    int32 // -1: an unknown character
}

func newUnigram(tokens []string, scores []float64, unk int32, usable func(id int32) bool) *unigram {
	m := &unigram{scores: scores, unk: unk}
	var keys []string
	var ids []int32
	low := math.Inf(1)
	for i, t := range tokens {
		low = min(low, scores[i])
		if t != "" && usable(int32(i)) {
			keys, ids = append(keys, t), append(ids, int32(i))
		}
	}
	m.unkLow = low - 10
	m.index = newPrefixes(keys, ids)
	return m
}

func (m *unigram) id(token string) (int32, bool) { return m.index.contains(token) }

func (m *unigram) encode(w *worker, dst []int32, word string) []int32 {
	m.lattice(w, word)
	w.syms = w.syms[:0]
	for at := int32(len(word)); at > 0; at = w.best[at].from {
		b := w.best[at]
		w.syms = append(w.syms, symbol{id: b.id, from: b.from, to: at})
	}
	for i := len(w.syms) - 1; i >= 0; i-- {
		s := w.syms[i]
		if s.id >= 0 {
			dst = append(dst, s.id)
			continue
		}
		// Neighbouring unknown characters are one unknown token.
		for i > 0 && w.syms[i-1].id < 0 {
			i--
			s.to = w.syms[i].to
		}
		dst = m.spell(dst, word[s.from:s.to])
	}
	return dst
}

// lattice fills the best step to every character boundary of the word.
func (m *unigram) lattice(w *worker, word string) {
	w.best = w.best[:0]
	for range len(word) + 1 {
		w.best = append(w.best, step{score: math.Inf(-1)})
	}
	w.best[0].score = 0
	for i := 0; i < len(word); {
		n := runeLen(word[i:])
		here := w.best[i].score
		single := false
		w.matches = m.index.all(w.matches[:0], word[i:])
		for _, k := range w.matches {
			single = single || int(k.size) == n
			w.reach(i, i+int(k.size), here+m.scores[k.val], k.val)
		}
		if !single {
			w.reach(i, i+n, here+m.unkLow, -1)
		}
		i += n
	}
}

func (w *worker) reach(from, to int, score float64, id int32) {
	if score > w.best[to].score {
		w.best[to] = step{score, int32(from), id}
	}
}

func (m *unigram) spell(dst []int32, text string) []int32 {
	from := len(dst)
	for i := range len(text) {
		id := m.bytes[text[i]]
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
