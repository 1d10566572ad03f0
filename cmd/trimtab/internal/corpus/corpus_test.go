// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/runtime"
)

func tinyFile(t *testing.T) string { return fixture.Path(t, "fixtures/gguf/llama/f32.gguf") }

func onDisk(t *testing.T) *models.Model {
	t.Helper()
	m, err := models.Open(tinyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func lengths(c *Corpus) []int {
	var out []int
	for _, s := range c.Sequences {
		out = append(out, len(s.IDs))
	}
	return out
}

func TestLoad(t *testing.T) {
	m := onDisk(t)
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	tokens := func(s string) int { return len(tok.Encode(nil, s, false)) }
	text := strings.Repeat("abcd ", 8)
	n := tokens(text)
	for _, c := range []struct {
		name, text         string
		o                  Options
		want               []int
		sources, dialogues int
	}{
		{"a.txt", text, Options{Piece: n}, []int{n}, 1, 0},
		{"a.txt", text, Options{Piece: n - 3}, []int{n - 3, 3}, 1, 0},
		{"a.txt", text, Options{Piece: n - 1}, []int{n - 1}, 1, 0}, // one token predicts nothing
		{"a.txt", text, Options{Piece: 6, Limit: 2}, []int{6, 6}, 1, 0},
		{"a.jsonl", "\"abcd\"\n\n{\"text\": \"abcd abcd\"}\n", Options{Piece: 100}, []int{tokens("abcd"), tokens("abcd abcd")}, 2, 0},
		{"a.json", `["abcd", {"text": "abcd"}]`, Options{Piece: 100}, []int{tokens("abcd"), tokens("abcd")}, 2, 0},
		{"a.jsonl", `{"messages": [{"role": "user", "content": "abcd abcd abcd"}]}`, Options{Piece: 4, Dialogue: 9}, []int{9}, 1, 1},
	} {
		if c.o.Dialogue == 0 {
			c.o.Dialogue = 100
		}
		got, err := Load([]string{write(t, c.name, c.text)}, m, c.o)
		if err != nil {
			t.Errorf("Load(%s of %q, %+v): %v", c.name, c.text, c.o, err)
			continue
		}
		if !slices.Equal(lengths(got), c.want) || got.Sources != c.sources || got.Dialogues != c.dialogues {
			t.Errorf("Load(%s of %q, %+v) = %v of %d texts, %d dialogues; want %v of %d, %d", c.name, c.text, c.o, lengths(got), got.Sources, got.Dialogues, c.want, c.sources, c.dialogues)
		}
	}
}

func TestLoadKeepsMarkupOfTextsText(t *testing.T) {
	m := onDisk(t)
	tok, _ := m.Tokenizer()
	if len(tok.Specials()) == 0 {
		t.Fatal("the tokenizer has no special tokens: the test tests nothing")
	}
	got, err := Load([]string{write(t, "a.txt", "ab"+tok.Specials()[0]+"cd")}, m, Options{Piece: 100, Dialogue: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range got.Sequences[0].IDs {
		if tok.Special(id) {
			t.Errorf("token %d of a plain text is markup", id)
		}
	}
}

func TestLoadOfTokens(t *testing.T) {
	var data []byte
	for _, id := range []int32{1, 2, 3, 4, 5, -1, 6, -1, -1} {
		data = binary.LittleEndian.AppendUint32(data, uint32(id))
	}
	path := filepath.Join(t.TempDir(), "ids.safetensors")
	if err := safetensors.Write(path, []safetensors.Tensor{{Name: "ids", DType: safetensors.I32, Shape: []int{3, 3}, Data: data}}, nil); err != nil {
		t.Fatal(err)
	}
	got, err := Load([]string{path}, onDisk(t), Options{Piece: 100, Dialogue: 100})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{3, 2}; !slices.Equal(lengths(got), want) || got.Sources != 3 || got.Tokens != 5 {
		t.Errorf("Load(ids) = %v of %d rows with %d tokens, want %v of 3 with 5", lengths(got), got.Sources, got.Tokens, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	m := onDisk(t)
	for _, c := range []struct{ name, text, want string }{
		{"a.jsonl", "\"ab\"\n{\"txt\": 1}", "line 2: want a string, or an object with text or messages"},
		{"a.json", `{"text": "ab"}`, "want a list of texts"},
		{"a.txt", "", "found none"},
		{"a.safetensors", "", "a.safetensors"},
	} {
		if _, err := Load([]string{write(t, c.name, c.text)}, m, Options{Piece: 9, Dialogue: 9}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Load(%s of %q) = %v, want an error about %q", c.name, c.text, err, c.want)
		}
	}
	if _, err := Load(nil, m, Options{Piece: 1, Dialogue: 9}); err == nil {
		t.Error("Load with pieces of one token succeeded")
	}
}

// TestReaderEqualsTrace runs two sequences on one session and each alone.
func TestReaderEqualsTrace(t *testing.T) {
	if _, err := runtime.FindLibrary(); err != nil && os.Getenv("TRIMTAB_REQUIRE_NATIVE") != "1" {
		t.Skip(err)
	}
	m, err := runtime.Open(tinyFile(t), runtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	site := hooks.At(hooks.ResidPost, 1)
	r, err := NewReader(m, site)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := &Corpus{Sequences: []Sequence{{IDs: []int32{5, 6, 7, 8}}, {IDs: []int32{9, 6, 7}}, {IDs: []int32{5, 6, 7, 8}}}, Tokens: 11}
	s := Source{Corpus: c, Reader: r}
	var rows []float32
	for i := range s.Texts() {
		if rows, err = s.Rows(t.Context(), rows, i); err != nil {
			t.Fatal(err)
		}
	}
	var want []float32
	for _, text := range c.Sequences {
		got, err := m.Trace(t.Context(), text.IDs, runtime.TraceOptions{Sites: []hooks.Site{site}})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, got[0].Data...)
	}
	if !slices.Equal(rows, want) || len(rows) != c.Tokens*r.Width() || s.Length(1) != 3 {
		t.Errorf("Rows() differs from Trace(): %d and %d numbers", len(rows), len(want))
	}
	if _, err := NewReader(m, hooks.At(hooks.ResidPost, 99)); err == nil {
		t.Error("NewReader of a site that the model lacks succeeded")
	}
}
