// SPDX-License-Identifier: Apache-2.0

package tokenizer

import "strings"

// The splits of cl100k_base (GPT-4, Llama 3: up to three digits) and of Qwen2 (one digit).
const (
	patternLlama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// cl100k is the family's pattern by hand.
type cl100k struct {
	digits int // longest group of digits
}

func (p cl100k) cut(s string, i int) int {
	if n := contraction(s[i:], true); n > 0 {
		return i + n
	}
	c, n := classAt(s, i)
	switch {
	case c == letter:
		return run(s, i+n, letter)
	case c == number:
		return digits(s, i, p.digits)
	case s[i] != '\r' && s[i] != '\n' && i+n < len(s):
		if next, m := classAt(s, i+n); next == letter {
			return run(s, i+n+m, letter)
		}
	}
	return signs(s, i, "\r\n")
}

// digits is the end of at most most numbers.
func digits(s string, i, most int) int {
	for range most {
		if i == len(s) {
			break
		}
		c, n := classAt(s, i)
		if c != number {
			break
		}
		i += n
	}
	return i
}

// signs is ` ?[^\s\p{L}\p{N}]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+` at a character that is neither letter nor number.
func signs(s string, i int, tail string) int {
	start := i
	if s[i] == ' ' {
		start++
	}
	if start < len(s) {
		if c, n := classAt(s, start); c == other {
			end := run(s, start+n, other)
			for end < len(s) && strings.IndexByte(tail, s[end]) >= 0 {
				end++
			}
			return end
		}
	}
	end := run(s, i, space)
	if k := strings.LastIndexAny(s[i:end], "\r\n"); k >= 0 {
		return i + k + 1
	}
	return blank(s, i, end)
}
