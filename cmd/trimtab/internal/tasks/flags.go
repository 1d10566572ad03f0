// SPDX-License-Identifier: Apache-2.0

package tasks

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/rules"
)

// flags are fifteen countries by the three colours of their flags, in the order in which they are read.
func flags() map[string][3]string {
	return map[string][3]string{
		"France": {"blue", "white", "red"}, "Italy": {"green", "white", "red"}, "Ireland": {"green", "white", "orange"},
		"Belgium": {"black", "yellow", "red"}, "Germany": {"black", "red", "yellow"}, "Netherlands": {"red", "white", "blue"},
		"Russia": {"white", "blue", "red"}, "Romania": {"blue", "yellow", "red"}, "Bulgaria": {"white", "green", "red"},
		"Hungary": {"red", "white", "green"}, "Lithuania": {"yellow", "green", "red"}, "Estonia": {"blue", "black", "white"},
		"Mali": {"green", "yellow", "red"}, "Guinea": {"red", "yellow", "green"}, "Armenia": {"red", "blue", "orange"},
	}
}

// cues are things that have a colour; the last two of each are asked about, the others are fitted on.
func cues() map[string][]string {
	return map[string][]string{
		"red":    {"fresh blood", "a ripe tomato", "a fire engine", "a strawberry", "a cherry", "a stop sign"},
		"white":  {"fresh snow", "milk", "a polar bear", "chalk", "a swan", "cotton"},
		"blue":   {"a clear sky", "the deep sea", "a sapphire", "jeans", "a blueberry", "the ocean"},
		"green":  {"grass", "a frog", "a lime", "spinach", "a cucumber", "the leaves in spring"},
		"yellow": {"a lemon", "the sun", "a banana", "butter", "a canary", "a sunflower"},
		"black":  {"coal", "the night", "a raven", "tar", "a panther", "ink"},
		"orange": {"a carrot", "a pumpkin", "a tangerine", "an apricot", "a mandarin", "a goldfish"},
	}
}

// Countries returns the answers of Flags, in order.
func Countries() []string { return slices.Sorted(maps.Keys(flags())) }

func wagons() [3]string { return [3]string{"first", "second", "third"} }

// says describes a wagon's colour, by its name or by something that has it.
func says(wagon, colour, cue string) string {
	if cue == "" {
		return fmt.Sprintf("The %s wagon is %s.", wagon, colour)
	}
	return fmt.Sprintf("The %s wagon has the colour of %s.", wagon, cue)
}

// flagRules are the fifteen rules.
func flagRules() (*rules.Program, error) {
	var b strings.Builder
	for country, c := range flags() {
		fmt.Fprintf(&b, "first_%s and second_%s and third_%s -> %s\n", c[0], c[1], c[2], country)
	}
	return rules.Parse(b.String())
}

// Flags asks n times which country's colours a train's wagons have, with the colours named and with things that have them.
func Flags(ctx context.Context, c *Chooser, d *Detector, n int, progress func(done, total int64)) ([]Result, error) {
	if err := d.fitColours(ctx); err != nil {
		return nil, err
	}
	program, err := flagRules()
	if err != nil {
		return nil, err
	}
	m, err := program.Compile(program.World)
	if err != nil {
		return nil, err
	}
	out := []Result{{Task: "flags, colours named", Chance: "1/15"}, {Task: "flags, colours described", Chance: "1/15"}}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		country := r.IntN(len(flags()))
		for j := range out {
			if err := flag(ctx, c, d, m, &out[j], country, j == 1, r); err != nil {
				return nil, err
			}
			progress(int64(2*i+j+1), int64(2*n))
		}
	}
	return out, nil
}

func flag(ctx context.Context, c *Chooser, d *Detector, m *rules.Machine, res *Result, country int, described bool, r *rand.Rand) error {
	colours := flags()[Countries()[country]]
	train, spans := "", [][]gather.Span{}
	for i, wagon := range wagons() {
		cue := ""
		if described {
			cue = cues()[colours[i]][4+r.IntN(2)]
		}
		from := len(train)
		train += says(wagon, colours[i], cue)
		spans = append(spans, []gather.Span{{From: from, To: len(train)}})
		train += " "
	}
	text := flagQuestion(train)
	plain, err := c.Plain(ctx, text)
	if err != nil {
		return err
	}
	res.Plain.Add(plain == country)
	pushed, err := c.Pushed(ctx, text, country)
	if err != nil {
		return err
	}
	res.Read.Add(pushed == country)
	seen, err := d.detect(ctx, train, spans, true)
	if err != nil {
		return err
	}
	var facts []rules.Literal
	for i, wagon := range wagons() {
		res.Detected.Add(seen[i] == colours[i])
		facts = append(facts, rules.Is(wagon+"_"+seen[i]))
	}
	choice := plain
	for _, l := range m.Infer(facts...).Derived() {
		at := slices.Index(Countries(), l.Name)
		if choice, err = c.Pushed(ctx, text, at); err != nil {
			return err
		}
	}
	res.Reasoned.Add(choice == country)
	return nil
}

func flagQuestion(train string) string {
	var b strings.Builder
	for _, name := range Countries() {
		c := flags()[name]
		fmt.Fprintf(&b, "The flag of %s is %s, %s, %s. ", name, c[0], c[1], c[2])
	}
	return b.String() + "A train has three wagons in the colours of a flag, in this order. " + train + "Which country's flag is it? Answer with the country's name."
}

// fitColours makes a concept of every colour from wagons whose colours are named or described.
func (d *Detector) fitColours(ctx context.Context) error {
	var texts []marked
	names := slices.Sorted(maps.Keys(cues()))
	for i := range 6 {
		for _, name := range names {
			cue := ""
			if i < 4 {
				cue = cues()[name][i]
			}
			text := says(wagons()[i%3], name, cue)
			texts = append(texts, marked{text, map[string][]gather.Span{name: {{From: 0, To: len(text)}}}})
		}
	}
	return d.fit(ctx, names, texts, concepts.Defaults(), true)
}
