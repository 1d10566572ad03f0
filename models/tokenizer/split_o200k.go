// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// The splits of o200k_base (GPT-4o, Llama 4) and of Mistral's Tekken, which has single digits and no contractions.
const (
	patternO200k  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternTekken = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// o200k is the family's pattern by hand.
type o200k struct {
	digits       int
	contractions bool
}

func (p o200k) cut(s string, i int) int {
	if end := p.word(s, i); end > i {
		return end
	}
	if c, _ := classAt(s, i); c == number {
		return digits(s, i, p.digits)
	}
	return signs(s, i, "\r\n/")
}

// word tries the two alternatives for words, each first with and then without a leading sign.
func (p o200k) word(s string, i int) int {
	c, n := classAt(s, i)
	starts := [2]int{-1, i}
	if c != letter && c != number && s[i] != '\r' && s[i] != '\n' {
		starts[0] = i + n
	}
	for _, shape := range [2]func(string, int) int{smallEnd, capitals} {
		for _, at := range starts {
			if at < 0 {
				continue
			}
			if end := shape(s, at); end > at {
				return p.suffix(s, end)
			}
		}
	}
	return i
}

func (p o200k) suffix(s string, end int) int {
	if p.contractions {
		return end + contraction(s[end:], true)
	}
	return end
}

// smallEnd matches [upper]*[lower]+ ; both sets share modifiers, other letters and marks, so the first gives back what the second needs.
func smallEnd(s string, at int) int {
	upEnd, both := at, -1
	for upEnd < len(s) {
		up, low, n := caseAt(s, upEnd)
		if !up {
			break
		}
		if low {
			both = upEnd + n
		}
		upEnd += n
	}
	if end := lowers(s, upEnd); end > upEnd {
		return end
	}
	return max(both, at)
}

// capitals matches [upper]+[lower]*.
func capitals(s string, at int) int {
	end := at
	for end < len(s) {
		up, _, n := caseAt(s, end)
		if !up {
			break
		}
		end += n
	}
	if end == at {
		return at
	}
	return lowers(s, end)
}

func lowers(s string, i int) int {
	for i < len(s) {
		_, low, n := caseAt(s, i)
		if !low {
			break
		}
		i += n
	}
	return i
}

// caseAt says to which of the two sets the character at s[i] belongs.
func caseAt(s string, i int) (upper, lower bool, n int) {
	b := s[i]
	if b < utf8.RuneSelf {
		return b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z', 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	switch {
	case unicode.In(r, unicode.Lm, unicode.Lo, unicode.M):
		return true, true, n
	case unicode.In(r, unicode.Lu, unicode.Lt):
		return true, false, n
	case unicode.Is(unicode.Ll, r):
		return false, true, n
	}
	return false, false, n
}
