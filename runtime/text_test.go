// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// pieces is a tokenizer whose ids are places in a list of texts.
type pieces struct {
	tokenizer.Tokenizer
	list []string
}

func (p pieces) Piece(id int32) string { return p.list[id] }

func (p pieces) TrimsFirst() bool { return false }

func TestStopTexts(t *testing.T) {
	for _, c := range []struct {
		name   string
		tokens []string
		stops  []string
		want   []string // what each token gives, and at the end what was held back; a stopped answer ends early
		ends   bool
	}{
		{"none", []string{"a", "b"}, nil, []string{"a", "b", ""}, false},
		{"within a token", []string{"one", " two END three"}, []string{"END"}, []string{"one", " two "}, true},
		{"a whole token", []string{"a", "END", "b"}, []string{"END"}, []string{"a", ""}, true},
		{"across two tokens", []string{"a E", "ND"}, []string{"END"}, []string{"a ", ""}, true},
		{"across three tokens", []string{"x", "E", "N", "Dy"}, []string{"END"}, []string{"x", "", "", ""}, true},
		{"letter by letter with text behind", []string{"E", "N", "x", "E"}, []string{"END"}, []string{"", "", "ENx", "", "E"}, false},
		{"held back at the end", []string{"abc", "EN"}, []string{"END"}, []string{"abc", "", "EN"}, false},
		{"begins anew inside a beginning", []string{"EEN", "D"}, []string{"END"}, []string{"E", ""}, true},
		{"a stop within its own beginning", []string{"aab", "aac"}, []string{"aabaac"}, []string{"", ""}, true},
		{"falls back to a shorter beginning", []string{"aaba", "ab"}, []string{"aabaac"}, []string{"", "aab", "aab"}, false},
		{"the earlier of two", []string{"one two"}, []string{"two", "one"}, []string{""}, true},
		{"the shorter of two", []string{"xab", "cd"}, []string{"abcd", "ab"}, []string{"x"}, true},
		{"the longer beginning is held", []string{"xabc", "!"}, []string{"bcde", "abcd"}, []string{"x", "abc!", ""}, false},
		{"one stop begins in another", []string{"ab", "x"}, []string{"abcd", "bx"}, []string{"", "a"}, true},
		{"a character across tokens", []string{"a\xc3", "\xa9b"}, []string{"é"}, []string{"a", ""}, true},
		{"half a character at the end", []string{"a\xc3"}, []string{"é"}, []string{"a", "\ufffd"}, false},
		{"half a character behind a beginning", []string{"aE\xc3"}, []string{"END"}, []string{"a", "E\ufffd"}, false},
		{"half a character without stops", []string{"\xf0\x9f", "\x98\x80"}, nil, []string{"", "😀", ""}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := textStream{stream: tokenizer.NewStream(pieces{list: c.tokens}), stops: c.stops}
			var got []string
			ended := false
			for id := range c.tokens {
				text, stopped := s.push(int32(id))
				got = append(got, text)
				if ended = stopped; stopped {
					break
				}
			}
			if !ended {
				got = append(got, s.flush())
			}
			if !slices.Equal(got, c.want) || ended != c.ends {
				t.Errorf("texts %q, ended %t; want %q, %t", got, ended, c.want, c.ends)
			}
			if rest := s.flush(); rest != "" {
				t.Errorf("afterwards %q is left", rest)
			}
		})
	}
}

// TestStopTextsOfAnyCut cuts texts into tokens in every way: the answer is the text before the first stop, whatever the cut, and nothing that was shown
// is taken back.
func TestStopTextsOfAnyCut(t *testing.T) {
	stops := []string{"aab", "ba"}
	for _, text := range []string{"aaab", "abab", "aabaab", "abbb", "bbaa", "aaa", "éaab", "bébab"} {
		want, _, _ := strings.Cut(text, "\x00")
		for _, s := range stops {
			if i := strings.Index(text, s); i >= 0 && i < len(want) {
				want = text[:i]
			}
		}
		for cut := range 1 << (len(text) - 1) {
			var list []string
			from := 0
			for i := range len(text) {
				if i == len(text)-1 || cut>>i&1 == 1 {
					list = append(list, text[from:i+1])
					from = i + 1
				}
			}
			s := textStream{stream: tokenizer.NewStream(pieces{list: list}), stops: stops}
			got, ended := "", false
			for id := range list {
				var piece string
				if piece, ended = s.push(int32(id)); !strings.HasPrefix(want, got+piece) {
					t.Fatalf("%q: %q is shown, the answer is %q", list, got+piece, want)
				}
				if got += piece; ended {
					break
				}
			}
			if !ended {
				got += s.flush()
			}
			if got != want || ended != (want != text) {
				t.Fatalf("%q: %q, ended %t; want %q", list, got, ended, want)
			}
		}
	}
}

func TestTextWithoutTokenizer(t *testing.T) {
	var s textStream
	if text, stopped := s.push(3); text != "" || stopped || s.flush() != "" {
		t.Errorf("without a tokenizer: %q, %t", text, stopped)
	}
}

// TestStopEndsAnAnswer runs the real model: a text that the answer contains ends it there, wherever its tokens are cut.
func TestStopEndsAnAnswer(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{})
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	ids := tok.Encode(nil, "The capital of France is", false)
	answer := func(o Options) (text string, last Token) {
		s := newSession(t, m)
		defer s.Close()
		for tk, err := range s.Generate(t.Context(), ids, o) {
			if err != nil {
				t.Fatal(err)
			}
			text, last = text+tk.Text, tk
		}
		return text, last
	}
	whole, last := answer(Options{MaxTokens: 12, IgnoreEOS: true})
	if last.Finish != Length || len(whole) < 12 {
		t.Fatalf("answer %q, finish %q", whole, last.Finish)
	}
	for at := 1; at+4 <= len(whole); at += 5 {
		stop := whole[at : at+4]
		want := whole[:strings.Index(whole, stop)]
		if got, last := answer(Options{MaxTokens: 12, IgnoreEOS: true, Stop: []string{"never there", stop}}); got != want || last.Finish != Stopped {
			t.Errorf("stop %q: answer %q, finish %q, want %q", stop, got, last.Finish, want)
		}
	}
	s := newSession(t, m)
	for _, err := range s.Generate(t.Context(), ids, Options{Stop: []string{"x", ""}}) {
		if err == nil || !strings.Contains(err.Error(), "stop texts") {
			t.Errorf("an empty stop text: %v, want an error", err)
		}
		break
	}
}

// TestLogProbsOfAnAnswer: greedy takes the likeliest, and the same tokens come with and without log-probabilities.
func TestLogProbsOfAnAnswer(t *testing.T) {
	m := tiny(t, Config{})
	plain := collect(t, newSession(t, m), prompt, Options{MaxTokens: 8, IgnoreEOS: true})
	var got []int32
	for tok, err := range newSession(t, m).Generate(t.Context(), prompt, Options{MaxTokens: 8, IgnoreEOS: true, LogProbs: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tok.ID)
		if len(tok.Top) != 3 || tok.Top[0].ID != tok.ID || tok.Top[0].LogProb != tok.LogProb || !(tok.LogProb < 0) || tok.Top[1].LogProb > tok.LogProb {
			t.Errorf("token %d: log-probability %v, candidates %v", tok.ID, tok.LogProb, tok.Top)
		}
	}
	if !slices.Equal(got, plain) {
		t.Errorf("with log-probabilities %v, without %v", got, plain)
	}
}
