// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// conversation is what was said: turns of user and assistant, one after the other.
type conversation struct {
	system string
	turns  []chat.Message
	last   *reply // the last turn, where this chat generated it
}

// reply is an answer with the steering that it was made under.
type reply struct {
	*answer.Answer
	under string
}

func (t *conversation) messages() []chat.Message {
	if t.system == "" {
		return t.turns
	}
	return append([]chat.Message{{Role: "system", Content: t.system}}, t.turns...)
}

// cut takes off the last answer with its question, or without it.
func (t *conversation) cut(turns int) {
	t.turns, t.last = t.turns[:len(t.turns)-turns], nil
}

var errNothingSaid = errors.New("nothing has been said yet")

// ask adds a message of the user and answers it. A message that gets no answer at all is forgotten.
func (c *Chat) ask(ctx context.Context, text string) error {
	before := c.talk
	c.talk.turns = append(before.turns[:len(before.turns):len(before.turns)], chat.Message{Role: "user", Content: text})
	answered, err := c.reply(ctx)
	if !answered {
		c.talk = before
	}
	return err
}

// regen answers the last message once more.
func (c *Chat) regen(ctx context.Context, _ string) error {
	if len(c.talk.turns) == 0 {
		return errNothingSaid
	}
	before := c.talk
	c.talk.cut(1)
	answered, err := c.reply(ctx)
	if !answered {
		c.talk = before
	}
	return err
}

// reply generates the next turn and says whether there is one now: what was broken off stays, if there is any text.
func (c *Chat) reply(ctx context.Context) (bool, error) {
	prompt, err := c.prompt(c.talk.turns)
	if err != nil {
		return false, err
	}
	c.rig.forget()
	out := newFlow(c.screen)
	beside := &firing{screen: c.screen, flow: out}
	set := c.settings
	if c.receipt != nil {
		set.LogProbs = max(set.LogProbs, 1)
	}
	got, err := answer.Follow(ctx, c.rig.session, prompt, &set, beside.see)
	out.flush()
	if recorded := c.record(&set, got, err); recorded != nil {
		return false, recorded
	}
	if got.Text == "" && err != nil {
		return false, err
	}
	c.screen.println("")
	c.talk.turns = append(c.talk.turns, chat.Message{Role: "assistant", Content: got.Text})
	c.talk.last = &reply{got, c.rig.summary()}
	c.screen.print(c.rig.readings(c.tok, c.screen) + c.fired(got))
	c.view.take(got)
	if c.rig.probesFeatures() && len(got.Tokens) > 0 {
		c.screen.print(c.table(got))
	}
	if held := got.Held(); held.Tokens > 0 {
		c.screen.note(held.Words(c.rig.how.limits))
	}
	c.account(got)
	return true, err
}

// record appends an answer to the receipt.
func (c *Chat) record(set *answer.Settings, a *answer.Answer, broken error) error {
	if c.receipt == nil {
		return nil
	}
	asked := receipt.Asked{Session: c.rig.session, Limits: c.rig.how.limits, Settings: *set, Broken: broken != nil}
	for _, s := range c.rig.steerings {
		asked.Steering = append(asked.Steering, receipt.Attached{Hook: s.Hook, At: s.at})
	}
	for _, p := range c.rig.probes {
		if p.features != nil {
			asked.Steering = append(asked.Steering, receipt.Attached{Hook: p.features, At: c.rig.probing, Probe: true})
		}
	}
	if c.view.watch != nil {
		watch, err := steering.Load("experts:watch")
		if err != nil {
			return err
		}
		asked.Steering = append(asked.Steering, receipt.Attached{Hook: watch, At: c.view.watch, Probe: true})
	}
	return c.receipt.Add(&asked, a)
}

// account says what an answer took, on a terminal; in a pipe only that it was cut short.
func (c *Chat) account(a *answer.Answer) {
	if a.Finish == runtime.Length {
		c.screen.note(fmt.Sprintf("cut short after %d tokens (/set n-predict, or /clear where the context is full)", len(a.IDs)))
	}
	if c.screen.terminal {
		c.screen.note(fmt.Sprintf("%d tokens, %.1f a second, seed %d", len(a.IDs), a.Timings.Decode, a.Seed))
	}
}

// prompt renders turns up to where the assistant answers.
func (c *Chat) prompt(turns []chat.Message) ([]int32, error) {
	talk := conversation{system: c.talk.system, turns: turns}
	ids, err := c.template.Tokens(nil, c.tok, talk.messages(), true)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return ids, nil
}

// undo forgets the last message and its answer.
func (c *Chat) undo(context.Context, string) error {
	if len(c.talk.turns) < 2 {
		return errNothingSaid
	}
	c.talk.cut(2)
	c.screen.note(fmt.Sprintf("forgotten; %d messages are left", len(c.talk.turns)))
	return nil
}

// clear forgets every message; system prompt, steering and settings stay.
func (c *Chat) clear(context.Context, string) error {
	c.talk.cut(len(c.talk.turns))
	c.screen.note("forgotten")
	return nil
}

// sys sets the system prompt, or shows it.
func (c *Chat) sys(_ context.Context, text string) error {
	if text == "" {
		c.screen.println(c.talk.system)
		return nil
	}
	c.talk.system = strings.Trim(text, `"`)
	c.screen.note("the system prompt is set from the next message on")
	return nil
}

// tokens shows the exact prompt of the last answer, or of the next one where nothing has been said.
func (c *Chat) tokens(context.Context, string) error {
	turns := c.talk.turns
	if n := len(turns); n > 0 {
		turns = turns[:n-1]
	}
	ids, err := c.prompt(turns)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, "%6d  %q\n", id, c.tok.Piece(id))
	}
	fmt.Fprintf(&b, "%d tokens\n", len(ids))
	c.screen.print(b.String())
	return nil
}
