// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// awkward are random mixtures of characters that the patterns treat differently, the same in every run. They leave out the long s after an apostrophe: regexp2 does not fold it to s, the library that defines the format does, and
// cgo/tokenizers tests it.
func awkward(n int) []string {
	r := rand.New(rand.NewPCG(7, 11))
	parts := []string{
		" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "a", "B", "Zx", "é", "É", "ǅ", "ʰ", "中", "ß", "\u0301", "1", "22", "٣", "½", "Ⅷ", "'",
		"'s", "'S", "'ll", "'LL", "’", ".", "!", "/", "-", "$", "€", "|", "`", "^", "\U0001F999", "\x00", "\x7f", "\u200d", "的", "ー", "カ", "가", "\xff", "\xe2\x96",
	}
	out := []string{""}
	for range n {
		var b strings.Builder
		for range 1 + r.IntN(14) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		out = append(out, b.String())
	}
	return out
}

// mixtures is how many awkward texts a test takes: fewer under -short, which is how the race detector runs.
func mixtures() int {
	if testing.Short() {
		return 150
	}
	return 1500
}

func pieces(s []splitter, text string) []string {
	spans := []span{{0, len(text)}}
	if text == "" {
		spans = nil
	}
	for _, sp := range s {
		var next []span
		for _, p := range spans {
			next = sp.split(next, text, p)
		}
		spans = next
	}
	var out []string
	for _, p := range spans {
		out = append(out, text[p.from:p.to])
	}
	return out
}

// TestSplittersByHand holds every splitter by hand to the published pattern, run as a regular expression.
func TestSplittersByHand(t *testing.T) {
	const punct = "[\\p{P}\\$\\+<=>\\^~\\|]+"
	const bloom = ` ?[^(\s|.,!?…。，、।۔،)]+`
	for _, c := range []struct {
		name     string
		patterns []string
	}{
		{"gpt-2", []string{patternGPT2}},
		{"llama-bpe", []string{patternLlama3}},
		{"qwen2", []string{patternQwen2}},
		{"gpt-4o", []string{patternO200k}},
		{"tekken", []string{patternTekken}},
		{"smollm", []string{`\p{N}`, patternGPT2}},
		{"default", []string{punct, patternGPT2, `\p{N}+`, `[0-9][0-9][0-9]`}},
		{"falcon", []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", patternGPT2, `[0-9][0-9][0-9]`}},
		{"bloom", []string{bloom}},
		{"viking", []string{bloom, `\p{N}`}},
		{"deepseek-coder", []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}`}},
		{"deepseek-llm", []string{`[\r\n]`, `\s?` + listed(deepseekLetters) + `+`, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, `\s+(?!.|\n)`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}+`}},
		{"deepseek-v3", []string{`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`, patternDeepSeekV3}},
		{"qwen35", []string{patternQwen35}},
	} {
		t.Run(c.name, func(t *testing.T) {
			byHand, err := presetFor(c.name)
			if err != nil {
				t.Fatal(err)
			}
			var byRegex []splitter
			for _, p := range c.patterns {
				e, err := newExpression("test", p)
				if err != nil {
					t.Fatal(err)
				}
				byRegex = append(byRegex, pattern{finder: e, behaviour: isolated})
			}
			for _, text := range awkward(mixtures()) {
				got, want := pieces(byHand.split, text), pieces(byRegex, text)
				if !slices.Equal(got, want) {
					t.Fatalf("split(%q) = %q, want %q", text, got, want)
				}
			}
		})
	}
}

// listed writes a table as a set of a regular expression.
func listed(t *unicode.RangeTable) string {
	var b strings.Builder
	for _, r := range t.R16 {
		b.WriteString(string(rune(r.Lo)) + "-" + string(rune(r.Hi)))
	}
	for _, r := range t.R32 {
		b.WriteString(string(rune(r.Lo)) + "-" + string(rune(r.Hi)))
	}
	return "[" + b.String() + "]"
}

func TestPresetsCover(t *testing.T) {
	for _, name := range []string{
		"", "default", "gpt-2", "smollm", "falcon", "llama-bpe", "qwen2", "tekken", "gpt-4o", "bloom", "viking", "deepseek-coder", "deepseek-llm",
		"deepseek-v3", "qwen35", "seed-coder", "bailingmoe",
	} {
		p, err := presetFor(name)
		if err != nil {
			t.Errorf("presetFor(%q): %v", name, err)
			continue
		}
		for _, text := range awkward(200) {
			if got := strings.Join(pieces(p.split, text), ""); got != text {
				t.Errorf("%s: pieces of %q make %q", name, text, got)
			}
		}
	}
}

func TestUnknownPresetIsNamed(t *testing.T) {
	_, err := presetFor("no-such-model")
	var u *UnsupportedError
	if !errors.As(err, &u) || u.Name != "no-such-model" || !strings.Contains(err.Error(), "no-such-model") {
		t.Errorf("presetFor = %v, want an UnsupportedError that names it", err)
	}
}

func TestLongRunsAreLinear(t *testing.T) {
	// A quadratic splitter would take minutes for these.
	for _, unit := range []string{" ", "\n", "a", "1", "!", "'", "\u0301", "\xff", " a"} {
		text := strings.Repeat(unit, 100_000/len(unit)) + "x"
		for _, name := range []string{"default", "llama-bpe", "gpt-4o", "deepseek-llm", "bloom"} {
			p, err := presetFor(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(pieces(p.split, text), ""); got != text {
				t.Errorf("%s: pieces of %q... do not make the text", name, unit)
			}
		}
	}
}
