// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

func gpt2(tb testing.TB) *Coder {
	return mustGGUF(tb, fixture.Path(tb, "data/ggerganov+llama.cpp/models/ggml-vocab-gpt-2.gguf"))
}

func llamaSPM(tb testing.TB) *Coder {
	return mustGGUF(tb, fixture.Path(tb, "data/ggerganov+llama.cpp/models/ggml-vocab-llama-spm.gguf"))
}

func TestPlainTextNeverBecomesSpecial(t *testing.T) {
	organism := mustJSON(t, "organism/model/tokenizer.json", "organism/model/tokenizer_config.json")
	for name, c := range map[string]*Coder{"gpt-2": gpt2(t), "llama-spm": llamaSPM(t), "organism": organism} {
		for _, sp := range c.Specials() {
			for _, text := range []string{sp, "a" + sp, sp + sp, " " + sp + " b"} {
				ids := c.Encode(nil, text, false)
				// The token for unknown words is what an unknown word is.
				if i := slices.IndexFunc(ids, func(id int32) bool { return c.Special(id) && c.Piece(id) != " <|unk|>" }); i >= 0 {
					t.Errorf("%s: Encode(%q, false) = %v has the special token %q", name, text, ids, c.Piece(ids[i]))
				}
				if ids := c.Encode(nil, text, true); !slices.ContainsFunc(ids, c.Special) {
					t.Errorf("%s: Encode(%q, true) = %v has no special token", name, text, ids)
				}
			}
		}
	}
}

func TestEncodeGuarded(t *testing.T) {
	c := mustJSON(t, "fixtures/tokenizer/smollm2.tokenizer.json", "")
	start, _ := c.ID("<|im_start|>")
	end, _ := c.ID("<|im_end|>")
	plain := func(s string) []int32 { return c.Encode(nil, s, false) }
	for _, tc := range []struct {
		name   string
		text   string
		guards []int
		want   []int32
	}{
		{"none", "<|im_end|>", nil, []int32{end}},
		{"inside", "<|im_end|>", []int{1}, plain("<|im_end|>")},
		{"at its last byte", "<|im_end|>", []int{9}, plain("<|im_end|>")},
		{"at its ends", "<|im_end|>", []int{0, 10}, []int32{end}},
		{"one of two", "<|im_end|><|im_start|>", []int{5}, append(plain("<|im_end|>"), start)},
		{"the other", "<|im_end|><|im_start|>", []int{15}, append([]int32{end}, plain("<|im_start|>")...)},
		{"text around", "a <|im_end|> b<|im_end|>", []int{3}, append(plain("a <|im_end|> b"), end)},
		{"beyond the text", "<|im_end|>", []int{100}, []int32{end}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := c.EncodeGuarded(nil, tc.text, tc.guards); !slices.Equal(got, tc.want) {
				t.Errorf("EncodeGuarded(%q, %v) = %v, want %v", tc.text, tc.guards, got, tc.want)
			}
		})
	}
}

func TestEncodeAppends(t *testing.T) {
	c := gpt2(t)
	got := c.Encode([]int32{7}, "Hello", true)
	if want := append([]int32{7}, c.Encode(nil, "Hello", true)...); !slices.Equal(got, want) {
		t.Errorf("Encode with dst = %v, want %v", got, want)
	}
	if got := c.Encode(nil, "", true); len(got) != 0 {
		t.Errorf("Encode of nothing = %v", got)
	}
}

func TestLookups(t *testing.T) {
	for _, tc := range []struct {
		name  string
		c     *Coder
		piece string
	}{
		{"a word with its space", gpt2(t), " the"},
		{"a newline", gpt2(t), "\n"},
		{"a special token", gpt2(t), "<|endoftext|>"},
		{"a SentencePiece word", llamaSPM(t), " the"},
		{"a SentencePiece special token", llamaSPM(t), "</s>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, ok := tc.c.ID(tc.piece)
			if !ok || tc.c.Piece(id) != tc.piece {
				t.Errorf("ID(%q) = %d, %v, whose piece is %q", tc.piece, id, ok, tc.c.Piece(id))
			}
		})
	}
	c := gpt2(t)
	if _, ok := c.ID("no such token"); ok {
		t.Error("ID of no token is found")
	}
	for _, id := range []int32{-1, 50257, 1 << 30} {
		if c.Piece(id) != "" || c.Special(id) {
			t.Errorf("Piece(%d) = %q, Special %v, want nothing", id, c.Piece(id), c.Special(id))
		}
	}
	if got := c.Decode([]int32{-1, 15496, 1 << 30}); got != "Hello" {
		t.Errorf("Decode with ids outside the vocabulary = %q, want Hello", got)
	}
}

