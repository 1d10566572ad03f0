// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
)

// readGGUF takes the tokenizer's fields out of a GGUF file, as a loader of models does.
func readGGUF(tb testing.TB, path string) GGUF {
	tb.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	return metaGGUF(tb, f.Meta)
}

func metaGGUF(tb testing.TB, m gguf.Meta) GGUF {
	tb.Helper()
	const p = "tokenizer.ggml."
	id := func(key string) int32 {
		if v, ok, _ := gguf.Optional(m.Int(p + key)); ok {
			return int32(v)
		}
		return -1
	}
	flag := func(key string) *bool {
		if v, ok, _ := gguf.Optional(m.Bool(p + key)); ok {
			return &v
		}
		return nil
	}
	text := func(key string) string { s, _, _ := gguf.Optional(m.String(key)); return s }
	g := GGUF{
		Model: text(p + "model"), Pre: text(p + "pre"), Name: text("general.name"),
		BOS: id("bos_token_id"), EOS: id("eos_token_id"), EOT: id("eot_token_id"), EOM: id("eom_token_id"), UNK: id("unknown_token_id"),
		AddBOS: flag("add_bos_token"), AddSpacePrefix: flag("add_space_prefix"),
	}
	g.Tokens, _ = m.Strings(p + "tokens")
	g.Merges, _ = m.Strings(p + "merges")
	g.Scores, _ = m.Floats(p + "scores")
	types, _ := m.Ints(p + "token_type")
	for _, t := range types {
		g.Types = append(g.Types, int32(t))
	}
	return g
}

func mustGGUF(tb testing.TB, path string) *Coder {
	tb.Helper()
	c, err := FromGGUF(readGGUF(tb, path))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// line is one line of fixtures/tokenizer/*.jsonl.
type line struct {
	Text string  `json:"text"`
	IDs  []int32 `json:"ids"`
}

func readLines(tb testing.TB, name string) []line {
	tb.Helper()
	f, err := os.Open(fixture.Path(tb, "fixtures/tokenizer/"+name))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var lines []line
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 300 {
		tb.Fatalf("%s has %d lines, want 300", name, len(lines))
	}
	return lines
}

// checkLines compares both ways: text to ids and ids to text.
func checkLines(t *testing.T, c *Coder, lines []line) {
	t.Helper()
	for i, l := range lines {
		if got := c.Encode(nil, l.Text, true); !slices.Equal(got, l.IDs) {
			t.Errorf("line %d: Encode(%q) = %v, want %v", i, l.Text, got, l.IDs)
		}
		if got := c.Decode(l.IDs); got != l.Text {
			t.Errorf("line %d: Decode(%v) = %q, want %q", i, l.IDs, got, l.Text)
		}
	}
}

func TestSmolLM2FromGGUF(t *testing.T) {
	c := mustGGUF(t, fixture.SmolLM2(t))
	checkLines(t, c, readLines(t, "smollm2.jsonl"))
	if c.BOS() != 1 || c.EOS() != 2 || c.AddBOS() || !slices.Equal(c.EOG(), []int32{0, 2}) || c.Vocab() != 49152 {
		t.Errorf("BOS %d EOS %d AddBOS %v EOG %v Vocab %d, want 1 2 false [0 2] 49152", c.BOS(), c.EOS(), c.AddBOS(), c.EOG(), c.Vocab())
	}
}

// goldens reads llama.cpp's .inp and .out files.
func goldens(t *testing.T, name string) []line {
	t.Helper()
	base := "data/ggerganov+llama.cpp/models/ggml-vocab-" + name + ".gguf"
	in, err := os.ReadFile(fixture.Path(t, base+".inp"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(fixture.Path(t, base+".out"))
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(strings.TrimSuffix(string(in), "\n__ggml_vocab_test__\n"), "\n__ggml_vocab_test__\n")
	rows := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(texts) != len(rows) {
		t.Fatalf("%s: %d texts, %d rows of ids", name, len(texts), len(rows))
	}
	var lines []line
	for i, row := range rows {
		l := line{Text: texts[i]}
		if err := json.Unmarshal([]byte("["+strings.Join(strings.Fields(row), ",")+"]"), &l.IDs); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestGoldens(t *testing.T) {
	for _, name := range []string{"gpt-2", "llama-spm", "phi-3"} {
		t.Run(name, func(t *testing.T) {
			c := mustGGUF(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-"+name+".gguf"))
			checkLines(t, c, goldens(t, name))
		})
	}
}

func mustJSON(tb testing.TB, path, config string) *Coder {
	tb.Helper()
	read := func(p string) []byte {
		if p == "" {
			return nil
		}
		data, err := os.ReadFile(fixture.Path(tb, p))
		if err != nil {
			tb.Fatal(err)
		}
		return data
	}
	c, err := FromJSON(read(path), read(config))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestFixturesFromJSON(t *testing.T) {
	for _, name := range []string{"smollm2", "gpt2"} {
		t.Run(name, func(t *testing.T) {
			checkLines(t, mustJSON(t, "fixtures/tokenizer/"+name+".tokenizer.json", ""), readLines(t, name+".jsonl"))
		})
	}
}
