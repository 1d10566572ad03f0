// SPDX-License-Identifier: Apache-2.0

package stimuli

import (
	"fmt"
	"strings"

	"github.com/trimtab/trimtab/models/chat"
)

// Persona makes pairs as repeng does: a user asks for a persona, and the model is made to begin an answer that is the same for both.
type Persona struct {
	Positive, Negative string
	Template           string   // what the user asks for, with {persona} in it; "" is a built-in one
	Suffixes           []string // beginnings of answers; nil are built-in ones
}

// persona is the request where none is given.
const persona = "Act as if you are extremely {persona}. Speak about the world as you see it."

// Pairs returns one pair a suffix.
func (p Persona) Pairs() ([]Pair, error) {
	if p.Template == "" {
		p.Template = persona
	}
	if p.Suffixes == nil {
		p.Suffixes = suffixes()
	}
	if !strings.Contains(p.Template, "{persona}") {
		return nil, fmt.Errorf("want {persona} in the template, found %q", p.Template)
	}
	out := make([]Pair, 0, len(p.Suffixes))
	for _, s := range p.Suffixes {
		out = append(out, Pair{p.text(p.Positive, s), p.text(p.Negative, s)})
	}
	return out, nil
}

func (p *Persona) text(who, suffix string) Text {
	asked := strings.ReplaceAll(p.Template, "{persona}", who)
	return Text{Messages: []chat.Message{{Role: "user", Content: asked}}, Answer: suffix}
}

// suffixes are beginnings of answers that fit most personas.
func suffixes() []string {
	return []string{
		"I", "I feel", "Today", "The world", "When I woke up this morning,", "My friends", "The weather", "People", "Life is", "Yesterday I",
		"Honestly,", "What I think about", "The best part", "At work,", "It seems that", "Let me tell you", "Looking out of the window,", "My family",
		"The future", "Every day", "If you ask me,", "Music", "In the end,", "There is",
	}
}
