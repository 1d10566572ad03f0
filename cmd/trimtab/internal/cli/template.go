// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/models"
)

func (a *app) template() *cobra.Command {
	var messages string
	var bare bool
	c := &cobra.Command{
		Use:     "template MODEL --messages FILE",
		Short:   "Print a conversation as the model's chat template renders it",
		Example: `  echo '[{"role":"user","content":"Hello"}]' | trimtab template model.gguf --messages -`,
		Args:    cobra.ExactArgs(1),
		RunE: a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error {
			return a.runTemplate(ctx, args[0], messages, !bare)
		}),
	}
	c.Flags().StringVar(&messages, "messages", "", "JSON file of messages; - is standard input")
	c.Flags().BoolVar(&bare, "no-generation-prompt", false, "end behind the last message rather than where the reply begins")
	_ = c.MarkFlagRequired("messages") // fails for a flag that does not exist
	return c
}

func (a *app) runTemplate(ctx context.Context, name, file string, generation bool) (err error) {
	path, err := resolve(ctx, name, a.err)
	if err != nil {
		return err
	}
	m, err := models.Open(path)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	messages, err := a.readMessages(file)
	if err != nil {
		return err
	}
	t, err := m.Template()
	if err != nil {
		return err
	}
	text, err := t.Render(messages, generation)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.out, text)
	return err
}
