// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/repl"
)

// answerLimit keeps an answer that steering sent round in circles from filling the context.
const answerLimit = 1024

func (a *app) chat() *cobra.Command {
	var model modelFlags
	var steer steerFlag
	var trust trustFlags
	cfg := repl.Config{In: a.in, Out: a.out, Err: a.err, Settings: answer.Defaults()}
	cfg.Settings.MaxTokens = answerLimit
	c := &cobra.Command{
		Use:   "chat MODEL",
		Short: "Chat with a model and steer it",
		Long: "Reads messages and commands, line by line, and answers. /help lists the commands.\n" +
			"Without a terminal it prints answers only, and the first error ends it.",
		Example: "  trimtab chat model.gguf\n" +
			"  trimtab chat model.gguf --steer vector:happy.gguf*4@resid_post.10-20\n" +
			"  printf 'hello\\n' | trimtab chat model.gguf --temp 0",
		Args: cobra.ExactArgs(1),
	}
	run := func(ctx context.Context, path string) (err error) {
		if err := errors.Join(trust.check(), cfg.Settings.Check()); err != nil {
			return usageError{err}
		}
		m, err := model.open(ctx, path, a.err)
		if err != nil {
			return err
		}
		defer closing(m, &err)
		if cfg.Receipt, err = trust.recorder(m); err != nil {
			return err
		}
		defer closing(cfg.Receipt, &err)
		cfg.Steer, cfg.Limits, cfg.Unproved = steer.specs, trust.limits, steer.unproved
		return repl.Run(ctx, m, cfg)
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return run(ctx, args[0]) })
	c.Flags().SortFlags = false
	c.Flags().AddFlagSet(cfg.Settings.Flags())
	c.Flags().StringVar(&cfg.System, "system", "", "system prompt")
	steer.add(c)
	trust.add(c)
	model.add(c)
	return c
}
