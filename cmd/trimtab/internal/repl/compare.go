// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/runtime"
)

// wide is the least number of columns for two answers beside each other.
const wide = 100

// compare answers the last message again without steering, with the same prompt and seed, and shows both answers.
func (c *Chat) compare(ctx context.Context, _ string) error {
	last := c.talk.last
	if last == nil {
		return errors.New("compare: there is no answer yet to compare with")
	}
	s, err := c.model.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	set := c.settings
	set.Seed, set.Fixed = last.Seed, true
	if c.screen.width() < wide {
		return c.inTurn(func(show func(string)) error {
			_, err := c.plain(ctx, s, last.PromptIDs, set, show)
			return err
		})
	}
	fmt.Fprint(c.screen.out, c.screen.paint(dim, "answering without steering ..."))
	plain, err := c.plain(ctx, s, last.PromptIDs, set, func(string) {})
	c.screen.print("\r\x1b[K")
	if err != nil {
		return err
	}
	c.screen.model(columns(last.under, last.Text, "no steering", plain.Text, c.screen.width()))
	return nil
}

// plain answers on a session without steering, and adds that to the receipt.
func (c *Chat) plain(ctx context.Context, s *runtime.Session, prompt []int32, set answer.Settings, show func(string)) (*answer.Answer, error) {
	if c.receipt == nil {
		return answer.Ask(ctx, s, prompt, &set, show)
	}
	set.LogProbs = max(set.LogProbs, 1)
	got, err := answer.Ask(ctx, s, prompt, &set, show)
	return got, errors.Join(err, c.receipt.Add(&receipt.Asked{Session: s, Settings: set, Broken: err != nil}, got))
}

// inTurn shows the answers one after the other, the second as it comes.
func (c *Chat) inTurn(ask func(show func(string)) error) error {
	c.screen.println("--- " + c.talk.last.under)
	first, second := newFlow(c.screen), newFlow(c.screen)
	first.write(c.talk.last.Text)
	first.flush()
	c.screen.println("\n--- no steering")
	err := ask(second.write)
	second.flush()
	c.screen.println("")
	return err
}

// columns sets two texts beside each other.
func columns(leftHead, left, rightHead, right string, width int) string {
	each := (width - 3) / 2
	a := append([]string{leftHead, strings.Repeat("─", each)}, wrap(left, each)...)
	b := append([]string{rightHead, strings.Repeat("─", each)}, wrap(right, each)...)
	var out strings.Builder
	for i := range max(len(a), len(b)) {
		l, r := "", ""
		if i < len(a) {
			l = a[i]
		}
		if i < len(b) {
			r = b[i]
		}
		out.WriteString(l + strings.Repeat(" ", max(each-uniseg.StringWidth(l), 0)) + " │ " + r + "\n")
	}
	return out.String()
}

// wrap breaks a text into lines of at most so many columns, where Unicode allows a break (UAX 14) or else between characters.
func wrap(text string, width int) []string {
	var out []string
	for _, paragraph := range strings.Split(strings.ReplaceAll(strings.TrimSpace(text), "\t", "    "), "\n") {
		line := ""
		for rest, state := paragraph, -1; rest != ""; {
			var piece string
			piece, rest, _, state = uniseg.FirstLineSegmentInString(rest, state)
			if line != "" && uniseg.StringWidth(line+strings.TrimRight(piece, " ")) > width {
				out, line = append(out, strings.TrimRight(line, " ")), ""
			}
			line += piece
			for uniseg.StringWidth(strings.TrimRight(line, " ")) > width {
				head := fit(line, width)
				out, line = append(out, head), line[len(head):]
			}
		}
		if line != "" || paragraph == "" {
			out = append(out, strings.TrimRight(line, " "))
		}
	}
	return out
}

// fit returns as many characters of text as stand in width columns, one at least.
func fit(text string, width int) string {
	used, end := 0, 0
	for rest, state := text, -1; rest != ""; {
		var cluster string
		var columns int
		cluster, rest, columns, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if end > 0 && used+columns > width {
			break
		}
		used, end = used+columns, end+len(cluster)
	}
	return text[:end]
}
