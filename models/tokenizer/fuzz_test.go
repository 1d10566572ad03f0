// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"slices"
	"testing"
)

// FuzzEncode: no text makes a tokenizer panic; bytes survive a byte-level vocabulary; splitting never changes with the cache.
func FuzzEncode(f *testing.F) {
	for _, s := range awkward(20) {
		f.Add(s)
	}
	for _, s := range []string{"<|im_start|>user\n<|im_end|>", "<|endoftext|", "1234567 \u0660", "\xf0\x9f\xa6", "▁ ▁", "<0x0A>"} {
		f.Add(s)
	}
	// SmolLM2 has no token for some bytes, such as 0x04, which vanish; GPT-2 has one for each.
	bytes, chat, spm := gpt2(f), mustJSON(f, "fixtures/tokenizer/smollm2.tokenizer.json", ""), llamaSPM(f)
	f.Fuzz(func(t *testing.T, s string) {
		for _, special := range []bool{true, false} {
			ids := bytes.Encode(nil, s, special)
			if got := bytes.Decode(ids); got != s {
				t.Errorf("Decode(Encode(%q, %v)) = %q", s, special, got)
			}
			if again := bytes.Encode(nil, s, special); !slices.Equal(again, ids) {
				t.Errorf("Encode(%q, %v) = %v, then %v", s, special, ids, again)
			}
			spm.Encode(nil, s, special)
		}
		if i := slices.IndexFunc(chat.EncodeGuarded(nil, s, everywhere(s)), chat.Special); i >= 0 {
			t.Errorf("EncodeGuarded(%q) has a special token at %d", s, i)
		}
	})
}

func everywhere(s string) []int {
	all := make([]int, len(s))
	for i := range all {
		all[i] = i
	}
	return all
}

// FuzzFromJSON: no file makes the reader panic, and what it accepts encodes.
func FuzzFromJSON(f *testing.F) {
	for _, s := range []string{
		`{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`,
		`{"added_tokens":[{"id":3,"content":"<s>","special":true,"lstrip":true,"rstrip":true}],"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}`,
		`{"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Prepend","prepend":"▁"}]},"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁a",-1]]}}`,
		`{"pre_tokenizer":{"type":"ByteLevel"},"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","byte_fallback":true,"vocab":{"Ġ":0},"merges":[]}}`,
		`{"pre_tokenizer":{"type":"Metaspace","prepend_scheme":"first"},"decoder":{"type":"Metaspace"},"model":{"type":"BPE","fuse_unk":true,"unk_token":"u","vocab":{"u":0},"merges":[]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := FromJSON(data, nil)
		if err != nil {
			return
		}
		for _, id := range c.Encode(nil, "a<s> ab 12 é\xff", true) {
			if id < 0 || int(id) >= c.Vocab() {
				t.Errorf("id %d, want below %d", id, c.Vocab())
			}
		}
	})
}

// FuzzFromSentencePiece: no file makes the reader panic, and what it accepts encodes.
func FuzzFromSentencePiece(f *testing.F) {
	g := GGUF{Tokens: []string{"<unk>", "<s>", "</s>", "▁", "a", "▁a"}, Scores: []float32{0, 0, 0, -1, -2, -3}, Types: []int32{2, 3, 3, 1, 1, 1}}
	f.Add(spmModel(g, modelBPE))
	f.Add(spmModel(g, modelUnigram))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := FromSentencePiece(data)
		if err != nil {
			return
		}
		c.Decode(c.Encode(nil, "a <s> é\xff", true))
	})
}
