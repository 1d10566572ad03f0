// SPDX-License-Identifier: Apache-2.0

package steering

import "github.com/trimtab/trimtab/hooks"

// Hook is what every spec becomes: a [hooks.Hook] with a name, a knob and words for what it does. It may be attached to several sessions, which then
// share its strength and nothing else.
type Hook interface {
	hooks.Hook
	// Name returns a short name without spaces, made from the file's; two hooks may have the same.
	Name() string
	// Spec returns the spec the hook was made from, with the strength where the knob stands now.
	Spec() Spec
	// Strength returns the knob that all edits of the hook share: a factor, for rotate degrees; at 0 (for rotate without strength) the hook changes nothing.
	Strength() *hooks.Knob
	// Sites returns where the hook acts on a model of this shape, in forward order, or why it cannot.
	Sites(sh *hooks.Shape) ([]Place, error)
	// Warnings lists what was accepted but a user should know.
	Warnings() []string
}

// Load parses a spec, reads its files and returns the hook it describes.
func Load(spec string) (Hook, error) {
	s, err := Parse(spec)
	if err != nil {
		return nil, err
	}
	return Open(s)
}

// Open reads the files of a parsed spec and returns the hook it describes.
func Open(s *Spec) (Hook, error) {
	switch s.Kind {
	case KindSAE, KindITDA:
		return loadFeatures(s)
	case KindActAdd:
		return loadActAdd(s)
	case KindRules:
		return loadRules(s)
	case KindExperts:
		return loadExperts(s)
	}
	return loadDirections(s)
}
