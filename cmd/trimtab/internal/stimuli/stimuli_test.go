// SPDX-License-Identifier: Apache-2.0

package stimuli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"a.txt", "one\n\ntwo\r\n", 2},
		{"a.json", `["one", {"prompt": "two"}, {"messages": [{"role": "user", "content": "three"}]}, {"ids": [1, 2]}]`, 4},
		{"a.jsonl", "\"one\"\n{\"prompt\": \"two\"}\n", 2},
	} {
		if got, err := Texts(write(t, c.name, c.text)); err != nil || len(got) != c.want {
			t.Errorf("%s: %d texts, %v, want %d", c.text, len(got), err, c.want)
		}
	}
	for _, c := range []struct{ name, text, say string }{
		{"a.txt", "\n", "found none"},
		{"a.json", `[{"text": "x"}]`, "one of prompt, messages and ids"},
		{"a.jsonl", "\"a\"\n{", "entry 2"},
		{"a.json", `[{"prompt": "x", "ids": [1]}]`, "one of prompt, messages and ids"},
	} {
		if _, err := Texts(write(t, c.name, c.text)); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want it to say %q", c.text, err, c.say)
		}
	}
	const three = `{"positive": "a", "negative": {"prompt": "b"}}
{"prompt": "Is it?", "positive": "Yes", "negative": "No"}
{"question": "Which?", "answer_matching_behavior": "(A)", "answer_not_matching_behavior": "(B)"}`
	got, err := Pairs(write(t, "p.jsonl", three))
	if err != nil || len(got) != 3 {
		t.Fatalf("%d pairs, %v", len(got), err)
	}
	if *got[0].Negative.Plain != "b" || got[1].Positive.Answer != "Yes" || got[2].Negative.Answer != "(B)" || got[2].Positive.Messages[0].Content != "Which?" {
		t.Errorf("pairs = %+v", got)
	}
	if _, err := Pairs(write(t, "p.jsonl", `{"positive": "a"}`)); err == nil || !strings.Contains(err.Error(), "want positive and negative") {
		t.Errorf("half a pair: %v", err)
	}
}

// TestReads has the tokens that are read of texts of the real tokenizer and template.
func TestReads(t *testing.T) {
	m, err := models.Open(fixture.SmolLM2(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	template, err := m.Template()
	if err != nil {
		t.Fatal(err)
	}
	ask := Pair{}
	ask.answers("Which?", "(A)", "(B)")
	persona, err := Persona{Positive: "happy", Negative: "sad", Suffixes: []string{"I feel"}}.Pairs()
	if err != nil {
		t.Fatal(err)
	}
	text := func(a, b string) Pair { return Pair{Text{Plain: &a}, Text{Plain: &b}} }
	chosen := func(i Item) (out []string) {
		for j, id := range i.IDs {
			if i.Keep[j] {
				out = append(out, tok.Piece(id))
			}
		}
		return out
	}
	for _, c := range []struct {
		read               Read
		pair               Pair
		positive, negative []string
	}{
		{Last, ask, []string{")"}, []string{")"}},
		{Answer, ask, []string{"A"}, []string{"B"}},
		{Suffix, ask, []string{"(", "A", ")"}, []string{"(", "B", ")"}},
		{Suffix, persona[0], []string{"I", " feel"}, []string{"I", " feel"}},
		{Suffix, text("<|im_start|>good day", "<|im_start|>bad day"), []string{" day"}, []string{" day"}},
		{Mean, text("<|im_start|>good day<|im_end|>", "<|im_start|>bad<|im_end|>"), []string{"good", " day"}, []string{"bad"}},
		{Answer, text("<|im_start|>good day!<|im_end|>", "<|im_start|>A 7?"), []string{" day"}, []string{"7"}},
	} {
		coder := &Coder{Tok: tok, Template: template, Read: c.read}
		a, b, err := coder.Both(c.pair)
		if err != nil {
			t.Errorf("%s: %v", c.read, err)
			continue
		}
		if !slices.Equal(chosen(a), c.positive) || !slices.Equal(chosen(b), c.negative) {
			t.Errorf("%s: read %q and %q, want %q and %q", c.read, chosen(a), chosen(b), c.positive, c.negative)
		}
	}
	coder := &Coder{Tok: tok, Template: template, Read: Last}
	a, _, err := coder.Both(persona[0])
	if err != nil {
		t.Fatal(err)
	}
	if said := tok.Decode(a.IDs); !strings.Contains(said, "extremely happy. Speak") || !strings.HasSuffix(said, "<|im_start|>assistant\nI feel") {
		t.Errorf("persona = %q", said)
	}
	for _, c := range []struct {
		read Read
		pair Pair
		say  string
	}{
		{Suffix, text("good", "bad"), "the same end"}, {Answer, text("!?", "?"), "want a token to read"},
	} {
		coder := &Coder{Tok: tok, Template: template, Read: c.read}
		if _, _, err := coder.Both(c.pair); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want it to say %q", c.read, err, c.say)
		}
	}
	if _, err := (&Coder{Tok: tok, Read: Suffix}).One(persona[0].Positive); err != nil {
		t.Errorf("a suffix without a template: %v", err)
	}
}
