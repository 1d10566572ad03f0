// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"github.com/trimtab/trimtab/hooks"
)

// wishes is what taps have asked for since a token was last chosen; it is the hooks.Run that they see. Taps run on the goroutine of the run, so it has no lock.
type wishes struct {
	readings   []hooks.Reading
	stop       bool
	text       string // asked for and not yet in tokens
	generating bool   // somebody chooses tokens; otherwise only reports are kept, and those of the last pass alone
}

// Report keeps a reading for the next token.
func (w *wishes) Report(r hooks.Reading) { w.readings = append(w.readings, r) }

// Stop ends the answer behind the next token.
func (w *wishes) Stop() { w.stop = w.generating }

// Say queues text behind what is already being said.
func (w *wishes) Say(text string) {
	if w.generating {
		w.text += text
	}
}

func (w *wishes) forget() {
	w.readings, w.stop, w.text = w.readings[:0], false, ""
}
