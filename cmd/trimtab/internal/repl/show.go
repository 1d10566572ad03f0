// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"fmt"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/sitelist"
)

// show prints what there is to know: about the model, or the part that is named.
func (c *Chat) show(ctx context.Context, what string) error {
	switch what {
	case "", "info":
		sh, cfg := c.model.Shape(), c.model.Config()
		c.screen.println(fmt.Sprintf("%s: %s, %d layers of width %d, vocabulary %d, context %d of %d, weights %s, %d threads, ONNX Runtime %s",
			sh.Model, sh.Family, sh.Layers, sh.Width, sh.Vocab, cfg.Context, sh.Context, cfg.Quant, cfg.Threads, c.model.ORTVersion()))
		return nil
	case "parameters":
		return c.showSettings()
	case "system":
		return c.sys(ctx, "")
	case "messages":
		for _, m := range c.talk.messages() {
			c.screen.model(m.Role + ": " + m.Content + "\n")
		}
		return nil
	}
	return fmt.Errorf("show: want info, parameters, system or messages, found %q", what)
}

// sites lists the sites of the model.
func (c *Chat) sites(context.Context, string) error {
	c.screen.print(sitelist.Table(sitelist.Rows(c.model.Shape())))
	return nil
}
