// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab/trimtab/internal/fixture"
)

func TestBadGGUF(t *testing.T) {
	base := func() GGUF {
		return GGUF{Model: "gpt2", Pre: "gpt-2", Tokens: []string{"a", "b", "ab"}, Merges: []string{"a b"}, BOS: -1, EOS: -1, EOT: -1, EOM: -1, UNK: -1}
	}
	for _, tc := range []struct {
		name   string
		break_ func(g *GGUF)
		want   string
	}{
		{"no tokens", func(g *GGUF) { g.Tokens = nil }, "tokens"},
		{"types of another length", func(g *GGUF) { g.Types = []int32{1} }, "token_type: want 3"},
		{"scores of another length", func(g *GGUF) { g.Scores = []float32{1} }, "scores: want 3"},
		{"id beyond the vocabulary", func(g *GGUF) { g.EOS = 3 }, "eos_token_id: want an id below 3, found 3"},
		{"negative id", func(g *GGUF) { g.BOS = -2 }, "bos_token_id"},
		{"merge of one token", func(g *GGUF) { g.Merges = []string{"ab"} }, `merge 0: want two tokens`},
		{"merge of unknown tokens", func(g *GGUF) { g.Merges = []string{"a c"} }, "in the vocabulary"},
		{"merge into an unknown token", func(g *GGUF) { g.Merges = []string{"b a"} }, "in the vocabulary"},
		{"unknown model", func(g *GGUF) { g.Model = "rwkv" }, "rwkv"},
		{"WordPiece", func(g *GGUF) { g.Model = "bert" }, "bert"},
		{"unknown pre", func(g *GGUF) { g.Pre = "zzz" }, "zzz"},
		{"no tokenizer", func(g *GGUF) { g.Model, g.Tokens = "none", nil }, "none"},
		{"SentencePiece without scores", func(g *GGUF) { g.Model = "llama" }, "scores"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := base()
			tc.break_(&g)
			if _, err := FromGGUF(g); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("FromGGUF = %v, want an error with %q", err, tc.want)
			}
		})
	}
	if _, err := FromGGUF(base()); err != nil {
		t.Errorf("the unbroken one: %v", err)
	}
}

