// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// generateVerb is one call of generate.
type generateVerb struct {
	*app
	model    modelFlags
	prompt   promptFlags
	steer    steerFlag
	trust    trustFlags
	settings answer.Settings
	in       string
	parallel int
	json     bool
	to       *receipt.Recorder // nil: no receipt was asked for
}

func (a *app) generate() *cobra.Command {
	v := &generateVerb{app: a, settings: answer.Defaults()}
	c := &cobra.Command{
		Use:   "generate MODEL (--prompt TEXT | --messages FILE | --ids IDS | --in FILE.jsonl)",
		Short: "Continue a prompt",
		Long: "Continues one prompt and prints the text as it comes, or answers a file of prompts, a JSON line for each.\n\n" +
			"Lines of --in hold one of messages, prompt and ids; other fields are carried over unless a result has their name.",
		Example: "  trimtab generate model.gguf --prompt 'The capital of France is' -n 20 --temp 0\n" +
			"  trimtab generate model.gguf --messages chat.json --steer vector:happy.gguf*4 --json\n" +
			"  trimtab generate model.gguf --in prompts.jsonl --parallel 8 -n 100 > answers.jsonl",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, c *cobra.Command, args []string) error { return v.run(ctx, c, args[0]) })
	c.Flags().SortFlags = false
	v.prompt.add(c)
	c.Flags().StringVar(&v.in, "in", "", "JSONL file of prompts; - is standard input")
	c.Flags().IntVar(&v.parallel, "parallel", 1, "answers of --in at the same time, which share passes of the model; each is as it would be alone")
	one := append(v.prompt.names(), "in")
	c.MarkFlagsOneRequired(one...)
	c.MarkFlagsMutuallyExclusive(one...)
	c.Flags().AddFlagSet(v.settings.Flags())
	c.Flags().IntVar(&v.settings.LogProbs, "logprobs", 0, "with each token, the N likeliest and their log-probabilities (JSON)")
	c.Flags().BoolVar(&v.json, "json", false, "print one JSON object rather than text")
	v.steer.add(c)
	v.trust.add(c)
	v.model.add(c)
	return c
}

func (v *generateVerb) run(ctx context.Context, c *cobra.Command, path string) (err error) {
	if err := v.check(); err != nil {
		return usageError{err}
	}
	if v.in != "" {
		return v.batch(ctx, path)
	}
	p, err := v.prompt.read(v.app, c)
	if err != nil {
		return err
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	ids, err := p.tokens(m)
	if err != nil {
		return err
	}
	list, err := v.steer.load(ctx, m, v.err)
	if err != nil {
		return err
	}
	list, conditions, err := watchConditions(m, list)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			sayUnfired(v.err, conditions)
		}
	}()
	if v.to, err = v.trust.recorder(m); err != nil {
		return err
	}
	defer closing(v.to, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	if v.json {
		got, err := v.ask(ctx, m, list, ids, func(string) {})
		if err != nil {
			return err
		}
		return jsonTo(v.out).Encode(got)
	}
	got, err := v.ask(ctx, m, list, ids, func(text string) { io.WriteString(v.out, text) })
	if got != nil && got.Text != "" && !strings.HasSuffix(got.Text, "\n") {
		fmt.Fprintln(v.out)
	}
	return err
}

// ask answers a prompt in a session of its own, so that an answer does not depend on others, and adds it to the receipt.
func (v *generateVerb) ask(ctx context.Context, m *runtime.Model, list []hooks.Hook, ids []int32, show func(string)) (*answer.Answer, error) {
	s, err := v.trust.rig(m, list)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	set := v.settings
	if v.to != nil {
		set.LogProbs = max(set.LogProbs, 1)
	}
	got, err := answer.Ask(ctx, s.Session, ids, &set, show)
	err = errors.Join(err, s.record(v.to, v.trust.limits, &set, got, err))
	if v.settings.LogProbs == 0 {
		got.LogProbs = nil
	}
	held := got.Held()
	if words := held.Words(v.trust.limits); words != "" {
		fmt.Fprintln(v.err, words)
	}
	return got, err
}

func (v *generateVerb) check() error {
	if v.parallel < 1 {
		return fmt.Errorf("--parallel: want at least 1, found %d", v.parallel)
	}
	if v.parallel > 1 && (v.in == "" || v.trust.receipt != "") {
		return fmt.Errorf("--parallel %d: want --in, and no --receipt, which has answers one after the other", v.parallel)
	}
	if v.settings.LogProbs < 0 {
		return fmt.Errorf("--logprobs: want at least 0, found %d", v.settings.LogProbs)
	}
	if v.settings.LogProbs > 0 && !v.json && v.in == "" {
		return errors.New("--logprobs: want --json with it")
	}
	return errors.Join(v.trust.check(), v.settings.Check())
}
