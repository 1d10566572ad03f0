// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"github.com/trimtab/trimtab/models/chat"
)

// saved is a chat in a file. Strengths stand in the specs.
type saved struct {
	Model    string                     `json:"model"`
	System   string                     `json:"system,omitempty"`
	Messages []savedMessage             `json:"messages"`
	Sampling map[string]json.RawMessage `json:"sampling"`
	Steering []string                   `json:"steering"`
	Probes   []string                   `json:"probes,omitempty"`
}

type savedMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// save writes the chat to a file.
func (c *Chat) save(_ context.Context, path string) error {
	if path == "" {
		return errors.New("want /save FILE")
	}
	s := saved{Model: c.model.Shape().Model, System: c.talk.system, Sampling: c.sampling(), Messages: []savedMessage{}, Steering: []string{}}
	for _, m := range c.talk.turns {
		s.Messages = append(s.Messages, savedMessage{m.Role, m.Content})
	}
	for _, a := range c.rig.steerings {
		spec := a.Spec()
		s.Steering = append(s.Steering, spec.String())
	}
	for _, p := range c.rig.probes {
		s.Probes = append(s.Probes, p.spec)
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	c.screen.note(fmt.Sprintf("%d messages and %d steerings are in %s", len(s.Messages), len(s.Steering), path))
	return nil
}

// sampling returns the settings as JSON values by name.
func (c *Chat) sampling() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	c.flags.VisitAll(func(f *pflag.Flag) {
		value := json.RawMessage(f.Value.String())
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value, _ = json.Marshal(list.GetSlice()) // a list of strings always has a form
		} else if !json.Valid(value) {
			value, _ = json.Marshal(f.Value.String())
		}
		out[f.Name] = value
	})
	return out
}

// load takes a chat over from a file, whole or not at all.
func (c *Chat) load(_ context.Context, path string) error {
	s, err := readSaved(path)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	r, err := newRig(c.model, c.rig.how, s.Steering, s.Probes)
	if err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	before := c.settings
	if err := c.takeSampling(s.Sampling); err != nil {
		c.settings = before
		r.close()
		return fmt.Errorf("load %s: %w", path, err)
	}
	c.rig.close()
	c.rig, c.view, c.talk = r, expertView{}, conversation{system: s.System}
	for _, m := range s.Messages {
		c.talk.turns = append(c.talk.turns, chat.Message{Role: m.Role, Content: m.Content})
	}
	for _, a := range r.steerings {
		c.screen.notes(a.notes())
	}
	if now := c.model.Shape().Model; s.Model != now {
		c.screen.note(fmt.Sprintf("warning: the chat was saved with %s, this model is %s", s.Model, now))
	}
	c.screen.note(fmt.Sprintf("%d messages", len(c.talk.turns)))
	return nil
}

func readSaved(path string) (*saved, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &saved{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, m := range s.Messages {
		if want := []string{"user", "assistant"}[i%2]; m.Role != want {
			return nil, fmt.Errorf("%s: message %d: want one of the %s, found one of %q", path, i+1, want, m.Role)
		}
	}
	if len(s.Messages)%2 == 1 {
		return nil, fmt.Errorf("%s: want an answer to each message, found none to the last", path)
	}
	return s, nil
}

func (c *Chat) takeSampling(values map[string]json.RawMessage) error {
	for name, value := range values {
		var items []string
		if f, err := c.setting(name); err == nil && json.Unmarshal(value, &items) == nil {
			if list, ok := f.Value.(pflag.SliceValue); ok {
				_ = list.Replace(items) // a list of strings takes any
				continue
			}
		}
		if err := c.put(name, strings.Trim(string(value), `"`)); err != nil {
			return err
		}
	}
	return nil
}
