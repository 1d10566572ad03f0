// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
)

// network is what differs between a graph that the project writes itself and one that came as an export. All methods but build and close are called
// with the session locked.
type network interface {
	// build makes the graph for a program ready.
	build(p *program) (*variant, error)
	// reserve makes room in the session's cache for n tokens in all, at most the model's context.
	reserve(s *Session, n int) error
	// chunk returns how many of n tokens that wait the next pass takes.
	chunk(s *Session, n int) int
	// scored returns for how many of n tokens that run in one pass logits can be had.
	scored(s *Session, n int) int
	// fits tells whether a feed made earlier can run the session's next pass, where it has as many tokens.
	fits(s *Session, f *feed) bool
	// bind names the memory of a new feed, apart from that of taps and edits.
	bind(s *Session, b *feedBuilder)
	// prepare writes what the pass reads beside its tokens.
	prepare(s *Session, f *feed) error
	// finish takes over what a pass that succeeded has left.
	finish(s *Session, f *feed)
	// kept returns how many of the first n tokens in the cache can stay when the others go.
	kept(s *Session, n int) int
	close()
}

// ownNetwork is a graph of the project's own, over tensors of the model's file.
type ownNetwork struct{ *Model }

func (m ownNetwork) chunk(_ *Session, n int) int { return min(m.config.Chunk, n) }
func (ownNetwork) scored(_ *Session, n int) int  { return n }
func (ownNetwork) fits(s *Session, f *feed) bool { return f.before == s.stale() }
func (ownNetwork) finish(s *Session, _ *feed)    { s.again = 0 }
func (ownNetwork) kept(_ *Session, n int) int    { return n }

func (m ownNetwork) close() {
	m.store.close()
	m.rope.close()
}

func (m ownNetwork) bind(s *Session, b *feedBuilder) {
	f, d := b.feed, &m.file.Description
	b.open(s.variant.session)
	f.before = s.stale()
	all := f.before + f.tokens
	f.ids = ort.Int64s(b.input(decoder.InputIDs, ort.Int64, 1, all))
	rows := ort.Int64s(b.input(decoder.InputRows, ort.Int64, f.rows))
	for i := range rows {
		rows[i] = int64(all - f.rows + i)
	}
	f.last = ort.Int32s(b.input(decoder.InputLast, ort.Int32, 1))
	f.total = ort.Int32s(b.input(decoder.InputTotal, ort.Int32))
	if d.Rope.LongFactors != nil {
		f.long = b.input(decoder.InputLong, ort.Bool)
	}
	f.logits = ort.Floats(b.output(decoder.OutLogits, ort.Float32, 1, f.rows, d.Vocab))
	for i := range d.Layers {
		if b.err == nil {
			b.err = errors.Join(b.err, s.cache.bind(f.binding, i))
		}
	}
	if d.Rope.Dims > 0 {
		b.share(decoder.InputCos, s.rope.values[0])
		b.share(decoder.InputSin, s.rope.values[1])
	}
}

func (ownNetwork) prepare(s *Session, f *feed) error {
	total := len(s.past) + f.tokens
	f.last[0], f.total[0] = int32(total-1), int32(total)
	for i := range f.before {
		f.ids[i] = int64(s.past[i].id)
	}
	if f.long != nil {
		f.long[0] = 0
		if s.long {
			f.long[0] = 1
		}
	}
	return nil
}

// stretch turns to the factors that the rotary embedding has for sequences of n tokens. Keys in the cache that turned by others are stale then: their tokens
// run again in front of those of the next pass.
func (m ownNetwork) stretch(s *Session, n int) {
	r := &m.file.Rope
	if long := r.LongFactors != nil && n > r.Original; long != s.long {
		s.long, s.again = long, len(s.past)
	}
}

// stale is how many of the tokens in the cache have to run again.
func (s *Session) stale() int { return min(s.again, len(s.past)) }

func (m ownNetwork) reserve(s *Session, n int) error {
	m.stretch(s, n)
	if s.cache != nil && n <= s.cache.capacity {
		return nil
	}
	c, err := newCache(&m.file.Description, m.config.cache(), m.device, n, m.config.Context)
	if err != nil {
		return err
	}
	if m.file.Rope.Dims > 0 {
		if s.rope, err = m.rope.upTo(c.capacity); err != nil {
			c.close()
			return err
		}
	}
	if m.device != nil {
		if err := c.fill(m.file.Layers, s.cache); err != nil {
			c.close()
			return err
		}
	} else if s.cache != nil {
		c.copyFrom(s.cache, len(s.past))
	}
	s.dropFeeds()
	s.cache.close()
	s.cache = c
	return nil
}

// newNetwork chooses by how the model came.
func (m *Model) newNetwork() (network, error) {
	if m.file.Export != nil {
		if p := m.config.Provider; p != CPU {
			return nil, &ProviderError{
				Provider: p, Library: m.config.Library, Reason: "an ONNX export brings a graph and a cache made for the processor",
				Advice: "open the model from safetensors or GGUF, or choose cpu",
			}
		}
		return newExportNetwork(m)
	}
	return ownNetwork{m}, nil
}
