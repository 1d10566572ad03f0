// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"context"
	"fmt"

	"github.com/trimtab/trimtab/hooks"
)

// Read runs ids behind the tokens in the cache as a prompt, in chunks, and generates nothing: what the session's hooks see is what it is for.
// Where each is not nil, it is called for every token in order with the token's position and the logits behind it, BORROWED until it returns; an error of it
// ends the call. Without it, and without a hook behind the last block, only one row of logits is computed a chunk. [Session.Forget] empties the cache first where the text is to stand alone.
func (s *Session) Read(ctx context.Context, ids []int32, each func(position int, logits []float32) error) error {
	if !s.running.CompareAndSwap(false, true) {
		return fmt.Errorf("runtime: read: %w", ErrBusy)
	}
	defer s.running.Store(false)
	if _, err := s.begin(ids, Options{}); err != nil {
		return err
	}
	release := s.stopWith(ctx)
	defer release()
	if err := s.enter(); err != nil {
		return fmt.Errorf("runtime: read: %w", err)
	}
	defer s.mu.Unlock()
	if err := s.reserve(len(s.past) + len(ids)); err != nil {
		return fmt.Errorf("runtime: read: %w", err)
	}
	for len(ids) > 0 {
		n := s.model.network.chunk(s, len(ids))
		if each != nil {
			n = s.model.network.scored(s, n)
		}
		s.pass.rest = len(ids) - n
		if err := s.readChunk(ctx, ids[:n], each); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (s *Session) readChunk(ctx context.Context, ids []int32, each func(int, []float32) error) error {
	rows := 1
	if each != nil || s.program.behindBlocks() {
		rows = len(ids)
	}
	f, err := s.chunkFeed(len(ids), rows)
	if err != nil {
		return err
	}
	first := len(s.past)
	if err := s.runUnlessDone(ctx, f, ids, hooks.Prefill); err != nil || each == nil {
		return err
	}
	vocab := s.model.file.Vocab
	logits := f.logits[len(f.logits)-rows*vocab:]
	for i := range ids {
		if err := each(first+i, logits[i*vocab:][:vocab]); err != nil {
			return err
		}
	}
	return nil
}
