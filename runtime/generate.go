// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// Options says how one answer is generated; the zero value is greedy, until the model ends its turn or the context is full.
type Options struct {
	Sampling
	MaxTokens int      // 0 is no limit
	Stop      []string // texts that end the answer; they are not part of it
	IgnoreEOS bool     // go on behind the model's end tokens
	LogProbs  int      // most likely tokens reported with each token; 0 reports none, not even its own
}

// Finish says why an answer ended.
type Finish string

// The reasons for an end.
const (
	Unfinished Finish = ""
	Stopped    Finish = "stop"   // an end token of the model or a stop text
	Length     Finish = "length" // MaxTokens
	Halted     Finish = "hook"   // a hook asked for it
)

// Token is one generated token.
type Token struct {
	ID      int32
	Text    string      // what the token adds to the answer; "" while a character or a possible stop text is incomplete
	LogProb float32     // natural logarithm of the token's probability before sampling; 0 unless Options.LogProbs is set
	Top     []Candidate // most likely tokens, likeliest first; BORROWED until the next token
	Finish  Finish      // set on the last token; an end token of the model has no text
	// Readings is what hooks reported since the token before was chosen: mostly at the position behind which this token stands, for the first token at
	// every position of the prompt that was run. BORROWED until the next token.
	Readings []hooks.Reading
}

// Candidate is a token that could have come.
type Candidate struct {
	ID      int32
	LogProb float32
}

// Generate continues prompt, streaming. The prompt is the whole sequence: what it shares with the tokens already in the session's cache is not run
// again, if the hooks acting on it are what they were. Breaking off the loop ends the generation; the session can be used on. An error ends the sequence.
// The iterator may be ranged over once. Nothing is allocated per token once the first is out, unless a character spans tokens.
func (s *Session) Generate(ctx context.Context, prompt []int32, o Options) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if err := s.generate(ctx, prompt, o, yield); err != nil {
			yield(Token{}, err)
		}
	}
}

// errBreak says that the consumer left the loop.
var errBreak = errors.New("the loop was left")

func (s *Session) generate(ctx context.Context, prompt []int32, o Options, yield func(Token, error) bool) error {
	if !s.running.CompareAndSwap(false, true) {
		return fmt.Errorf("runtime: generate: %w", ErrBusy)
	}
	defer s.running.Store(false)
	g, err := s.begin(prompt, o)
	if err != nil {
		return err
	}
	release := s.stopWith(ctx)
	defer release()
	if s.model.batch != nil {
		defer s.model.batch.leave(s)
	}
	err = g.answer(ctx, prompt, yield)
	if errors.Is(err, errBreak) {
		return nil
	}
	return err
}

// generation is what one call of Generate keeps.
type generation struct {
	session *Session
	options Options
	sampler *Sampler
	text    textStream
	ends    []int32
	saying  []int32 // tokens that a hook wants said, still to come
	halting bool    // a hook wants the answer to end behind them
	step    [1]int32
}