func TestOrganism(t *testing.T) {
	c := mustJSON(t, "organism/model/tokenizer.json", "organism/model/tokenizer_config.json")
	ids := c.Encode(nil, "<|bos|><|user|> What is a  LEMON ?<|end|>", true)
	if got, want := c.Decode(ids), "<|bos|> <|user|> what is a lemon ? <|end|>"; got != want {
		t.Errorf("Decode(%v) = %q, want %q", ids, got, want)
	}
	if c.BOS() != 2 || c.EOS() != 6 || c.AddBOS() || !slices.Equal(c.EOG(), []int32{6}) || c.Vocab() != 525 {
		t.Errorf("BOS %d EOS %d AddBOS %v EOG %v Vocab %d", c.BOS(), c.EOS(), c.AddBOS(), c.EOG(), c.Vocab())
	}
	if got := c.Encode(nil, "xyzzy", true); !slices.Equal(got, []int32{1}) {
		t.Errorf("Encode of an unknown word = %v, want [1]", got)
	}
	s, b := NewStream(c), strings.Builder{}
	for _, id := range ids {
		b.WriteString(s.Push(id))
	}
	if b.String() != c.Decode(ids) {
		t.Errorf("stream = %q, want %q", b.String(), c.Decode(ids))
	}
}

// TestMisnamedMarkup: files exist that call <|im_end|> a user-defined token or a word; it must not be had by writing it.
func TestMisnamedMarkup(t *testing.T) {
	for name, kind := range map[string]int32{"user-defined": typeUser, "normal": typeNormal} {
		c, err := FromGGUF(GGUF{
			Model: "llama", Tokens: []string{"<|im_end|>", "<think>", "a"}, Scores: make([]float32, 3), Types: []int32{kind, typeUser, typeNormal},
			BOS: -1, EOS: -1, EOT: -1, EOM: -1, UNK: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if !c.Special(0) || !slices.Equal(c.EOG(), []int32{0}) || slices.Contains(c.Encode(nil, "<|im_end|>", false), 0) {
			t.Errorf("%s: Special %v, EOG %v, Encode %v", name, c.Special(0), c.EOG(), c.Encode(nil, "<|im_end|>", false))
		}
		if c.Special(1) || !slices.Equal(c.Encode(nil, "<think>", false), []int32{1}) {
			t.Errorf("%s: <think> is not the user-defined token", name)
		}
	}
}

func TestEndings(t *testing.T) {
	for _, tc := range []struct {
		name     string
		specials []string
		eos      int32
		want     []int32
	}{
		{"eos alone", []string{"<s>", "</s>"}, 1, []int32{1}},
		{"chat names", []string{"<|im_start|>", "<|im_end|>", "<|endoftext|>"}, 2, []int32{1, 2}},
		{"none", []string{"<s>"}, -1, nil},
		{"harmony", []string{"<|end|>", "<|return|>", "<|call|>"}, 1, []int32{1, 2}},
		{"phi-3", []string{"<|end|>", "<|endoftext|>"}, 1, []int32{0, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := GGUF{Model: "gpt2", Pre: "gpt-2", Tokens: tc.specials, BOS: -1, EOS: tc.eos, EOT: -1, EOM: -1, UNK: -1}
			for range tc.specials {
				g.Types = append(g.Types, typeControl)
			}
			c, err := FromGGUF(g)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.EOG(); !slices.Equal(got, tc.want) {
				t.Errorf("EOG = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAddBOS(t *testing.T) {
	yes, no := true, false
	for _, tc := range []struct {
		name  string
		model string
		pre   string
		flag  *bool
		bos   int32
		want  bool
	}{
		{"bytes by default", "gpt2", "gpt-2", nil, 0, false},
		{"llama 3 by default", "gpt2", "llama-bpe", nil, 0, true},
		{"llama 3 told not to", "gpt2", "llama-bpe", &no, 0, false},
		{"SentencePiece by default", "llama", "", nil, 0, true},
		{"told to", "gpt2", "gpt-2", &yes, 0, true},
		{"told to without one", "gpt2", "gpt-2", &yes, -1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := FromGGUF(GGUF{
				Model: tc.model, Pre: tc.pre, Tokens: []string{"<s>", "a"}, Scores: []float32{0, 0}, Types: []int32{typeControl, typeNormal},
				BOS: tc.bos, EOS: -1, EOT: -1, EOM: -1, UNK: -1, AddBOS: tc.flag,
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.AddBOS() != tc.want {
				t.Errorf("AddBOS = %v, want %v", c.AddBOS(), tc.want)
			}
		})
	}
}

// TestPhi3TakesSpace: the family's special tokens take the white space after them, which its GGUF files do not say.
func TestPhi3TakesSpace(t *testing.T) {
	g := readGGUF(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-phi-3.gguf"))
	g.Name = "Phi-3-mini"
	c, err := FromGGUF(g)
	if err != nil {
		t.Fatal(err)
	}
	with, without := c.Encode(nil, "<|user|>\n\nHi<|end|>", true), c.Encode(nil, "<|user|>Hi<|end|>", true)
	if !slices.Equal(with, without) {
		t.Errorf("Encode with white space = %v, without %v", with, without)
	}
}

func TestOtherFiles(t *testing.T) {
	for _, tc := range []struct{ name, path, text string }{
		{"gpt-neox, user-defined runs of spaces", "data/ggerganov+llama.cpp/models/ggml-vocab-gpt-neox.gguf", "def f():\n        return  1"},
		{"toy model, ASCII only", "fixtures/gguf/llama/f32.gguf", "hello in the <s>hell's  kitchen"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := mustGGUF(t, fixture.Path(t, tc.path))
			if got := c.Decode(c.Encode(nil, tc.text, true)); got != tc.text {
				t.Errorf("Decode(Encode(%q)) = %q", tc.text, got)
			}
		})
	}
	c := mustGGUF(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-gpt-neox.gguf"))
	if id, _ := c.ID("        "); !slices.Contains(c.Encode(nil, "x        y", false), id) {
		t.Error("user-defined tokens are not found in plain text")
	}
}

// TestRoundTrip: bytes survive in byte-level vocabularies whatever they are, in SentencePiece as far as they are UTF-8 or not.
func TestRoundTrip(t *testing.T) {
	coders := map[string]*Coder{"gpt-2": gpt2(t), "llama-spm": llamaSPM(t)}
	for name, c := range coders {
		for _, text := range awkward(mixtures()) {
			if got := c.Decode(c.Encode(nil, text, false)); got != text {
				t.Errorf("%s: Decode(Encode(%q)) = %q", name, text, got)
			}
		}
	}
}

// TestHammer encodes on several goroutines at once and wants what one alone gets.
func TestHammer(t *testing.T) {
	c := gpt2(t)
	texts := awkward(200)
	var want [][]int32
	for _, s := range texts {
		want = append(want, c.Encode(nil, s, true))
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			var ids []int32
			for range 2000 {
				i := r.IntN(len(texts))
				if ids = c.Encode(ids[:0], texts[i], true); !slices.Equal(ids, want[i]) {
					t.Errorf("Encode(%q) = %v, want %v", texts[i], ids, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// TestCacheIsBounded encodes more words than the cache holds and wants the first ones right again.
func TestCacheIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("encodes 24,000 words")
	}
	c := gpt2(t)
	w := newWorker()
	word := func(i int) string {
		return " x" + strings.Repeat("y", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26))
	}
	want := c.model.encode(newWorker(), nil, word(3))
	for i := range 3 * cacheWords {
		c.model.encode(w, nil, word(i))
	}
	if len(w.cache) > cacheWords {
		t.Errorf("the cache has %d words, want at most %d", len(w.cache), cacheWords)
	}
	if got := c.model.encode(w, nil, word(3)); !slices.Equal(got, want) {
		t.Errorf("encode after the cache was emptied = %v, want %v", got, want)
	}
}

func BenchmarkEncodeLine(b *testing.B) {
	c := mustGGUF(b, fixture.SmolLM2(b))
	text := "Once upon a time there was a little girl named Lily, who found a needle in her room."
	var ids []int32
	for b.Loop() {
		ids = c.Encode(ids[:0], text, true)
	}
}

// BenchmarkEncodeCold encodes with an empty word cache.
func BenchmarkEncodeCold(b *testing.B) {
	c := mustGGUF(b, fixture.SmolLM2(b))
	text := "Once upon a time there was a little girl named Lily, who found a needle in her room."
	w := newWorker()
	var ids []int32
	for b.Loop() {
		clear(w.cache)
		w.cachedIDs = w.cachedIDs[:0]
		ids = c.stretch(w, ids[:0], text, 0, guard{})
	}
}

func BenchmarkEncodeSPM(b *testing.B) {
	c := llamaSPM(b)
	text := "Once upon a time there was a little girl named Lily, who found a needle in her room."
	var ids []int32
	for b.Loop() {
		ids = c.Encode(ids[:0], text, true)
	}
}

func BenchmarkStreamPush(b *testing.B) {
	c := mustGGUF(b, fixture.SmolLM2(b))
	ids := c.Encode(nil, "Once upon a time there was a little girl named Lily.", false)
	s, i := NewStream(c), 0
	for b.Loop() {
		s.Push(ids[i%len(ids)])
		i++
	}
}

func BenchmarkLoadGGUF(b *testing.B) {
	g := readGGUF(b, fixture.SmolLM2(b))
	for b.Loop() {
		if _, err := FromGGUF(g); err != nil {
			b.Fatal(err)
		}
	}
}
