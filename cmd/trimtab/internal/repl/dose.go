// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/models/chat"
)

// Defaults of /dose: a budget in nats, and tokens of text for its perplexity.
const (
	doseBudget = 0.5
	doseTokens = 24
)

// openers are what steering is measured on beside the conversation.
func openers() []string {
	return []string{"How was your day?", "Tell me something about the sea.", "What should I cook tonight?"}
}

// doseArgs is what stands behind /dose, in any order.
type doseArgs struct {
	name    string
	budget  float64
	measure string // a file
}

func parseDose(arg string) doseArgs {
	out := doseArgs{budget: doseBudget}
	for _, word := range strings.Fields(arg) {
		if f, err := strconv.ParseFloat(word, 64); err == nil {
			out.budget = f
			continue
		}
		if strings.HasSuffix(word, ".json") {
			out.measure = word
			continue
		}
		out.name = word
	}
	return out
}

// dose measures what a steering does as it stands, and finds the strength that meets a budget. Strengths stay as they are.
func (c *Chat) dose(ctx context.Context, arg string) error {
	args := parseDose(arg)
	a, err := c.rig.find(args.name)
	if err != nil {
		return fmt.Errorf("dose: %w", err)
	}
	meter, err := c.meter(ctx, args.measure)
	if err != nil {
		return err
	}
	before := a.Strength().Value()
	defer a.Strength().Set(before)
	plain, err := meter.Write(ctx, doseTokens)
	if err != nil {
		return err
	}
	now, text, err := c.doseNow(ctx, meter, a)
	if err != nil {
		return err
	}
	found, err := meter.Find(ctx, a.Hook, args.budget, doseTokens, plain)
	if err != nil {
		return err
	}
	if err := c.doseTable(meter, plain, now, text, found); err != nil {
		return err
	}
	if words := meter.Verdict(a.Hook, now, text.Broken(plain)); words != "" {
		c.screen.println(fmt.Sprintf("at %g: %s", before, words))
	}
	if found.Verdict != "" {
		c.screen.println(fmt.Sprintf("at %.4g: %s", found.Result.At.Strength, found.Verdict))
	}
	if found.Result.Met {
		c.screen.println(fmt.Sprintf("/alpha %s %.4g meets a KL of %g", a.name, found.Result.At.Strength, args.budget))
	}
	return nil
}

// meter reads the plain model on the last prompt and on a few more.
func (c *Chat) meter(ctx context.Context, file string) (*dose.Meter, error) {
	var measure *dose.Measure
	if file != "" {
		var err error
		if measure, err = dose.ReadMeasure(file, c.model); err != nil {
			return nil, err
		}
	}
	var prompts [][]int32
	if c.talk.last != nil {
		prompts = append(prompts, c.talk.last.PromptIDs)
	}
	for _, text := range openers() {
		ids, err := c.prompt([]chat.Message{{Role: "user", Content: text}})
		if err != nil {
			return nil, err
		}
		prompts = append(prompts, ids)
	}
	return dose.NewMeter(ctx, c.model, prompts, measure)
}

// doseNow measures a steering at the strength that it has.
func (c *Chat) doseNow(ctx context.Context, meter *dose.Meter, a *attached) (*dose.Point, *dose.Reading, error) {
	s, err := meter.Steer(a.Hook)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	p, err := s.At(ctx, float64(a.Strength().Value()))
	if err != nil {
		return nil, nil, err
	}
	text, err := s.Write(ctx, doseTokens)
	return &p, text, err
}

// doseTable prints what was measured, in rising order of strength.
func (c *Chat) doseTable(meter *dose.Meter, plain *dose.Reading, now *dose.Point, text *dose.Reading, found *dose.Dose) error {
	w := tabwriter.NewWriter(c.screen.out, 0, 0, 2, ' ', 0)
	measured := meter.Measured() != ""
	head := "\tstrength\tKL\tedit/activation"
	if measured {
		head += "\t" + meter.Measured()
	}
	fmt.Fprintln(w, head+"\tperplexity")
	line := func(name string, p *dose.Point, text *dose.Reading) {
		fmt.Fprintf(w, "%s\t%.4g\t%.3f\t%.3f", name, p.Strength, p.KL, p.Ratio)
		if measured {
			fmt.Fprintf(w, "\t%.3f", p.Value)
		}
		if text == nil {
			fmt.Fprintln(w, "\t")
			return
		}
		fmt.Fprintf(w, "\t%.3g\n", text.Perplexity)
	}
	line("plain", &dose.Point{Value: meter.Plain()}, plain)
	for i := range found.Result.Points {
		p := &found.Result.Points[i]
		if p.Strength != found.Result.At.Strength {
			line("", p, nil)
			continue
		}
		line("found", p, found.Text)
	}
	line("now", now, text)
	return w.Flush()
}
