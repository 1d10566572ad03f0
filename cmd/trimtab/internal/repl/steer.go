// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// steer attaches a steering; without a spec it lists what is attached.
func (c *Chat) steer(ctx context.Context, spec string) error {
	if spec == "" {
		return c.steering(ctx, "")
	}
	a, err := c.rig.steer(spec)
	if err != nil {
		return err
	}
	c.screen.notes(a.notes())
	return nil
}

// alpha turns a strength: NAME VALUE, or VALUE alone where one steering is attached.
func (c *Chat) alpha(_ context.Context, arg string) error {
	fields := strings.Fields(arg)
	if len(fields) < 1 || len(fields) > 2 {
		return errors.New("want /alpha NAME VALUE")
	}
	value, err := strconv.ParseFloat(fields[len(fields)-1], 32)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return fmt.Errorf("alpha: want a number, found %q", fields[len(fields)-1])
	}
	name := ""
	if len(fields) == 2 {
		name = fields[0]
	}
	a, err := c.rig.find(name)
	if err != nil {
		return fmt.Errorf("alpha: %w", err)
	}
	a.Strength().Set(float32(value))
	c.screen.note(fmt.Sprintf("%s*%g from the next token on", a.name, float32(value)))
	return nil
}

// unsteer takes one steering off, or all.
func (c *Chat) unsteer(_ context.Context, name string) error {
	list := c.rig.steerings
	if name != "" || len(list) == 0 {
		a, err := c.rig.find(name)
		if err != nil {
			return fmt.Errorf("unsteer: %w", err)
		}
		list = []*attached{a}
	}
	if err := c.rig.unsteer(list); err != nil {
		return err
	}
	c.screen.note(fmt.Sprintf("taken off: %d; attached: %s", len(list), c.rig.summary()))
	return nil
}

// steering lists what is attached, in the order in which it acts.
func (c *Chat) steering(context.Context, string) error {
	if len(c.rig.steerings) == 0 {
		c.screen.println("nothing is attached")
		return nil
	}
	for _, a := range c.rig.steerings {
		spec := a.Spec()
		c.screen.println(fmt.Sprintf("%s  strength %g\n    %s\n    %s", a.name, a.Strength().Value(), a.Where(), spec.String()))
	}
	return nil
}
