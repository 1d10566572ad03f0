// SPDX-License-Identifier: Apache-2.0

package tokenizers_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cgo/tokenizers"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// object is a piece of a tokenizer.json.
type object = map[string]any

type list = []any

func load(tb testing.TB, path string) object {
	tb.Helper()
	data, err := os.ReadFile(fixture.Path(tb, path))
	if err != nil {
		tb.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		tb.Fatal(err)
	}
	return o
}

// small is GPT-2's tokenizer with the first two thousand merges: quick to load, and its tokens still cross most boundaries.
func small(tb testing.TB) object {
	o := load(tb, "fixtures/tokenizer/gpt2.tokenizer.json")
	model := maps.Clone(o["model"].(object))
	merges := model["merges"].(list)[:2000]
	vocab := object{}
	for token, id := range model["vocab"].(object) {
		if id.(float64) < 256+2000 {
			vocab[token] = id
		}
	}
	model["merges"], model["vocab"] = merges, vocab
	return changed(o, object{"model": model, "added_tokens": list{added(endID, "<|endoftext|>")}})
}

// endID is the first id after small's vocabulary.
const endID = 256 + 2000

// changed is a tokenizer.json with some of its parts replaced.
func changed(base object, parts object) object {
	o := maps.Clone(base)
	maps.Copy(o, parts)
	return o
}

func engine(tb testing.TB, o object) (*tokenizers.Engine, []byte) {
	tb.Helper()
	if !tokenizers.Enabled {
		tb.Skip("the oracle is absent: run make tokenizers, build with -tags tokenizers")
	}
	data, err := json.Marshal(o)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := tokenizers.Open(data)
	if err != nil {
		tb.Fatal(err)
	}
	return e, data
}

// texts are the fixtures' awkward lines, stories, articles and random mixtures of characters.
func texts(tb testing.TB) []string {
	tb.Helper()
	f, err := os.Open(fixture.Path(tb, "fixtures/tokenizer/smollm2.jsonl"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var all []string
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<24)
	// The second half of the file is stories and articles.
	for in.Scan() && len(all) < 150 {
		var l struct{ Text string }
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			tb.Fatal(err)
		}
		// The library's C strings end at a NUL.
		all = append(all, strings.ReplaceAll(l.Text, "\x00", "?"))
	}
	for _, name := range []string{"tinystories_1000", "wikitext_1000"} {
		all = append(all, corpus(tb, name)...)
	}
	return append(all, mixtures(150)...)
}

