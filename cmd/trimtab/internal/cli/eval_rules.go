// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/tasks"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// evalRulesVerb is one call of eval rules.
type evalRulesVerb struct {
	*app
	model  modelFlags
	task   string
	dict   string
	data   string
	lever  string
	n      int
	factor float64
	json   bool
}

func (a *app) evalRules() *cobra.Command {
	v := &evalRulesVerb{app: a}
	c := &cobra.Command{
		Use:   "rules MODEL --task prontoqa|flags|safety --dict DIR [--data FILE]",
		Short: "Measure what reasoning over detected concepts does to answers",
		Long: "prontoqa asks whether statements are true (--data is PrOntoQA's dev.json as Logic-LLM has it; questions of 1 and 3 hops are made of the steps of\n" +
			"its proofs of 5), flags which country's colours the wagons of a train have, safety XSTest's requests (--data is xstest_prompts.csv).\n\n" +
			"plain is the model alone; read has the propositions from the text itself, so that only rules and lever count; reasoned has them detected in\n" +
			"activations; detected says how many of those were right. Intervals are of 95 % (Wilson).",
		Example: "  trimtab eval rules model.gguf --task prontoqa --data dev.json --dict sae/ -n 60",
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.task, "task", "", "prontoqa, flags or safety")
	f.StringVar(&v.data, "data", "", "the task's problems")
	f.StringVar(&v.dict, "dict", "", "sparse dictionary that detects")
	f.StringVar(&v.lever, "lever-site", "", "where answers are pushed (default: the output of the block four fifths up)")
	f.Float64Var(&v.factor, "factor", 0.5, "by how much, as a share of the activation's norm")
	f.IntVarP(&v.n, "count", "n", 60, "problems of each kind")
	f.BoolVar(&v.json, "json", false, "print JSON, an object a line of the table")
	for _, required := range []string{"task", "dict"} {
		_ = c.MarkFlagRequired(required) // fails for a flag that does not exist
	}
	v.model.add(c)
	return c
}

func (v *evalRulesVerb) run(ctx context.Context, path string) (err error) {
	if v.n < 1 {
		return usageError{fmt.Errorf("--count: want at least 1, found %d", v.n)}
	}
	d, err := dictionary.Open(v.dict, dictionary.Options{})
	if err != nil {
		return err
	}
	if err := d.Address.Check(); err != nil {
		return err
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	site, err := m.Shape().Resolve(d.Address.Site)
	if err != nil {
		return err
	}
	out, err := v.results(ctx, m, site, d)
	if err != nil {
		return err
	}
	return v.print(out)
}

func (v *evalRulesVerb) results(ctx context.Context, m *runtime.Model, site hooks.Site, d *dictionary.Dictionary) ([]tasks.Result, error) {
	progress := counting(v.err, v.task)
	if v.task == "safety" {
		list, err := tasks.ReadRequests(v.data)
		if err != nil {
			return nil, err
		}
		return tasks.Safety(ctx, m, site, d, list, v.n, progress)
	}
	words := map[string][]string{"prontoqa": {"True", "False"}, "flags": tasks.Countries()}[v.task]
	if words == nil {
		return nil, usageError{fmt.Errorf("--task: want prontoqa, flags or safety, found %q", v.task)}
	}
	lever, err := v.leverSite(m.Shape())
	if err != nil {
		return nil, err
	}
	c, err := tasks.NewChooser(ctx, m, words, lever, v.factor)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	det, err := tasks.NewDetector(m, site, d)
	if err != nil {
		return nil, err
	}
	defer det.Close()
	if v.task == "flags" {
		return tasks.Flags(ctx, c, det, v.n, progress)
	}
	list, err := tasks.ReadProblems(v.data)
	if err != nil {
		return nil, err
	}
	return tasks.Logic(ctx, c, det, list, v.n, progress)
}

func (v *evalRulesVerb) leverSite(sh *hooks.Shape) (hooks.Site, error) {
	if v.lever == "" {
		return hooks.At(hooks.ResidPost, sh.Layers*4/5), nil
	}
	site, err := hooks.ParseSite(v.lever)
	if err != nil {
		return site, fmt.Errorf("--lever-site: %w", err)
	}
	return sh.Resolve(site)
}

func (v *evalRulesVerb) print(list []tasks.Result) error {
	if v.json {
		for i := range list {
			if err := jsonTo(v.out).Encode(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "task\tn\tchance\tplain\tread\treasoned\tdetected")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", r.Task, r.Plain.Of, r.Chance, accuracyOf(&r.Plain), accuracyOf(&r.Read), accuracyOf(&r.Reasoned), accuracyOf(&r.Detected))
	}
	return w.Flush()
}

func accuracyOf(s *tasks.Share) string {
	if s.Of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f (%.0f-%.0f)", 100*s.Value(), 100*s.Low, 100*s.High)
}
