// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/corpus"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/fidelity"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// evalSAEVerb is one call of eval sae.
type evalSAEVerb struct {
	*app
	model   modelFlags
	text    textFlags
	open    dictionary.Options
	quants  []string
	options fidelity.Options
	noLoss  bool
	json    bool
}

func (a *app) evalSAE() *cobra.Command {
	v := &evalSAEVerb{app: a}
	c := &cobra.Command{
		Use:   "sae DIR... MODEL --text FILES",
		Short: "Measure how well sparse dictionaries stand for a model's activations",
		Long: "Prints for each dictionary and each form of the weights: FVU (fraction of variance unexplained), L0 (features a token), cosine, features that no\n" +
			"token had, and the cross-entropy of the next token: of the untouched model, with the reconstruction in the activation's place (spliced), with the\n" +
			"mean there (ablated), and the share of that damage which the reconstruction does not do (recovered). Position 0 and massive activations are left out.\n\n" +
			"--dark-matter predicts the error from the activation by least squares, fitted on every second text and tested on the others: the linear and the\n" +
			"nonlinear part of the FVU, R² of the error and of its squared length, and the same for gradient pursuit with as many features for each token.",
		Example: "  trimtab eval sae sae-l14/ model.gguf --text texts.jsonl\n" +
			"  trimtab eval sae sae-l14/ sae-l22/ model.gguf --text wiki.txt --quants f32,keep --dark-matter --json",
		Args: cobra.MinimumNArgs(2),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error {
		return v.run(ctx, args[:len(args)-1], args[len(args)-1])
	})
	f := c.Flags()
	f.SortFlags = false
	v.text.add(c)
	f.IntVar(&v.text.o.Limit, "limit", 0, "sequences to run at most; 0 is all")
	f.StringSliceVar(&v.quants, "quants", nil, "forms of the weights to measure one after the other (default: that of --quant)")
	f.BoolVar(&v.options.Dark, "dark-matter", false, "take the error apart")
	f.BoolVar(&v.noLoss, "no-loss", false, "leave cross-entropies out, which take two more runs for each dictionary")
	f.StringVar(&v.open.Site, "site", "", "where the dictionaries belong, instead of what their files say")
	f.Float64Var(&v.open.ActivationScale, "activation-scale", 0, "constant that expected_average_only_in needs and the files lack")
	f.IntVar(&v.open.K, "k", 0, "features to keep, or rounds of a pursuit (default: the files')")
	f.BoolVar(&v.json, "json", false, "print one JSON object a line: a dictionary on a form of the weights")
	v.model.add(c)
	return c
}

func (v *evalSAEVerb) run(ctx context.Context, dirs []string, path string) error {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	v.options.Loss = !v.noLoss
	dicts, err := v.dictionaries(dirs)
	if err != nil {
		return err
	}
	if len(v.quants) == 0 {
		v.quants = []string{v.model.quant}
	}
	var all []fidelity.Result
	for _, quant := range v.quants {
		results, err := v.measure(ctx, dicts, path, quant)
		if err != nil {
			return fmt.Errorf("quant %s: %w", quant, err)
		}
		all = append(all, results...)
	}
	if !v.json {
		return printDictionaries(v.out, all)
	}
	for i := range all {
		if err := jsonTo(v.out).Encode(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// dictionaries opens what is measured; all must agree on whether texts have a begin token, for they are run once.
func (v *evalSAEVerb) dictionaries(dirs []string) ([]*dictionary.Dictionary, error) {
	var out []*dictionary.Dictionary
	for _, dir := range dirs {
		d, err := dictionary.Open(dir, v.open)
		if err != nil {
			return nil, err
		}
		for _, w := range d.Warnings() {
			fmt.Fprintf(v.err, "trimtab: warning: %s: %s\n", d.Name, w)
		}
		bos := d.Address.PrependBOS == dictionary.Yes
		if len(out) > 0 && bos != v.text.o.BOS {
			return nil, usageError{fmt.Errorf("%s: want dictionaries that all were trained with the begin token, or all without: measure them one by one", d.Name)}
		}
		v.text.o.BOS = bos
		fmt.Fprintf(v.err, "%s: %s, %d features, %s\n", d.Name, d.Format, d.Form.N, d.Address)
		out = append(out, d)
	}
	return out, nil
}

func (v *evalSAEVerb) measure(ctx context.Context, dicts []*dictionary.Dictionary, path, quant string) (_ []fidelity.Result, err error) {
	flags := v.model
	flags.quant = quant
	m, err := flags.open(ctx, path, v.err)
	if err != nil {
		return nil, err
	}
	defer closing(m, &err)
	texts, err := v.texts(m)
	if err != nil {
		return nil, err
	}
	o := v.options
	o.Progress = counting(v.err, "measuring with "+quant)
	return fidelity.Run(ctx, m, dicts, texts, o)
}

// texts loads the corpus; a model without a begin token cannot have one before its texts.
func (v *evalSAEVerb) texts(m *runtime.Model) (*corpus.Corpus, error) {
	o := v.text.o
	if tok, err := m.Tokenizer(); o.BOS && (err != nil || tok.BOS() < 0) {
		fmt.Fprintln(v.err, "trimtab: warning: the dictionaries want a begin token before each text, which this model's tokenizer lacks")
		o.BOS = false
	}
	return corpus.Load(v.text.files, m, o)
}

func printDictionaries(w io.Writer, all []fidelity.Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "dictionary\tsite\tweights\tFVU\tL0\tcosine\tdead\ttokens\tleft out\tclean\tspliced\tablated\trecovered\t\n")
	dark := false
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.3f\t%.1f\t%.3f\t%d\t%d\t%d\t", r.Dictionary, r.Site, r.Quant, r.FVU, r.L0, r.Cosine, r.Dead, r.Rows, r.LeftOut)
		if l := r.Loss; l != nil {
			fmt.Fprintf(t, "%.3f\t%.3f\t%.3f\t%.3f\t\n", l.Clean, l.Spliced, l.Ablated, l.Recovered)
		} else {
			fmt.Fprint(t, strings.Repeat("-\t", 4)+"\n")
		}
		dark = dark || r.Dark != nil
	}
	if dark {
		fmt.Fprint(t, "\n\ndictionary\tsite\tweights\tcode\tFVU\tlinear\tnonlinear\tR² error\tR² length²\tlearnt\ttested\t\n")
	}
	for _, r := range all {
		if r.Dark == nil {
			continue
		}
		for _, s := range []struct {
			name string
			dictionary.Split
		}{{"own", r.Dark.Own}, {"pursuit", r.Dark.Pursuit}} {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%d\t%d\t\n", r.Dictionary, r.Site, r.Quant, s.name,
				s.FVU, s.Linear, s.Nonlinear, s.R2, s.R2Length, r.Dark.Learnt, s.Rows)
		}
	}
	return t.Flush()
}
