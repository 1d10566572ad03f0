// SPDX-License-Identifier: Apache-2.0

// Package tokenizer turns text into token ids and back, in plain Go.
//
// A [Coder] is read from a GGUF file's metadata ([FromGGUF]), from a tokenizer.json ([FromJSON]) or from a SentencePiece
// tokenizer.model ([FromSentencePiece]); [Open] finds the latter two in a model's folder. What Go does not implement is an
// [UnsupportedError], and [FromEngine] makes a Coder of the library behind cgo/tokenizers then. [Stream] turns ids into text
// as they are generated.
package tokenizer

// Tokenizer is what the rest of the module needs of a tokenizer; *Coder is one, and tests have small ones.
// All methods may be called from several goroutines at once.
type Tokenizer interface {
	// Encode appends the ids of text to dst. With parseSpecial, special tokens written out in text become their ids;
	// without, they are ordinary text. Nothing is added before or after.
	Encode(dst []int32, text string, parseSpecial bool) []int32
	// EncodeGuarded is Encode with parseSpecial, except that a special token is not recognised where one of the
	// ascending byte offsets lies strictly inside it: text that may not be trusted is kept from forming one.
	EncodeGuarded(dst []int32, text string, guards []int) []int32
	// Piece is the bytes that a token adds to a text, from a table; they may be part of a character. Empty when id is outside the vocabulary.
	Piece(id int32) string
	// Decode is the text of the ids as raw bytes, with TrimsFirst applied.
	Decode(ids []int32) string
	// TrimsFirst says that a text loses the one space that its first piece may begin with.
	TrimsFirst() bool
	// ID is the id of the token whose bytes, or whose name for a special token, are piece.
	ID(piece string) (int32, bool)
	// Special says whether a token is markup, not text.
	Special(id int32) bool
	// Specials are the texts of all special tokens that Encode may recognise.
	Specials() []string
	// Vocab is one more than the largest id.
	Vocab() int
	// BOS is the id that begins a text, or -1.
	BOS() int32
	// EOS is the id that ends a text, or -1.
	EOS() int32
	// EOG are all ids that end a generation, ascending: end of text, of turn and of message.
	EOG() []int32
	// AddBOS says whether the model expects BOS before a text; a rendered chat template has it already.
	AddBOS() bool
}
