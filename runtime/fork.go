// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// Fork returns a session with a copy of the cache and the same hooks, to be closed on its own; both go on independently. Hooks are asked for their plans
// again, since what a plan keeps is of one session. What they did to the tokens in the cache holds for both: a prompt that both continue is not run again. A tap that
// may write is the exception, since what it has seen of those tokens is unknown to the new one: where it acts on them they are run again. Fork waits
// for a pass that is under way and may be called between two tokens.
func (s *Session) Fork() (*Session, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("runtime: fork: %w", err)
	}
	defer s.mu.Unlock()
	f, err := s.model.NewSession()
	if err != nil {
		return nil, fmt.Errorf("runtime: fork: %w", err)
	}
	if err := f.becomeForkOf(s); err != nil {
		f.Close()
		return nil, fmt.Errorf("runtime: fork: %w", err)
	}
	return f, nil
}

func (s *Session) becomeForkOf(from *Session) error {
	if err := s.enter(); err != nil { // the model may be closed meanwhile
		return err
	}
	defer s.mu.Unlock()
	attached := make([]*Attachment, len(from.attached))
	for i, a := range from.attached {
		var err error
		if attached[i], err = s.model.again(a); err != nil {
			return err
		}
	}
	if len(attached) > 0 {
		if err := s.rebuild(attached); err != nil {
			return err
		}
	}
	if len(from.past) == 0 {
		return nil
	}
	s.past = slices.Clone(from.past)
	return s.model.network.fork(from, s)
}

// again asks the hook of an attachment for a plan for another session. The attachment counts as the same where it does the same to a token.
func (m *Model) again(a *Attachment) (*Attachment, error) {
	plan, err := a.hook.Bind(&m.shape)
	if err != nil {
		return nil, err
	}
	if plan, err = m.check(plan); err != nil {
		return nil, err
	}
	b := &Attachment{hook: a.hook, plan: plan, id: a.id}
	if !slices.EqualFunc(plan.Edits, a.plan.Edits, sameEdit) || !slices.EqualFunc(plan.Taps, a.plan.Taps, onlyRead) {
		b.id = m.attachments.Add(1)
	}
	return b, nil
}

// sameEdit tells whether two edits do the same at the same strength.
func sameEdit(a, b hooks.Edit) bool {
	return a.Site == b.Site && a.Op == b.Op && a.Low == b.Low && a.High == b.High && a.Where == b.Where && slices.EqualFunc(a.Directions, b.Directions, slices.Equal)
}

// onlyRead tells whether neither tap writes.
func onlyRead(a, b hooks.Tap) bool { return a.ReadOnly && b.ReadOnly }

// Attachments returns the session's hooks in their order, for Detach.
func (s *Session) Attachments() []*Attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attached)
}
