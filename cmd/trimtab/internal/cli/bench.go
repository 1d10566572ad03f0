// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/bench"
)

// benchVerb is one call of bench.
type benchVerb struct {
	*app
	model  modelFlags
	config bench.Config
	json   bool
	lines  bool
}

func (a *app) bench() *cobra.Command {
	v := &benchVerb{app: a}
	c := &cobra.Command{
		Use:   "bench MODEL",
		Short: "Measure speed, memory and what hooks cost, side by side in one run",
		Long: "Steps the untouched model, each kind of hook and, with --peers, llama.cpp on the same file and threads, in turn and in a random order,\n" +
			"and prints medians and ratios with their 95 % interval. 'trimtab again' is the untouched model a second time: the noise of the machine.\n" +
			"With one thread, ratios are of processor time, else of wall time. llama.cpp is found through llama-cpp-python of $" + bench.PythonVariable + " or python3.",
		Example: "  trimtab bench model.gguf --threads 1\n  trimtab bench model.gguf --peers --json > report.json",
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&v.config.Rounds, "rounds", 40, "steps of 8 tokens of each contestant; prompts run a quarter as often")
	f.IntSliceVar(&v.config.Contexts, "contexts", []int{32, 1024}, "tokens of context at decode")
	f.IntVar(&v.config.Prompt, "prompt-tokens", 512, "tokens of the prompt at prefill")
	f.BoolVar(&v.config.Peers, "peers", false, "compare with llama.cpp where it is installed")
	f.BoolVar(&v.json, "json", false, "print the report as JSON")
	f.BoolVar(&v.lines, "benchfmt", false, "print lines that benchstat reads")
	c.MarkFlagsMutuallyExclusive("json", "benchfmt")
	v.model.add(c)
	return c
}

func (v *benchVerb) run(ctx context.Context, path string) error {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	config, err := v.model.settings()
	if err != nil {
		return err
	}
	v.config.Model = config
	if terminal(v.err) {
		v.config.Progress = func(what string) { fmt.Fprintf(v.err, "measuring: %s\n", what) }
	}
	r, err := bench.Run(ctx, path, v.config)
	if err != nil {
		return err
	}
	switch {
	case v.json:
		e := json.NewEncoder(v.out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case v.lines:
		r.PrintBenchmarks(v.out)
	default:
		r.Print(v.out)
	}
	return nil
}
