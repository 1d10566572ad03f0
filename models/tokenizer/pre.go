// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"strings"
	"unicode"
)

// preset is what a name in tokenizer.ggml.pre stands for. The names and what they mean are llama.cpp's (llama-vocab.cpp).
type preset struct {
	split  []splitter
	whole  bool // words that are tokens are not taken apart
	addBOS bool // when the file does not say
}

// presetFor returns the pre-tokeniser of a GGUF file with a byte-level vocabulary.
func presetFor(name string) (preset, error) {
	gpt2 := cutter(cutGPT2)
	switch name {
	case "", "default":
		return plain(runOf{in: gptPunct, least: 1}.splitter(), gpt2, numbers(0), triples()), nil
	case "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "granite-docling", "gigachat", "mellum", "a.x-4.0",
		"jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe", "modern-bert":
		return plain(gpt2), nil
	case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2":
		return plain(numbers(1), gpt2), nil
	case "falcon":
		return plain(runOf{in: falconPunct, least: 1}.splitter(), gpt2, triples()), nil
	case "bloom", "poro-chat", "gpt3-finnish":
		return plain(bloomWords()), nil
	case "viking":
		return plain(bloomWords(), numbers(1)), nil
	case "deepseek-coder":
		return plain(deepseekCoder()...), nil
	case "deepseek-llm":
		return plain(deepseekLLM()...), nil
	case "deepseek-v3", "hunyuan-dense", "joyai-llm", "qwen35", "seed-coder", "bailingmoe", "bailingmoe2", "llada-moe":
		return written(name)
	}
	return cl100kPreset(name)
}

// cl100kPreset has the names whose pattern descends from cl100k or o200k.
func cl100kPreset(name string) (preset, error) {
	switch name {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
		return preset{split: []splitter{cutter(cl100k{digits: 3}.cut)}, whole: true, addBOS: true}, nil
	case "dbrx", "smaug-bpe", "glm4", "chatglm-bpe":
		return plain(cutter(cl100k{digits: 3}.cut)), nil
	case "qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "kormo", "f2llmv2", "grok-2", "solar-open":
		return plain(cutter(cl100k{digits: 1}.cut)), nil
	case "tekken":
		return preset{split: []splitter{cutter(o200k{digits: 1}.cut)}, whole: true, addBOS: true}, nil
	case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2":
		return plain(cutter(o200k{digits: 3, contractions: true}.cut)), nil
	}
	return preset{}, unsupported("tokenizer.ggml.pre", name)
}

func plain(s ...splitter) preset { return preset{split: s} }

// written has the names whose patterns are run as regular expressions after the simple splits.
func written(name string) (preset, error) {
	var before []splitter
	var source string
	switch name {
	case "deepseek-v3", "hunyuan-dense", "joyai-llm":
		before = []splitter{numbers(3), runOf{in: hanKana, least: 1}.splitter()}
		source = patternDeepSeekV3
	case "qwen35":
		source = patternQwen35
	case "seed-coder":
		source = patternSeedCoder
	default:
		source = patternBailing
	}
	e, err := newExpression("tokenizer.ggml.pre", source)
	if err != nil {
		return preset{}, err
	}
	return plain(append(before, pattern{finder: e, behaviour: isolated})...), nil
}

func (m runOf) splitter() splitter { return matcher{match: m.match} }

// numbers makes pieces of at most most \p{N}.
func numbers(most int) splitter {
	return runOf{in: unicode.IsNumber, most: most, least: 1}.splitter()
}

// triples makes pieces of exactly three ASCII digits.
func triples() splitter { return runOf{in: asciiDigit, most: 3, least: 3}.splitter() }

func asciiDigit(r rune) bool { return r >= '0' && r <= '9' }

// gptPunct is [\p{P}\$\+<=>\^~\|], falconPunct adds the backtick.
func gptPunct(r rune) bool {
	switch r {
	case '$', '+', '<', '=', '>', '^', '~', '|':
		return true
	}
	return unicode.IsPunct(r)
}

func falconPunct(r rune) bool { return r == '`' || gptPunct(r) }

// bloomWords is ` ?[^(\s|.,!?…。，、।۔،)]+`.
func bloomWords() splitter {
	return runOf{least: 1, blank: true, in: func(r rune) bool {
		switch r {
		case '(', '|', '.', ',', '!', '?', '…', '。', '，', '、', '।', '۔', '،', ')':
			return false
		}
		return !unicode.IsSpace(r)
	}}.splitter()
}

// han is [一-龥ࠀ-一가-퟿] of DeepSeek's first tokenisers.
func han(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FA5 || r >= 0x0800 && r <= 0x4E00 || r >= 0xAC00 && r <= 0xD7FF
}

func lineEnd(r rune) bool { return r == '\r' || r == '\n' }

// deepseekCoder is [\r\n] then \s?\p{L}+ then \s?\p{P}+ then han then \p{N}.
func deepseekCoder() []splitter {
	return []splitter{
		runOf{in: lineEnd, most: 1, least: 1}.splitter(),
		runOf{in: unicode.IsLetter, least: 1, lead: true}.splitter(),
		runOf{in: unicode.IsPunct, least: 1, lead: true}.splitter(),
		runOf{in: han, least: 1}.splitter(),
		numbers(1),
	}
}

// deepseekLLM is [\r\n], then words, signs, trailing white space, han and numbers.
func deepseekLLM() []splitter {
	return []splitter{
		runOf{in: lineEnd, most: 1, least: 1}.splitter(),
		runOf{in: func(r rune) bool { return unicode.Is(deepseekLetters, r) }, least: 1, lead: true}.splitter(),
		runOf{in: plainSign, least: 1, lead: true}.splitter(),
		trailingSpace{},
		runOf{in: han, least: 1}.splitter(),
		numbers(0),
	}
}

// plainSign is [!-/:-~！-／：-～‘-‟　-。].
func plainSign(r rune) bool {
	switch {
	case r >= '!' && r <= '/', r >= ':' && r <= '~', r >= 0xFF01 && r <= 0xFF0F, r >= 0xFF1A && r <= 0xFF5E,
		r >= 0x2018 && r <= 0x201F, r >= 0x3000 && r <= 0x3002:
		return true
	}
	return false
}

// trailingSpace is \s+$.
type trailingSpace struct{}

func (trailingSpace) split(dst []span, text string, p span) []span {
	body := p.from + len(strings.TrimRightFunc(text[p.from:p.to], unicode.IsSpace))
	if body > p.from {
		dst = append(dst, span{p.from, body})
	}
	if body < p.to {
		dst = append(dst, span{body, p.to})
	}
	return dst
}

// hanKana is [一-龥぀-ゟ゠-ヿ].
func hanKana(r rune) bool { return r >= 0x4E00 && r <= 0x9FA5 || r >= 0x3040 && r <= 0x30FF }
