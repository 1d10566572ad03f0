// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/bench"
)

// benchVerb is one call of bench.
type benchVerb struct {
	*app
	model     modelFlags
	config    bench.Config
	suites    []string
	clock     string
	rows      string
	texts     []string
	json      bool
	markdown  bool
	lines     bool
	plots     string
	against   string
	tolerance float64
}

// probeVerb is the hidden verb that bench starts where it needs a clean process.
const probeVerb = "bench-probe"

func (a *app) bench() *cobra.Command {
	v := &benchVerb{app: a}
	c := &cobra.Command{
		Use:   "bench MODEL",
		Short: "Measure speed, memory and what hooks cost, side by side in one run",
		Long: "Steps the untouched model, each kind of hook and, with --peers, other runtimes with as many threads, in turn and in a random order,\n" +
			"and prints medians and ratios with their 95 % interval. 'again' is the untouched model a second time: the noise of the machine.\n" +
			"Suites: load (process to first token, file warm and cold), memory (a process for each kind of hook), speed (beside peers), overhead\n" +
			"(each kind of hook beside none), batch (sessions at the same time), fidelity (what forms of the weights lose).\n" +
			"Peers are looked for in $" + bench.PythonVariable + " or python3: llama-cpp-python (else llama-bench in PATH), onnxruntime-genai, transformers.",
		Example: "  trimtab bench model.gguf --threads 1 --suite overhead --md\n" +
			"  trimtab bench model.gguf --suite speed,batch --peers --peer-model model.Q4_0.gguf --plot charts\n" +
			"  trimtab bench model.gguf --suite overhead --json > baseline.json\n" +
			"  trimtab bench model.gguf --suite overhead --against baseline.json",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringSliceVar(&v.suites, "suite", []string{"all"}, "what is measured: load, memory, speed, overhead, batch, fidelity, or all")
	f.IntVar(&v.config.Rounds, "rounds", 40, "steps of 8 tokens of each contestant; prompts and processes run a quarter as often")
	f.IntVar(&v.config.Processes, "processes", 1, "processes that share the rounds of speed, overhead and batch: medians of theirs, with the least and the largest ratio")
	f.IntSliceVar(&v.config.Contexts, "contexts", []int{32, 1024}, "tokens of context at decode; hooks and sessions are compared at the first")
	f.IntVar(&v.config.Prompt, "prompt-tokens", 512, "tokens of the prompt at prefill")
	f.IntSliceVar(&v.config.Sessions, "sessions", []int{1, 2, 4, 8}, "sessions at the same time, in the suite batch")
	f.StringVar(&v.clock, "clock", "auto", "time that ratios are of: wall, processor, or auto: processor with one thread (but wall for batch)")
	f.StringVar(&v.rows, "rows", "", "only kinds of hooks whose names match this regular expression")
	f.StringArrayVar(&v.config.Dictionaries, "dict", nil, "a dictionary of this model to attach as well, as a file or folder (repeatable)")
	f.StringSliceVar(&v.texts, "text", nil, "files of text for the suite fidelity; without any, the model reads what it says itself")
	f.BoolVar(&v.config.Peers, "peers", false, "compare with other runtimes that are installed")
	f.StringArrayVar(&v.config.PeerModels, "peer-model", nil, "a further model for peers: a GGUF file, a folder of onnxruntime-genai or transformers (repeatable)")
	f.BoolVar(&v.json, "json", false, "print the report as JSON")
	f.BoolVar(&v.markdown, "md", false, "print the report as tables of Markdown")
	f.BoolVar(&v.lines, "benchfmt", false, "print lines that benchstat reads, one a step")
	f.StringVar(&v.plots, "plot", "", "folder to draw the comparisons into, as PNG and SVG")
	f.StringVar(&v.against, "against", "", "a report of an earlier --json: fail where a ratio lies outside the interval that it had there")
	f.Float64Var(&v.tolerance, "tolerance", 0.01, "how far intervals of --against are widened, as a share of the ratio")
	c.MarkFlagsMutuallyExclusive("json", "md", "benchfmt")
	v.model.add(c)
	return c
}

// benchProbe answers a question of bench in a process of its own.
func (a *app) benchProbe() *cobra.Command {
	c := &cobra.Command{
		Use: probeVerb, Short: "Answer a question of bench", Hidden: true, Args: cobra.NoArgs,
		Example: `  echo '{"Path": "model.gguf", "Kind": "vector at one layer"}' | trimtab ` + probeVerb,
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, _ []string) error { return bench.Probe(ctx, a.in, a.out) })
	return c
}

func (v *benchVerb) run(ctx context.Context, name string) error {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	if err := v.settings(); err != nil {
		return err
	}
	var baseline *bench.Report
	if v.against != "" {
		var err error
		if baseline, err = readReport(v.against); err != nil {
			return err
		}
	}
	path, err := resolve(ctx, name, v.err)
	if err != nil {
		return err
	}
	if terminal(v.err) {
		v.config.Progress = func(what string) { fmt.Fprintf(v.err, "measuring: %s\n", what) }
	}
	r, err := bench.Run(ctx, path, v.config)
	if err != nil {
		return err
	}
	r.Machine.Trimtab = built()
	if err := v.print(r); err != nil {
		return err
	}
	if v.plots != "" {
		if err := drawReport(v.plots, r); err != nil {
			return err
		}
	}
	if baseline != nil {
		return v.compare(r, baseline)
	}
	return nil
}

// settings checks the flags before anything is loaded.
func (v *benchVerb) settings() (err error) {
	if v.config.Model, err = v.model.settings(); err != nil {
		return err
	}
	if v.config.Suites, err = bench.ParseSuites(v.suites); err != nil {
		return usageError{err}
	}
	if err := oneOf("clock", []string{v.clock}, "auto wall processor"); err != nil {
		return err
	}
	if v.clock != "auto" {
		v.config.Clock = bench.Clock(v.clock)
	}
	if v.rows != "" {
		if v.config.Rows, err = regexp.Compile(v.rows); err != nil {
			return usageError{fmt.Errorf("--rows: %w", err)}
		}
	}
	if v.tolerance < 0 {
		return usageError{errors.New("--tolerance: want 0 or more")}
	}
	for _, file := range v.texts {
		text, err := v.readInput(file)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		v.config.Texts = append(v.config.Texts, string(text))
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	v.config.Probe = []string{self, probeVerb}
	return nil
}

func (v *benchVerb) print(r *bench.Report) error {
	switch {
	case v.json:
		e := json.NewEncoder(v.out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case v.lines:
		r.PrintBenchmarks(v.out)
	case v.markdown:
		r.Markdown(v.out)
	default:
		r.Print(v.out)
	}
	return nil
}

func readReport(path string) (*bench.Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("bench: baseline: %w", err)
	}
	var r bench.Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("bench: baseline %s: want what --json printed: %w", path, err)
	}
	return &r, nil
}

// compare prints what has changed since the baseline, and fails where that is for the worse.
func (v *benchVerb) compare(r, baseline *bench.Report) error {
	if r.Machine.CPU != baseline.Machine.CPU {
		fmt.Fprintf(v.err, "note: the baseline was made on another machine: %s\n", baseline.Machine.CPU)
	}
	changes, err := r.Against(baseline, v.tolerance)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if !c.Worse {
			fmt.Fprintf(v.err, "better than the baseline: %s\n", c)
		}
	}
	if err := bench.Regressed(changes); err != nil {
		return err
	}
	fmt.Fprintln(v.err, "no row is slower than the baseline allows")
	return nil
}
