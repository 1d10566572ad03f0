// SPDX-License-Identifier: Apache-2.0

package tokenizer

// patternGPT2 is the split of GPT-2's encoder.
const patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// cutGPT2 is patternGPT2 by hand.
func cutGPT2(s string, i int) int {
	if n := contraction(s[i:], false); n > 0 {
		return i + n
	}
	c, n := classAt(s, i)
	if s[i] == ' ' && i+1 < len(s) {
		if next, m := classAt(s, i+1); next != space {
			return run(s, i+1+m, next)
		}
	}
	end := run(s, i+n, c)
	if c == space {
		return blank(s, i, end)
	}
	return end
}