// corpus is every 50th text of a file of a thousand, cut to a length that keeps the test short.
func corpus(tb testing.TB, name string) []string {
	tb.Helper()
	data, err := os.ReadFile(fixture.Path(tb, "data/ToonTalk+jlens-tinystories/out/corpora/"+name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	var all []string
	if err := json.Unmarshal(data, &all); err != nil {
		tb.Fatal(err)
	}
	var some []string
	for i := 0; i < len(all); i += 50 {
		some = append(some, strings.ToValidUTF8(all[i][:min(len(all[i]), 300)], ""))
	}
	return some
}

// mixtures draws characters from the ranges that splitters and normalisers treat differently.
func mixtures(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	ranges := [][2]rune{
		{' ', ' '},
		{'a', 'z'},
		{'A', 'Z'},
		{'0', '9'},
		{'!', '/'},
		{'\t', '\r'},
		{'\'', '\''},
		{0xA0, 0x17F},
		{0x1C0, 0x1CF},
		{0x300, 0x320},
		{0x370, 0x3FF},
		{0x5D0, 0x5EA},
		{0x660, 0x669},
		{0x900, 0x94F},
		{0xE01, 0xE4E},
		{0x1F00, 0x1FFF},
		{0x2000, 0x206F},
		{0x2150, 0x2188},
		{0x3000, 0x30FF},
		{0x4E00, 0x4EFF},
		{0xAC00, 0xACFF},
		{0xFF00, 0xFF5E},
		{0x1F600, 0x1F64F},
		{0x1D400, 0x1D4FF},
		{0x2581, 0x2581},
		{'\n', '\n'},
		{' ', ' '},
	}
	words := []string{"<|endoftext|>", "<|im_start|>", "'ll", "'S", "'RE", "'\u017f", "<mask>", "  ", "\r\n", "e\u0301", "\u00e9", "ﬁ", "\u0130", "İstanbul", "ΑΣ"}
	var out []string
	for range n {
		var b strings.Builder
		for range 1 + r.IntN(25) {
			if r.IntN(8) == 0 {
				b.WriteString(words[r.IntN(len(words))])
				continue
			}
			k := ranges[r.IntN(len(ranges))]
			b.WriteRune(k[0] + r.Int32N(k[1]-k[0]+1))
		}
		out = append(out, b.String())
	}
	return out
}

// same compares the tokenizer in Go with the library on every text, with special tokens parsed and as text.
func same(t *testing.T, o object) {
	t.Helper()
	e, data := engine(t, o)
	c, err := tokenizer.FromJSON(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, text := range texts(t) {
		for _, special := range []bool{true, false} {
			got, want := c.Encode(nil, text, special), e.Encode(nil, text, special)
			if !special && strings.Contains(text, "<unk>") && slices.Contains(want, 0) {
				// The library's unigram finds special tokens in ordinary text; here text never becomes one.
				continue
			}
			if i := differ(got, want); i >= 0 {
				t.Errorf("Encode(%.80q, %v) differs at %d: %q, want %q", text, special, i, shown(c, got, i), shown(c, want, i))
				bad++
			}
			if decoded, lib := c.Decode(want), e.Decode(want); special && strings.ToValidUTF8(decoded, "\uFFFD") != lib && !strings.Contains(lib, "\uFFFD") {
				t.Errorf("Decode(%v) = %q, want %q", want, decoded, lib)
				bad++
			}
			if bad > 5 {
				t.FailNow()
			}
		}
	}
}

// differ is the first place where two lists differ, or -1.
func differ(a, b []int32) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// shown are a few pieces from i on.
func shown(c *tokenizer.Coder, ids []int32, i int) []string {
	var out []string
	for ; i < min(i+4, len(ids)) && len(out) < 4; i++ {
		out = append(out, c.Piece(ids[i]))
	}
	return out
}

func TestFiles(t *testing.T) {
	for _, path := range []string{
		"fixtures/tokenizer/smollm2.tokenizer.json",
		"fixtures/tokenizer/gpt2.tokenizer.json",
		"organism/model/tokenizer.json",
		"data/microsoft+onnxruntime-genai/test/models/hf-internal-testing/tiny-random-gpt2-fp32/tokenizer.json",
	} {
		t.Run(path, func(t *testing.T) { same(t, load(t, path)) })
	}
}

func split(pattern, behavior string, invert bool) object {
	return object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": behavior, "invert": invert}
}

func sequence(kind, field string, parts ...any) object { return object{"type": kind, field: parts} }

func bytesOnly() object {
	return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
}

const (
	gpt2   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	llama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	o200k  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	tekken = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	other  = `\p{N}{1,2}|[\p{L}\p{M}]+|\s+(?!\S)`
)

// TestSplits gives GPT-2's vocabulary other pre-tokenizers: by hand, by regular expression, and in sequence.
func TestSplits(t *testing.T) {
	base := small(t)
	for _, c := range []struct {
		name string
		pre  object
	}{
		{"gpt2", sequence("Sequence", "pretokenizers", split(gpt2, "Isolated", false), bytesOnly())},
		{"llama3", sequence("Sequence", "pretokenizers", split(llama3, "Isolated", false), bytesOnly())},
		{"qwen2 removed inverted", sequence("Sequence", "pretokenizers", split(qwen2, "Removed", true), bytesOnly())},
		{"o200k", sequence("Sequence", "pretokenizers", split(o200k, "Isolated", false), bytesOnly())},
		{"tekken", sequence("Sequence", "pretokenizers", split(tekken, "Isolated", false), bytesOnly())},
		{"regex isolated", sequence("Sequence", "pretokenizers", split(other, "Isolated", false), bytesOnly())},
		{"regex removed", sequence("Sequence", "pretokenizers", split(other, "Removed", false), bytesOnly())},
		{"regex inverted", sequence("Sequence", "pretokenizers", split(other, "Removed", true), bytesOnly())},
		{"regex with previous", sequence("Sequence", "pretokenizers", split(`\s|\d`, "MergedWithPrevious", false), bytesOnly())},
		{"regex with next", sequence("Sequence", "pretokenizers", split(`\s|\d`, "MergedWithNext", false), bytesOnly())},
		{"regex contiguous", sequence("Sequence", "pretokenizers", split(`\s|\d`, "Contiguous", false), bytesOnly())},
		{"prefix space", object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}},
		{"digits together", sequence("Sequence", "pretokenizers", object{"type": "Digits", "individual_digits": false}, bytesOnly())},
		{"punctuation", sequence("Sequence", "pretokenizers", object{"type": "Punctuation", "behavior": "Isolated"}, bytesOnly())},
		{"whitespace", sequence("Sequence", "pretokenizers", object{"type": "Whitespace"}, bytesOnly())},
		{"whitespace split", sequence("Sequence", "pretokenizers", object{"type": "WhitespaceSplit"}, bytesOnly())},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, changed(base, object{"pre_tokenizer": c.pre})) })
	}
}

func TestNormalizers(t *testing.T) {
	base := small(t)
	for _, n := range []object{
		{"type": "NFC"},
		{"type": "NFD"},
		{"type": "NFKC"},
		{"type": "NFKD"},
		{"type": "Lowercase"},
		{"type": "Strip", "strip_left": true, "strip_right": false},
		{"type": "Prepend", "prepend": "x"},
		{"type": "Replace", "pattern": object{"String": "a"}, "content": "bb"},
		{"type": "Replace", "pattern": object{"Regex": ` {2,}`}, "content": "-"},
		sequence("Sequence", "normalizers", object{"type": "NFD"}, object{"type": "StripAccents"}, object{"type": "Lowercase"}),
	} {
		t.Run(fmt.Sprint(n["type"], n["pattern"]), func(t *testing.T) { same(t, changed(base, object{"normalizer": n})) })
	}
}

func added(id int, content string, flags ...string) object {
	o := object{"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
	for _, f := range flags {
		o[strings.TrimPrefix(f, "not ")] = !strings.HasPrefix(f, "not ")
	}
	return o
}

func TestAddedTokens(t *testing.T) {
	base := small(t)
	end := added(endID, "<|endoftext|>")
	for _, c := range []struct {
		name   string
		tokens list
	}{
		{"lstrip", list{end, added(endID+1, "<mask>", "lstrip")}},
		{"rstrip", list{end, added(endID+1, "<mask>", "rstrip")}},
		{"both", list{end, added(endID+1, "<mask>", "lstrip", "rstrip")}},
		{"single word", list{end, added(endID+1, "it's", "single_word", "not special")}},
		{"normalized", list{end, added(endID+1, "  ", "normalized", "not special"), added(endID+2, "e l", "normalized", "not special")}},
		{"special and normalized", list{end, added(endID+1, "<mask>", "normalized")}},
		{"longest of several", list{end, added(endID+1, "<|im"), added(endID+2, "<|im_start|>"), added(endID+3, "|>", "not special")}},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, changed(base, object{"added_tokens": c.tokens})) })
	}
}