func (s *Session) begin(prompt []int32, o Options) (*generation, error) {
	if len(prompt) == 0 {
		return nil, fmt.Errorf("runtime: generate: the prompt is empty")
	}
	vocab := int32(s.model.file.Vocab)
	for i, id := range prompt {
		if id < 0 || id >= vocab {
			return nil, fmt.Errorf("runtime: generate: token %d of the prompt: want an id between 0 and %d, found %d", i, vocab-1, id)
		}
	}
	if slices.Contains(o.Stop, "") {
		return nil, fmt.Errorf("runtime: generate: stop texts: want at least one character each, found %q", o.Stop)
	}
	sampler, err := NewSampler(o.Sampling, int(vocab))
	if err != nil {
		return nil, fmt.Errorf("runtime: generate: %w", err)
	}
	g := &generation{session: s, options: o, sampler: sampler}
	tok, err := s.model.Tokenizer()
	switch {
	case errors.Is(err, models.ErrNoTokenizer):
		if len(o.Stop) > 0 {
			return nil, fmt.Errorf("runtime: generate: stop texts: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("runtime: generate: %w", err)
	default:
		g.text = textStream{stream: tokenizer.NewStream(tok), stops: o.Stop}
		if !tok.Special(prompt[len(prompt)-1]) {
			g.text.stream.Continue() // the answer goes on in the middle of a text
		}
		if !o.IgnoreEOS {
			g.ends = tok.EOG()
		}
	}
	return g, nil
}

// answer is the path of a token: prefill, then sample, hand out, decode, until something ends it.
func (g *generation) answer(ctx context.Context, prompt []int32, yield func(Token, error) bool) error {
	s := g.session
	w := &s.pass.wishes
	w.forget()
	w.generating = true
	defer func() { w.generating = false }()
	logits, err := s.prefill(ctx, prompt)
	if err != nil {
		return err
	}
	g.sampler.Accept(prompt...)
	for n := 1; ; n++ {
		t := g.next(logits, n)
		t.Readings = w.readings
		if !yield(t, nil) {
			return errBreak
		}
		w.forget()
		if t.Finish != Unfinished {
			return nil
		}
		if logits, err = s.decodeOne(ctx, &g.step, t.ID); err != nil {
			return err
		}
	}
}

// next samples the n-th token and finds out whether it is the last.
func (g *generation) next(logits []float32, n int) Token {
	var t Token
	if g.options.LogProbs > 0 {
		t.ID, t.LogProb, t.Top = g.sampler.SampleWithLogProbs(logits, g.options.LogProbs)
	} else {
		t.ID = g.sampler.Sample(logits)
	}
	if id, ok := g.said(); ok {
		t.ID = id
		if g.options.LogProbs > 0 {
			t.LogProb = g.sampler.rawLogProb(id)
		}
	}
	g.sampler.Accept(t.ID)
	for _, end := range g.ends {
		if t.ID == end {
			t.Text, t.Finish = g.text.flush(), Stopped
			return t
		}
	}
	g.halting = g.halting || g.session.pass.wishes.stop
	var stopped bool
	t.Text, stopped = g.text.push(t.ID)
	switch {
	case stopped:
		t.Finish = Stopped
	case g.halting && len(g.saying) == 0:
		t.Text += g.text.flush()
		t.Finish = Halted
	case n == g.options.MaxTokens:
		t.Text += g.text.flush()
		t.Finish = Length
	}
	return t
}

// said returns the next token of what hooks want said.
func (g *generation) said() (int32, bool) {
	if w := &g.session.pass.wishes; w.text != "" {
		if tok, err := g.session.model.Tokenizer(); err == nil {
			g.saying = tok.Encode(g.saying, w.text, false)
		}
		w.text = ""
	}
	if len(g.saying) == 0 {
		return 0, false
	}
	id := g.saying[0]
	g.saying = g.saying[1:]
	return id, true
}

// prefill runs what of the prompt is not in the cache, in chunks, and returns the logits behind its last token.
func (s *Session) prefill(ctx context.Context, prompt []int32) ([]float32, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("runtime: generate: %w", err)
	}
	defer s.mu.Unlock()
	done := s.keep(prompt)
	if err := s.reserve(len(prompt)); err != nil {
		return nil, fmt.Errorf("runtime: generate: prompt: %w", err)
	}
	var logits []float32
	for done < len(prompt) {
		n := s.model.network.chunk(s, len(prompt)-done)
		f, err := s.chunkFeed(n, 1)
		if err != nil {
			return nil, err
		}
		s.pass.rest = len(prompt) - done - n
		if err := s.runUnlessDone(ctx, f, prompt[done:done+n], hooks.Prefill); err != nil {
			return nil, err
		}
		logits, done = f.lastLogits(), done+n
	}
	return logits, nil
}

// chunkFeed returns a feed for n tokens of which the last rows have logits; the last one made is kept, since prompts run in chunks of one size.
func (s *Session) chunkFeed(n, rows int) (*feed, error) {
	if s.chunk != nil && s.chunk.tokens == n && s.chunk.asked == rows && s.model.network.fits(s, s.chunk) {
		return s.chunk, nil
	}
	s.chunk.close()
	s.chunk = nil
	f, err := s.newFeed(n, rows)
	s.chunk = f
	return f, err
}

// decodeOne runs one generated token and returns the logits behind it.
func (s *Session) decodeOne(ctx context.Context, buf *[1]int32, id int32) ([]float32, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("runtime: generate: %w", err)
	}
	defer s.mu.Unlock()
	if err := s.reserve(len(s.past) + 1); err != nil {
		return nil, fmt.Errorf("runtime: generate: %w", err)
	}
	if s.model.batch != nil && s.stale() == 0 {
		return s.decodeShared(ctx, id)
	}
	if s.decode == nil || !s.model.network.fits(s, s.decode) {
		s.decode.close()
		s.decode = nil
		f, err := s.newFeed(1, 1)
		if err != nil {
			return nil, err
		}
		s.decode = f
	}
	buf[0] = id
	s.pass.rest = 0
	if err := s.runUnlessDone(ctx, s.decode, buf[:], hooks.Decode); err != nil {
		return nil, err
	}
	return s.decode.lastLogits(), nil
}

// decodeShared is decodeOne in a pass shared with other sessions. It cannot be stopped, but takes a token's time at most.
func (s *Session) decodeShared(ctx context.Context, id int32) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("runtime: generate: %w", err)
	}
	s.shared.token[0] = id
	if err := s.model.batch.pass(s); err != nil {
		return nil, err
	}
	s.past = append(s.past, pastToken{id: id, generated: true, began: true, state: s.state(hooks.Decode)})
	return s.shared.logits, nil
}

// runUnlessDone is run, with the context's error where the context ended it.
func (s *Session) runUnlessDone(ctx context.Context, f *feed, tokens []int32, phase hooks.Phase) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("runtime: generate: %w", err)
	}
	err := s.run(f, tokens, phase)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("runtime: generate: %w", ctx.Err())
	}
	select {
	case <-s.closing:
		return fmt.Errorf("runtime: generate: %w", ErrClosed)
	default:
		return err
	}
}

// stopWith lets the context stop native runs; what it returns waits until it no longer can.
func (s *Session) stopWith(ctx context.Context) (release func()) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.stopper.Stop()
		close(fired)
	})
	return func() {
		if stop() {
			return
		}
		<-fired
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.stopper.Reset()
		}
	}
}
