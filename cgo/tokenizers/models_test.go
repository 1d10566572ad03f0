// SPDX-License-Identifier: Apache-2.0

package tokenizers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cgo/tokenizers"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// spmVocab is the vocabulary of Llama 2, cut to the bytes, the first five thousand tokens and the single characters.
type spmVocab struct {
	tokens []string
	scores []float32
}

func readSPM(tb testing.TB) spmVocab {
	tb.Helper()
	f, err := gguf.Open(fixture.Path(tb, "data/ggerganov+llama.cpp/models/ggml-vocab-llama-spm.gguf"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	tokens, err := f.Meta.Strings("tokenizer.ggml.tokens")
	if err != nil {
		tb.Fatal(err)
	}
	scores, err := f.Meta.Floats("tokenizer.ggml.scores")
	if err != nil {
		tb.Fatal(err)
	}
	const characters = 29871 // where the single characters begin, with U+2581
	return spmVocab{slices.Concat(tokens[:5000], tokens[characters:]), slices.Concat(scores[:5000], scores[characters:])}
}

func (v spmVocab) ids() (vocab object, index map[string]int) {
	vocab, index = object{}, map[string]int{}
	for i, t := range v.tokens {
		vocab[t], index[t] = i, i
	}
	return vocab, index
}

// merges are all ways to join two tokens into a third, best score first, as converters of SentencePiece models write them.
func (v spmVocab) merges() list {
	_, index := v.ids()
	type way struct {
		left, right string
		whole       int
	}
	var ways []way
	for i, t := range v.tokens {
		for k := range t {
			if _, ok := index[t[:k]]; !ok || k == 0 {
				continue
			}
			if _, ok := index[t[k:]]; ok {
				ways = append(ways, way{t[:k], t[k:], i})
			}
		}
	}
	slices.SortStableFunc(ways, func(a, b way) int { return int(v.scores[b.whole] - v.scores[a.whole]) })
	var out list
	for _, w := range ways {
		out = append(out, list{w.left, w.right})
	}
	return out
}

func llamaDecoder() object {
	return sequence("Sequence", "decoders",
		object{"type": "Replace", "pattern": object{"String": "▁"}, "content": " "},
		object{"type": "ByteFallback"}, object{"type": "Fuse"},
		object{"type": "Strip", "content": " ", "start": 1, "stop": 0})
}

func specials() list {
	return list{added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")}
}

func llama(v spmVocab, fallback bool) object {
	vocab, _ := v.ids()
	return object{
		"version": "1.0", "added_tokens": specials(),
		"normalizer": sequence("Sequence", "normalizers", object{"type": "Prepend", "prepend": "▁"},
			object{"type": "Replace", "pattern": object{"String": " "}, "content": "▁"}),
		"pre_tokenizer": nil, "post_processor": nil, "decoder": llamaDecoder(),
		"model": object{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": fallback, "vocab": vocab, "merges": v.merges()},
	}
}

func unigram(v spmVocab, fallback bool, scheme string) object {
	pairs := list{}
	for i, t := range v.tokens {
		// The scores of a BPE model are ranks; as logarithms of frequencies they need a smaller range, and no ties.
		pairs = append(pairs, list{t, -3 - 0.003*float64(i)})
	}
	return object{
		"version": "1.0", "added_tokens": specials(), "normalizer": nil, "post_processor": nil,
		"pre_tokenizer": object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true},
		"decoder": sequence("Sequence", "decoders", object{"type": "ByteFallback"},
			object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true}),
		"model": object{"type": "Unigram", "unk_id": 0, "vocab": pairs, "byte_fallback": fallback},
	}
}

func TestSentencePieceKinds(t *testing.T) {
	v := readSPM(t)
	for _, c := range []struct {
		name string
		file object
	}{
		{"llama", llama(v, true)},
		{"llama without bytes", llama(v, false)},
		{"llama with metaspace", changed(llama(v, true), object{
			"normalizer":    nil,
			"pre_tokenizer": object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
		})},
		{"unigram first", unigram(v, false, "first")},
		{"unigram always, bytes", unigram(v, true, "always")},
		{"unigram never", unigram(v, false, "never")},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, c.file) })
	}
}

// TestScoresAreMerges holds the two ways to write one SentencePiece vocabulary equal: scores in GGUF, merges in tokenizer.json.
func TestScoresAreMerges(t *testing.T) {
	v := readSPM(t)
	e, _ := engine(t, llama(v, true))
	types := make([]int32, len(v.tokens))
	for i := range types {
		types[i] = 1
		if len(v.tokens[i]) == 6 && strings.HasPrefix(v.tokens[i], "<0x") {
			types[i] = 6
		}
	}
	types[0], types[1], types[2] = 2, 3, 3
	c, err := tokenizer.FromGGUF(tokenizer.GGUF{Model: "llama", Tokens: v.tokens, Scores: v.scores, Types: types, BOS: 1, EOS: 2, UNK: 0, EOT: -1, EOM: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts(t) {
		got, want := c.Encode(nil, text, true), e.Encode(nil, text, true)
		if i := differ(got, want); i >= 0 {
			t.Errorf("Encode(%.80q) differs at %d: %q, want %q", text, i, shown(c, got, i), shown(c, want, i))
		}
	}
}

// TestFromEngine makes a tokenizer of what Go does not implement and holds its table and its guards to the library.
func TestFromEngine(t *testing.T) {
	for _, path := range []string{"data/daulet+tokenizers/test/data/bert-base-uncased.json", "data/daulet+tokenizers/test/data/all-minilm-l6-v2.json"} {
		t.Run(path, func(t *testing.T) {
			e, data := engine(t, load(t, path))
			c, err := tokenizer.FromEngine(e, data, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"Hello, world!", "unaffordability", "[CLS] a [SEP]", ""} {
				for _, special := range []bool{true, false} {
					if got, want := c.Encode(nil, text, special), e.Encode(nil, text, special); !slices.Equal(got, want) {
						t.Errorf("Encode(%q, %v) = %v, want %v", text, special, got, want)
					}
				}
				ids := e.Encode(nil, text, false)
				if got, want := c.Decode(ids), e.Decode(ids); text == "unaffordability" && got != want {
					t.Errorf("Decode(%v) = %q, want %q", ids, got, want)
				}
			}
			sep, _ := c.ID("[SEP]")
			got := c.EncodeGuarded(nil, "a [SEP] b [SEP]", []int{3})
			if n := len(slices.DeleteFunc(slices.Clone(got), func(id int32) bool { return id != sep })); n != 1 || got[len(got)-1] != sep {
				t.Errorf("EncodeGuarded = %v, want one %d, at the end", got, sep)
			}
		})
	}
}

func TestEngine(t *testing.T) {
	e, _ := engine(t, small(t))
	if got := e.Encode(nil, "a\x00b\xff", true); !slices.Equal(got, e.Encode(nil, "a\uFFFDb\uFFFD", true)) {
		t.Errorf("Encode with NUL and bad UTF-8 = %v", got)
	}
	if got := e.Decode([]int32{-1, 64, 1 << 30}); got != "a" {
		t.Errorf("Decode with ids outside the vocabulary = %q, want %q", got, "a")
	}
	for _, bad := range []string{"", "{", "[]", "{}", `{"model":{"type":"BPE","vocab":{},"merges":["a b"]}}`} {
		if _, err := tokenizers.Open([]byte(bad)); err == nil {
			t.Errorf("Open(%q) = nil error", bad)
		}
	}
}
