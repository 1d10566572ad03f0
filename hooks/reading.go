// SPDX-License-Identifier: Apache-2.0

package hooks

// ReadingKind says what a reading is of.
type ReadingKind uint8

// The kinds of readings.
const (
	Feature ReadingKind = iota // Index is a feature of a dictionary, Value its activation
	Expert                     // Index is a chosen expert, Value its weight
	Rule                       // Index is a rule that fired
	Concept                    // Index is a concept that holds, Value how strongly it was detected
	Probe                      // Value is a projection
	Gauge                      // Value is a measure of the steering itself, such as a divergence
)

// String returns the kind's name in JSON output.
func (k ReadingKind) String() string {
	return [...]string{"feature", "expert", "rule", "concept", "probe", "gauge"}[k]
}

// Reading is something that a hook saw at one token.
type Reading struct {
	Hook     string // name of the hook that reports
	Site     Site
	Kind     ReadingKind
	Position int // of the token at which it was seen, in its sequence
	Index    int32
	Label    string // in words; "" where there is none
	Value    float32
}

// Run is what a tap may ask of the generation that called it. What it asks holds for that generation alone; in a run that generates nothing,
// such as a trace, only reports are kept.
type Run interface {
	// Report hands a reading to whoever consumes the tokens: it comes with the token that is chosen next. Nothing is allocated in the steady state.
	Report(r Reading)
	// Stop ends the answer behind the token that is chosen next, or behind the last one of what is being said.
	Stop()
	// Say makes text the continuation of the answer from the next token on, in place of what the model would choose. Text that is being said is said to its end first.
	Say(text string)
}
