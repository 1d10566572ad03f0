// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/fidelity"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// evalITDAVerb is one call of eval itda: that of eval sae, over several lengths of code.
type evalITDAVerb struct {
	evalSAEVerb
	rounds  []int
	against []string
}

func (a *app) evalITDA() *cobra.Command {
	v := &evalITDAVerb{evalSAEVerb: evalSAEVerb{app: a}}
	c := &cobra.Command{
		Use:   "itda DIR MODEL --text FILES",
		Short: "Measure a dictionary of real activations at several lengths of code, beside others",
		Long: "Prints FVU, cosine and the cross-entropy of the next token with the reconstruction in the activation's place, after so many rounds of the pursuit,\n" +
			"and for each sparse autoencoder of --against. Columns are those of 'eval sae'; recovered is the share of the damage of mean ablation that is not done.",
		Example: "  trimtab eval itda itda/ model.gguf --text held.txt\n" +
			"  trimtab eval itda itda/ model.gguf --text held.txt --k 20,40 --against sae-l14/ --json",
		Args: cobra.ExactArgs(2),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0], args[1]) })
	f := c.Flags()
	f.SortFlags = false
	v.text.add(c)
	f.IntVar(&v.text.o.Limit, "limit", 0, "sequences to run at most; 0 is all")
	f.IntSliceVarP(&v.rounds, "k", "k", []int{8, 20, 40, 80}, "rounds of the pursuit")
	f.StringSliceVar(&v.against, "against", nil, "dictionaries to measure beside it")
	f.BoolVar(&v.noLoss, "no-loss", false, "leave cross-entropies out, which take two more runs for each dictionary")
	f.BoolVar(&v.json, "json", false, "print one JSON object a line")
	v.model.add(c)
	return c
}

func (v *evalITDAVerb) run(ctx context.Context, dir, path string) error {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	v.options.Loss = !v.noLoss
	var dicts []*dictionary.Dictionary
	for _, k := range v.rounds {
		if k < 1 {
			return usageError{fmt.Errorf("--k: want numbers above 0, found %d", k)}
		}
		d, err := dictionary.Open(dir, dictionary.Options{K: k})
		if err != nil {
			return err
		}
		if d.Form.Act.Kind != dictionary.Pursuit {
			return fmt.Errorf("eval itda: %s: want a dictionary of atoms, found %s with activation %s (use eval sae)", dir, d.Format, d.Form.Act.Kind)
		}
		d.Name = fmt.Sprintf("%s k=%d", d.Name, k)
		dicts = append(dicts, d)
	}
	v.text.o.BOS = dicts[0].Address.PrependBOS == dictionary.Yes
	others, err := v.others()
	if err != nil {
		return err
	}
	results, err := v.measure(ctx, append(dicts, others...), path, v.model.quant)
	if err != nil {
		return err
	}
	return v.report(results)
}

// others opens what is measured beside; texts run once, as the dictionary of atoms wants them.
func (v *evalITDAVerb) others() (out []*dictionary.Dictionary, err error) {
	for _, dir := range v.against {
		if _, err := os.Stat(dir); err != nil {
			return nil, errors.Join(err, fmt.Errorf("--against %s", dir))
		}
		d, err := dictionary.Open(dir, dictionary.Options{})
		if err != nil {
			return nil, err
		}
		if bos := d.Address.PrependBOS == dictionary.Yes; bos != v.text.o.BOS {
			fmt.Fprintf(v.err, "trimtab: warning: %s: trained with a begin token before each text: %v, measured with: %v\n", d.Name, bos, v.text.o.BOS)
		}
		out = append(out, d)
	}
	return out, nil
}

func (v *evalITDAVerb) report(results []fidelity.Result) error {
	if !v.json {
		return printDictionaries(v.out, results)
	}
	for i := range results {
		if err := jsonTo(v.out).Encode(&results[i]); err != nil {
			return err
		}
	}
	return nil
}