func TestBadJSON(t *testing.T) {
	const model = `"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`
	for _, tc := range []struct {
		name        string
		file        string
		want        string
		unsupported bool
	}{
		{"empty", ``, "tokenizer.json", false},
		{"not an object", `[]`, "tokenizer.json", false},
		{"no model", `{}`, "model", false},
		{"huge id", `{"model":{"type":"BPE","vocab":{"a":2000000000},"merges":[]}}`, "want ids between", false},
		{"negative id", `{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}`, "want ids between", false},
		{"huge added id", `{"added_tokens":[{"id":2000000000,"content":"x"}],` + model + `}`, "want ids between", false},
		{"one id twice", `{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}`, "id 0 belongs to", false},
		{"merge of three", `{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","a","a"]]}}`, "merge 0", false},
		{"WordPiece", `{"model":{"type":"WordPiece","vocab":{"a":0}}}`, "WordPiece", true},
		{"normalizer", `{"normalizer":{"type":"BertNormalizer"},` + model + `}`, "BertNormalizer", true},
		{"pre-tokenizer", `{"pre_tokenizer":{"type":"UnicodeScripts"},` + model + `}`, "UnicodeScripts", true},
		{"decoder", `{"decoder":{"type":"CTC"},` + model + `}`, "CTC", true},
		{"set intersection", `{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[\\p{L}&&[^\\p{Han}]]"},"behavior":"Isolated"},` + model + `}`, "&&", true},
		{"broken pattern", `{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"},` + model + `}`, "(", true},
		{"no pattern", `{"pre_tokenizer":{"type":"Split","behavior":"Isolated"},` + model + `}`, "pattern", false},
		{"behaviour", `{"pre_tokenizer":{"type":"Split","pattern":{"String":"a"},"behavior":"X"},` + model + `}`, "X", true},
		{"prefix of subwords", `{"model":{"type":"BPE","continuing_subword_prefix":"##","vocab":{"a":0},"merges":[]}}`, "##", true},
		{"unk beyond the vocabulary", `{"model":{"type":"Unigram","unk_id":5,"vocab":[["a",-1]]}}`, "unk_id", false},
		{"charsmap", `{"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA"},` + model + `}`, "precompiled_charsmap", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := FromJSON([]byte(tc.file), nil)
			var u *UnsupportedError
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.As(err, &u) != tc.unsupported {
				t.Errorf("FromJSON = %v, want an error with %q, unsupported %v", err, tc.want, tc.unsupported)
			}
		})
	}
	if _, err := FromJSON([]byte(`{`+model+`}`), nil); err != nil {
		t.Errorf("the unbroken one: %v", err)
	}
	for _, name := range []string{"bert-base-uncased", "all-minilm-l6-v2"} {
		data, err := os.ReadFile(fixture.Path(t, "data/daulet+tokenizers/test/data/"+name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var u *UnsupportedError
		if _, err := FromJSON(data, nil); !errors.As(err, &u) {
			t.Errorf("%s: FromJSON = %v, want an UnsupportedError", name, err)
		}
	}
}

func TestConfigNames(t *testing.T) {
	const file = `{"added_tokens":[{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
		"post_processor":{"type":"Sequence","processors":[{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}]}]},
		"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`
	c, err := FromJSON([]byte(file), []byte(`{"bos_token":{"content":"<s>"},"eos_token":"</s>"}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.BOS() != 1 || c.EOS() != 2 || !c.AddBOS() || !slices.Equal(c.EOG(), []int32{2}) {
		t.Errorf("BOS %d EOS %d AddBOS %v EOG %v, want 1 2 true [2]", c.BOS(), c.EOS(), c.AddBOS(), c.EOG())
	}
	if _, err := FromJSON([]byte(file), []byte(`{"bos_token":5}`)); err == nil {
		t.Error("a number as bos_token is no error")
	}
}

// spmModel writes a tokenizer.model from the vocabulary that a GGUF file has.
func spmModel(g GGUF, kind uint64) []byte {
	var out []byte
	for i, t := range g.Tokens {
		var p []byte
		p = protowire.AppendString(protowire.AppendTag(p, fieldPiece, protowire.BytesType), t)
		p = protowire.AppendFixed32(protowire.AppendTag(p, fieldScore, protowire.Fixed32Type), math.Float32bits(g.Scores[i]))
		p = protowire.AppendVarint(protowire.AppendTag(p, fieldType, protowire.VarintType), uint64(g.Types[i]))
		out = protowire.AppendBytes(protowire.AppendTag(out, fieldPieces, protowire.BytesType), p)
	}
	var trainer, normalizer []byte
	trainer = protowire.AppendVarint(protowire.AppendTag(trainer, fieldModelType, protowire.VarintType), kind)
	normalizer = protowire.AppendVarint(protowire.AppendTag(normalizer, fieldExtraSpaces, protowire.VarintType), 0)
	out = protowire.AppendBytes(protowire.AppendTag(out, fieldTrainer, protowire.BytesType), trainer)
	return protowire.AppendBytes(protowire.AppendTag(out, fieldNormalizer, protowire.BytesType), normalizer)
}

func TestFromSentencePiece(t *testing.T) {
	g := readGGUF(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-llama-spm.gguf"))
	data := spmModel(g, modelBPE)
	c, err := FromSentencePiece(data)
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, c, goldens(t, "llama-spm"))
	if c.BOS() != 1 || c.EOS() != 2 || !c.AddBOS() {
		t.Errorf("BOS %d EOS %d AddBOS %v, want 1 2 true", c.BOS(), c.EOS(), c.AddBOS())
	}
	for n := 0; n < len(data); n += 1 + len(data)/60 {
		// A cut file is an error or a smaller vocabulary, never a panic.
		if c, err := FromSentencePiece(data[:n]); err == nil {
			c.Encode(nil, "Hello, world", true)
		}
	}
	if _, err := FromSentencePiece(spmModel(g, 4)); err == nil {
		t.Error("a character model is no error")
	}
	u, err := FromSentencePiece(spmModel(g, modelUnigram))
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Decode(u.Encode(nil, "Hello, wörld \U0001F999", true)); got != "Hello, wörld \U0001F999" {
		t.Errorf("unigram: Decode(Encode) = %q", got)
	}
}

// TestCharsmap builds a trie by hand that maps "a" to "bc" and "ab" to nothing.
func TestCharsmap(t *testing.T) {
	units := make([]uint32, 512)
	const root, afterA, afterAB = 256, 384 ^ 'a', 448
	put := func(at, unit uint32) { units[at] = unit }
	put(0, root<<10)
	a := uint32(root ^ 'a')
	put(a, (a^afterA)<<10|1<<8|'a')
	put(afterA, 1<<31) // value: offset 0
	ab := uint32(afterA ^ 'b')
	put(ab, (ab^afterAB)<<10|1<<8|'b')
	put(afterAB, 1<<31|3) // value: offset 3, an empty string
	blob := binary.LittleEndian.AppendUint32(nil, uint32(4*len(units)))
	for _, u := range units {
		blob = binary.LittleEndian.AppendUint32(blob, u)
	}
	blob = append(blob, "bc\x00\x00"...)
	r, err := precompiled([]byte(`"` + base64.StdEncoding.EncodeToString(blob) + `"`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{"": "", "x": "x", "a": "bc", "ab": "", "aab": "bc", "xaé": "xbcé", "b": "b", "\xff": "\xff"} {
		if got := r(in, true); got != want {
			t.Errorf("normalise(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of an empty folder = %v, want not-exist", err)
	}
	c, err := Open(fixture.Path(t, "organism/model"))
	if err != nil || c.EOS() != 6 {
		t.Errorf("Open(organism) = %v", err)
	}
	dir := t.TempDir()
	g := readGGUF(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-llama-spm.gguf"))
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), spmModel(g, modelBPE), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Open(dir); err != nil || c.Vocab() != 32000 {
		t.Errorf("Open(tokenizer.model) = %v", err)
	}
}
