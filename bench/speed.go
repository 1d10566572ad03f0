// SPDX-License-Identifier: Apache-2.0

package bench

import "fmt"

// task is one kind of step: how this project and how a peer does it.
type task struct {
	title  string
	tokens int // of a step
	unit   string
	rounds int
	ours   func(e *engine, name string) Contestant
	theirs func(p peer) Contestant
}

// decoding is some tokens behind a context.
func (s *suite) decoding(context int) task {
	prompt := s.prompt(context)
	return task{
		fmt.Sprintf("decode, %s tokens of context", thousands(context)), decodeStep, "token", s.c.Rounds,
		func(e *engine, name string) Contestant { return e.decode(name, prompt, decodeStep, grown) },
		func(p peer) Contestant { return p.decode(prompt, decodeStep, grown) },
	}
}

// prefilling is a whole prompt to its first token.
func (s *suite) prefilling() task {
	prompt := s.prompt(s.c.Prompt)
	return task{
		fmt.Sprintf("prefill of %s tokens", thousands(s.c.Prompt)), s.c.Prompt, "token", s.c.fewer(),
		func(e *engine, name string) Contestant { return e.prefill(name, prompt) },
		func(p peer) Contestant { return p.prefill(prompt) },
	}
}

// beginning is a short prompt to its first token.
func (s *suite) beginning() task {
	prompt := s.prompt(firstPrompt)
	return task{
		fmt.Sprintf("first token of a %d-token prompt", firstPrompt), 1, "prompt", s.c.Rounds,
		func(e *engine, name string) Contestant { return e.prefill(name, prompt) },
		func(p peer) Contestant { return p.prefill(prompt) },
	}
}

// speed compares the untouched model with its peers; a second session of it shows the noise.
func (s *suite) speed() (err error) {
	peers, end := s.start(peerNeeds{Context: s.longest()})
	defer end(&err)
	var list []task
	for _, n := range s.c.Contexts {
		list = append(list, s.decoding(n))
	}
	for _, t := range append(list, s.prefilling(), s.beginning()) {
		if err := s.sideBySide(t, peers); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) sideBySide(t task, peers []peer) error {
	var open engines
	defer func() { open.close() }()
	var list []Contestant
	for _, name := range []string{"trimtab", "trimtab" + again} {
		e, err := open.add(s.m)
		if err != nil {
			return err
		}
		list = append(list, t.ours(e, name))
	}
	for _, p := range peers {
		list = append(list, t.theirs(p))
	}
	return s.compare(Section{Suite: SuiteSpeed, Title: t.title, Clock: s.clock(), Tokens: t.tokens, Unit: t.unit}, t.rounds, list)
}

// longest is the context that peers need.
func (s *suite) longest() int {
	n := max(s.c.Prompt, firstPrompt)
	for _, c := range s.c.Contexts {
		n = max(n, c)
	}
	return n + grown + 8
}
