// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/steering"
)

// replayed is one token of a saved run with what led to it.
type replayed struct {
	Token string `json:"token"`
	*steering.Explanation
}

// replay explains every token of a run that generate --json printed, from what was reported then: no model is needed.
func (v *reasonVerb) replay(path string) error {
	spec := steering.Spec{Kind: steering.KindRules, Sources: []steering.Source{{Path: path}}}
	h, err := steering.Open(&spec)
	if err != nil {
		return fmt.Errorf("reason: %w", err)
	}
	r := h.(*steering.Reasoning)
	data, err := os.ReadFile(v.saved)
	if err != nil {
		return fmt.Errorf("reason: --replay: %w", err)
	}
	var a answer.Answer
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("reason: --replay: %s: want what generate --json prints: %w", v.saved, err)
	}
	if len(a.Tokens) == 0 {
		return fmt.Errorf("reason: --replay: %s: want a run with rules attached, found tokens without readings", v.saved)
	}
	if err := checkRun(&a); err != nil {
		return fmt.Errorf("reason: --replay: %s: %w", v.saved, err)
	}
	pieces := make([]string, len(a.PromptIDs)+len(a.Tokens))
	for _, t := range a.Prompt {
		pieces[t.Position] = t.Token
	}
	for i, t := range a.Tokens {
		pieces[len(a.PromptIDs)+i] = t.Token
	}
	readings := a.Readings()
	for _, t := range a.Tokens {
		e := r.Explain(readings, len(a.PromptIDs), t.Position)
		if v.json {
			if err := jsonTo(v.out).Encode(replayed{t.Token, e}); err != nil {
				return err
			}
			continue
		}
		words := e.Words(func(p int) string { return pieces[p] })
		fmt.Fprintf(v.out, "%q:\n  %s\n", t.Token, strings.ReplaceAll(strings.TrimSpace(words), "\n", "\n  "))
	}
	return nil
}

// checkRun refuses positions that a saved run cannot have.
func checkRun(a *answer.Answer) error {
	for _, t := range slices.Concat(a.Prompt, a.Tokens) {
		if t.Position < 0 || t.Position >= len(a.PromptIDs)+len(a.Tokens) {
			return fmt.Errorf("want positions between 0 and %d, found %d", len(a.PromptIDs)+len(a.Tokens)-1, t.Position)
		}
	}
	return nil
}
