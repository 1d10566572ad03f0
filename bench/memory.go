// SPDX-License-Identifier: Apache-2.0

package bench

// Footprint is what a process holds in memory once a prompt has run, in MB; zeros where the system does not tell.
type Footprint struct {
	Name      string  `json:"name"`
	Peer      string  `json:"peer,omitempty"`
	Resident  float64 `json:"resident_mb"`
	Anonymous float64 `json:"anonymous_mb"`        // of that, what has no file behind it
	File      float64 `json:"file_mb"`             // the rest, which the system may drop and read again
	Native    float64 `json:"native_mb,omitempty"` // of what is anonymous, what Go does not have; once Go has given back what it does not use
	Peak      float64 `json:"peak_mb,omitempty"`   // the most that was ever resident
	Ratio     float64 `json:"ratio"`               // of what is resident to the untouched model's
}

func newFootprint(name string, u usage) Footprint {
	return Footprint{Name: name, Resident: mb(u.Resident), Anonymous: mb(u.Anonymous), File: mb(u.Resident - u.Anonymous)}
}

// footprint is that of a process that answered.
func (a *answer) footprint(name string) Footprint {
	f := newFootprint(name, a.Now)
	f.Peak, f.Native = mb(a.Peak), a.Native
	return f
}

// memory asks a process for every kind of hook, and one for none.
func (s *suite) memory() error {
	if !s.probes(SuiteMemory) {
		return nil
	}
	s.c.Progress("memory")
	a, err := s.ask(s.ctx, question{})
	if err != nil {
		return err
	}
	if a.Now.Resident == 0 {
		s.note("memory: this system has no /proc/self/smaps_rollup to tell it")
		return nil
	}
	kinds, err := s.ask(s.ctx, question{List: true})
	if err != nil {
		return err
	}
	rows := []Footprint{a.footprint("none")}
	for _, k := range kinds.Kinds {
		s.c.Progress("memory: " + k)
		a, err := s.ask(s.ctx, question{Kind: k})
		if err != nil {
			return err
		}
		rows = append(rows, a.footprint(k))
	}
	peers, err := s.memoryOfPeers()
	rows = append(rows, peers...)
	for i := range rows {
		rows[i].Ratio = rows[i].Resident / rows[0].Resident
	}
	s.report.Memory = rows
	return err
}

// memoryOfPeers has two rows a peer: its process, and what of it came after Python and its imports.
func (s *suite) memoryOfPeers() (rows []Footprint, err error) {
	for i := range s.rivals {
		more, err := s.memoryOfPeer(&s.rivals[i])
		if err != nil {
			return rows, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func (s *suite) memoryOfPeer(r *rival) (rows []Footprint, err error) {
	p, end := s.startOne(r, peerNeeds{Context: firstPrompt + grown})
	defer end(&err)
	q, ok := p.(*script)
	if !ok {
		return nil, nil
	}
	if _, err := q.run(s.prompt(firstPrompt), 0, false); err != nil {
		return nil, err
	}
	now, before, err := q.memory()
	if err != nil || now.Resident == 0 {
		return nil, err
	}
	rows = []Footprint{
		newFootprint(r.name+", without Python", usage{now.Resident - before.Resident, now.Anonymous - before.Anonymous}),
		newFootprint(r.name+", its process", now),
	}
	for i := range rows {
		rows[i].Peer = r.family
	}
	return rows, nil
}
