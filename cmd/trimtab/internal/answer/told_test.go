// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// TestTold: readings of the last prompt position belong to the first token, earlier ones to the prompt, those of a later pass to the token chosen behind it.
func TestTold(t *testing.T) {
	c := collector{answer: &Answer{PromptIDs: []int32{5, 6, 7}}, piece: func(id int32) string { return string(rune('a' + id)) }}
	at := func(kind hooks.ReadingKind, position int) hooks.Reading {
		return hooks.Reading{Site: hooks.At(hooks.ResidPost, 1), Kind: kind, Position: position, Index: int32(position)}
	}
	c.take(&runtime.Token{ID: 1, Readings: []hooks.Reading{at(hooks.Feature, 0), at(hooks.Feature, 1), at(hooks.Feature, 2), at(hooks.Rule, 1)}})
	c.take(&runtime.Token{ID: 2, Readings: []hooks.Reading{at(hooks.Feature, 3)}})
	a := c.done()
	if len(a.Prompt) != 2 || a.Prompt[0].ID != 5 || a.Prompt[1].Token != "g" || len(a.Prompt[1].Fired) != 1 {
		t.Errorf("prompt: %+v", a.Prompt)
	}
	if got := len(a.Readings()); got != 5 {
		t.Errorf("%d readings for a replay, want the 5 that came", got)
	}
	if len(a.Tokens) != 2 || a.Tokens[0].Position != 2 || a.Tokens[0].Features[0].Index != 2 || a.Tokens[1].Position != 3 || a.Tokens[1].ID != 2 {
		t.Errorf("tokens: %+v", a.Tokens)
	}
}
