// SPDX-License-Identifier: Apache-2.0

package tokenizer

import "unicode/utf8"

// GPT-2 writes each byte of a token as one printable character: printable Latin-1 bytes stand for themselves,
// the 68 others are numbered upwards from U+0100 in byte order (bytes_to_unicode of the GPT-2 encoder).
const alphabetEnd = 256 + 68

// printable says whether the byte-level alphabet writes b as itself.
func printable(b int) bool {
	return b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE
}

// alphabet maps characters of the byte-level alphabet to bytes.
type alphabet [alphabetEnd]int16

func newAlphabet() *alphabet {
	var a alphabet
	for i := range a {
		a[i] = -1
	}
	next := 256
	for b := range 256 {
		if printable(b) {
			a[b] = int16(b)
			continue
		}
		a[next] = int16(b)
		next++
	}
	return &a
}

// appendBytes appends the bytes that a byte-level token stands for; false when a character is outside the alphabet.
func (a *alphabet) appendBytes(dst []byte, token string) ([]byte, bool) {
	for _, r := range token {
		if r >= alphabetEnd || a[r] < 0 {
			return dst, false
		}
		dst = append(dst, byte(a[r]))
	}
	return dst, true
}

// decode returns the bytes of a byte-level token, and the token itself when it is not in the alphabet.
func (a *alphabet) decode(token string) string {
	if asciiPrintable(token) {
		return token
	}
	b, ok := a.appendBytes(make([]byte, 0, len(token)), token)
	if !ok {
		return token
	}
	return string(b)
}

func asciiPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

// hexByte reads a byte-fallback token such as <0x0A>.
func hexByte(token string) (byte, bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	hi, ok1 := hexDigit(token[3])
	lo, ok2 := hexDigit(token[4])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// runeLen is the length of the first character of s; a byte that is not UTF-8 counts as one character.
func runeLen(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}
