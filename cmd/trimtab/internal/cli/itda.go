// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/itda"
)

// itda is the verb over what is done with dictionaries of real activations.
func (a *app) itda() *cobra.Command {
	return parent("itda", "Look into dictionaries of real activations (ITDA)", a.itdaSearch())
}

func (a *app) itdaSearch() *cobra.Command {
	var most int
	var asJSON bool
	c := &cobra.Command{
		Use:   "search DIR TEXT",
		Short: "Find atoms by the text that they come from",
		Long: "Lists the atoms whose token, or the text before it, holds TEXT, whatever its case; first those in whose own token it ends.\n" +
			"Steer with one by --steer itda:DIR#ATOM+=VALUE.",
		Example: "  trimtab itda search itda/ dragon\n  trimtab chat model.gguf --steer 'itda:itda/#1234+=60'",
		Args:    cobra.ExactArgs(2),
	}
	c.RunE = a.verb(func(_ context.Context, _ *cobra.Command, args []string) error {
		d, err := dictionary.Open(args[0], dictionary.Options{})
		if err != nil {
			return err
		}
		if len(itda.SourcesOf(d)) == 0 {
			return fmt.Errorf("itda search: %s: want atoms with their sources, found %s without", args[0], d.Format)
		}
		found := itda.Search(d, args[1])
		if most > 0 {
			found = found[:min(most, len(found))]
		}
		return a.printMatches(found, asJSON)
	})
	c.Flags().IntVarP(&most, "number", "n", 20, "atoms to print at most; 0 is all")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

func (a *app) printMatches(found []itda.Match, asJSON bool) error {
	lines := jsonTo(a.out)
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, m := range found {
		if !asJSON {
			fmt.Fprintf(t, "%d\tsequence %d, token %d\t%q\t%q\n", m.Index, m.Text, m.Position, m.Token, m.Context)
			continue
		}
		line := struct {
			Index int `json:"index"`
			dictionary.Atom
		}{m.Index, m.Atom}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return t.Flush()
}
