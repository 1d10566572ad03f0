// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/trimtab/trimtab/internal/fixture"
)

// table is a tokenizer that has nothing but pieces.
type table struct {
	Tokenizer
	pieces []string
	trims  bool
}

func (t table) Piece(id int32) string { return t.pieces[id] }
func (t table) TrimsFirst() bool      { return t.trims }

func TestStream(t *testing.T) {
	llama := "\U0001F999"
	for _, c := range []struct {
		name   string
		pieces []string
		trims  bool
		pushed []string
		flush  string
	}{
		{"whole words", []string{"a", " b", "é"}, false, []string{"a", " b", "é"}, ""},
		{"a character byte by byte", []string{llama[:1], llama[1:2], llama[2:3], llama[3:]}, false, []string{"", "", "", llama}, ""},
		{"text then half a character", []string{"a" + llama[:2], llama[2:] + "b"}, false, []string{"a", llama + "b"}, ""},
		{"cut off", []string{"a" + llama[:3]}, false, []string{"a"}, "\uFFFD"},
		{"broken by text", []string{llama[:2], "x"}, false, []string{"", "\uFFFDx"}, ""},
		{"continuation first", []string{"\x80", "a"}, false, []string{"\uFFFD", "a"}, ""},
		{"never a character", []string{"\xff\xfe", "a"}, false, []string{"\uFFFD", "a"}, ""},
		{"first space", []string{" a", " b"}, true, []string{"a", " b"}, ""},
		{"first space after nothing", []string{"", " a"}, true, []string{"", "a"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewStream(table{pieces: c.pieces, trims: c.trims})
			for i := range c.pieces {
				if got := s.Push(int32(i)); got != c.pushed[i] {
					t.Errorf("Push %d (%q) = %q, want %q", i, c.pieces[i], got, c.pushed[i])
				}
			}
			if got := s.Flush(); got != c.flush {
				t.Errorf("Flush = %q, want %q", got, c.flush)
			}
			if got := s.Flush(); got != "" {
				t.Errorf("second Flush = %q, want nothing", got)
			}
		})
	}
}

func TestStreamContinue(t *testing.T) {
	s := NewStream(table{pieces: []string{" a"}, trims: true})
	s.Continue()
	if got := s.Push(0); got != " a" {
		t.Errorf("Push after Continue = %q, want %q", got, " a")
	}
}

// TestStreamIsDecode holds the stream to Decode on all lines of the fixture: the same text, in whole characters.
func TestStreamIsDecode(t *testing.T) {
	c := mustJSON(t, "fixtures/tokenizer/smollm2.tokenizer.json", "")
	for _, l := range readLines(t, "smollm2.jsonl") {
		s := NewStream(c)
		var b strings.Builder
		for _, id := range l.IDs {
			p := s.Push(id)
			if !utf8.ValidString(p) {
				t.Errorf("Push(%d) = %q, not whole characters", id, p)
			}
			b.WriteString(p)
		}
		b.WriteString(s.Flush())
		if b.String() != l.Text {
			t.Errorf("stream of %v = %q, want %q", l.IDs, b.String(), l.Text)
		}
	}
}

func TestStreamDoesNotAllocate(t *testing.T) {
	c := mustGGUF(t, fixture.SmolLM2(t))
	ids := c.Encode(nil, "Once upon a time there was a little girl named Lily.", false)
	s := NewStream(c)
	if n := testing.AllocsPerRun(100, func() {
		for _, id := range ids {
			s.Push(id)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d tokens, want 0", n, len(ids))
	}
}

func TestEncodeAllocatesNothingWhenWarm(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	c := mustGGUF(t, fixture.SmolLM2(t))
	text := "<|im_start|>user\nOnce upon a time there was a little girl named Lily.<|im_end|>\n"
	ids := c.Encode(nil, text, true)
	if n := testing.AllocsPerRun(100, func() { ids = c.Encode(ids[:0], text, true) }); n > 0.5 {
		t.Errorf("%v allocations, want 0", n)
	}
}
