// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"slices"
	"strings"
)

// endings are the ids that end a generation: those the file names, and special tokens whose name says so in the published chat formats.
func endings(c *Coder, named ...int32) []int32 {
	var ids []int32
	for _, id := range named {
		if id >= 0 {
			ids = append(ids, id)
		}
	}
	for _, t := range c.raw.tokens {
		if endsGeneration(t.text) && !harmonyChannelEnd(c, t.text) {
			ids = append(ids, t.id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// markup says that an added token's name has the shape of chat markup, whatever its file says it is: text must not become one.
func markup(name string) bool {
	return endsGeneration(name) || strings.HasPrefix(name, "<|") && strings.HasSuffix(name, "|>") ||
		strings.HasPrefix(name, "<｜") && strings.HasSuffix(name, "｜>")
}

func endsGeneration(name string) bool {
	switch name {
	case "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<|end_of_turn|>", "<end_of_turn>",
		"<end_of_utterance>", "<|return|>", "<|call|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<｜end▁of▁sentence｜>":
		return true
	}
	return false
}

// harmonyChannelEnd says that <|end|> only closes a channel: in vocabularies that end turns by <|return|> and <|call|>.
func harmonyChannelEnd(c *Coder, name string) bool {
	_, returns := c.names["<|return|>"]
	_, calls := c.names["<|call|>"]
	return name == "<|end|>" && returns && calls
}
