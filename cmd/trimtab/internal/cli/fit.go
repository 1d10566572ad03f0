// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/cobra"

// fit is the verb over everything that is made from a model's own activations.
func (a *app) fit() *cobra.Command {
	return parent("fit", "Make vectors, dictionaries, concepts and masks from a model's activations",
		a.fitVector(),
		a.fitActAdd(),
		a.fitExperts(),
		a.fitSAE(),
		a.fitITDA(),
		a.fitConcepts(),
	)
}
