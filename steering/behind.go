// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// answerGate finds the end of the last instruction in the tokens that pass.
type answerGate struct {
	marker []int32 // what ends an instruction; none: every position is open
	tail   []int32 // the last tokens of the pass before, one fewer than the marker has
	from   int     // first open row of the pass
}

// pass looks at the tokens of a pass. Of a prompt only what follows its last end is open; what later passes of the same prompt bring is not known, so that of a
// prompt in several passes the last alone is. A prompt without an end is open as a whole.
func (g *answerGate) pass(a *hooks.Activation, follows bool) {
	g.from = 0
	if len(g.marker) == 0 {
		return
	}
	if !follows {
		g.tail = g.tail[:0]
	}
	if a.Phase == hooks.Decode {
		return
	}
	before := len(g.tail)
	g.tail = append(g.tail, a.Tokens...)
	for end := len(g.tail); end >= len(g.marker); end-- {
		if slices.Equal(g.tail[end-len(g.marker):end], g.marker) {
			g.from = max(0, end-before)
			break
		}
	}
	g.tail = slices.Delete(g.tail, 0, max(0, len(g.tail)-len(g.marker)+1))
	if a.Rest > 0 {
		g.from = len(a.Rows)
	}
}

func (g *answerGate) open(row int) bool { return row >= g.from }
