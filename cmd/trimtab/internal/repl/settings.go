// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
)

// setting finds a flag by its name, or by the name that ollama has for it.
func (c *Chat) setting(name string) (*pflag.Flag, error) {
	name = strings.ReplaceAll(name, "_", "-")
	switch name {
	case "temperature":
		name = "temp"
	case "num-predict":
		name = "n-predict"
	}
	if f := c.flags.Lookup(name); f != nil {
		return f, nil
	}
	var names []string
	c.flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return nil, fmt.Errorf("set: want one of %s, found %q", strings.Join(names, ", "), name)
}

// put changes a setting, or leaves everything as it was. A list is replaced; an empty value empties it.
func (c *Chat) put(name, value string) error {
	f, err := c.setting(name)
	if err != nil {
		return err
	}
	before := c.settings
	if list, ok := f.Value.(pflag.SliceValue); ok {
		var items []string
		if value != "" {
			items = []string{value}
		}
		return list.Replace(items)
	}
	if err = f.Value.Set(value); err == nil {
		err = c.settings.Check()
	}
	if err != nil {
		c.settings = before
		return fmt.Errorf("set %s: %w", f.Name, err)
	}
	return nil
}

// set changes a setting: NAME VALUE, as ollama also "parameter NAME VALUE" and "system TEXT".
func (c *Chat) set(ctx context.Context, arg string) error {
	name, value, _ := strings.Cut(strings.TrimPrefix(arg, "parameter "), " ")
	switch name {
	case "":
		return c.showSettings()
	case "system":
		return c.sys(ctx, unquote(strings.TrimSpace(value)))
	}
	return c.change(name, strings.TrimSpace(value))
}

func (c *Chat) temp(_ context.Context, value string) error { return c.change("temp", value) }
func (c *Chat) seed(_ context.Context, value string) error { return c.change("seed", value) }

// change is put with a note; without a value it shows the setting.
func (c *Chat) change(name, value string) error {
	f, err := c.setting(name)
	if err != nil {
		return err
	}
	if _, list := f.Value.(pflag.SliceValue); value == "" && !list {
		c.screen.println(f.Name + " " + f.Value.String())
		return nil
	}
	if err := c.put(name, value); err != nil {
		return err
	}
	c.screen.note(f.Name + " " + f.Value.String())
	return nil
}

func (c *Chat) showSettings() error {
	w := tabwriter.NewWriter(c.screen.out, 0, 0, 2, ' ', 0)
	c.flags.VisitAll(func(f *pflag.Flag) { fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, f.Value, f.Usage) })
	return w.Flush()
}
