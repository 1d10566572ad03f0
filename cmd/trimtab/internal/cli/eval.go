// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/cobra"

// eval is the verb over everything that measures rather than runs.
func (a *app) eval() *cobra.Command {
	return parent("eval", "Measure what a form of the weights, a dictionary, a mask or a set of rules does to a model",
		a.evalQuant(),
		a.evalSAE(),
		a.evalITDA(),
		a.evalExperts(),
		a.evalRules(),
	)
}

// parent is a verb that only has verbs below it.
func parent(name, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short}
	c.AddCommand(children...)
	return c
}
