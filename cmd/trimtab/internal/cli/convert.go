// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// convert writes a dictionary in another format.
func (a *app) convert() *cobra.Command {
	var folder, to string
	var scale float64
	c := &cobra.Command{
		Use:   "convert DICT -o DIR",
		Short: "Write a sparse dictionary in another format",
		Long: "DICT is a sparse autoencoder, a transcoder or an ITDA dictionary in any published format. What the other format cannot say is refused:\n" +
			"nothing is dropped in silence. Torch files are read, never executed.",
		Example: "  trimtab convert ae/ae.pt --to saelens -o sae/\n" +
			"  trimtab convert itda/ --to itda-original -o itda-pt/",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(_ context.Context, _ *cobra.Command, args []string) error {
		d, err := dictionary.Open(args[0], dictionary.Options{ActivationScale: scale})
		if err != nil {
			return err
		}
		for _, w := range d.Warnings() {
			fmt.Fprintln(a.err, "trimtab: warning: "+w)
		}
		return writeDictionary(folder, to, d)
	})
	c.Flags().StringVarP(&folder, "output", "o", "", "folder to write")
	c.Flags().StringVar(&to, "to", "saelens", "format: saelens, itda (safetensors and JSON) or itda-original (atoms.pt)")
	c.Flags().Float64Var(&scale, "activation-scale", 0, "constant that expected_average_only_in needs and the files lack")
	_ = c.MarkFlagRequired("output") // fails for a flag that does not exist
	return c
}

func writeDictionary(folder, format string, d *dictionary.Dictionary) error {
	switch format {
	case "saelens":
		return dictionary.WriteSAELens(folder, d)
	case "itda":
		return dictionary.WriteITDA(folder, d)
	case "itda-original":
		return dictionary.WriteOriginalITDA(folder, d)
	}
	return usageError{fmt.Errorf("--to: want saelens, itda or itda-original, found %q", format)}
}
