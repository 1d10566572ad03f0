// SPDX-License-Identifier: Apache-2.0

package tokenizer_test

import (
	"fmt"

	"github.com/trimtab/trimtab/models/tokenizer"
)

func ExampleFromGGUF() {
	c, err := tokenizer.FromGGUF(tokenizer.GGUF{
		Model: "gpt2", Pre: "gpt-2",
		Tokens: []string{"a", "b", "ab", "Ġ", "Ġab", "<|end|>"},
		Types:  []int32{1, 1, 1, 1, 1, 3},
		Merges: []string{"a b", "Ġ ab"},
		BOS:    -1, EOS: 5, EOT: -1, EOM: -1, UNK: -1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Encode(nil, "ab ab<|end|>", true), c.EOG())
	s := tokenizer.NewStream(c)
	fmt.Printf("%q %q\n", s.Push(2), s.Push(4))
	// Output:
	// [2 4 5] [5]
	// "ab" " ab"
}
