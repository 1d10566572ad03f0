// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"fmt"
	"strings"
)

// Phase tells prefill from decode; as a set, 0 stands for both.
type Phase uint8

// The two phases of a generation.
const (
	Prefill Phase = 1 << iota // the tokens of a prompt, the last one included
	Decode                    // the tokens that were generated
)

// Where says which rows an edit or a tap acts on; the zero value is every row.
type Where struct {
	Phases   Phase // 0 is both
	From     int   // first position
	To       int   // position behind the last one; 0 is no end
	Special  bool  // only special tokens, such as <|im_start|>
	Ordinary bool  // only tokens that are not special
}

// Row is what Where decides on.
type Row struct {
	Position int
	Phase    Phase
	Special  bool // the token is a special one
}

// Selects tells whether the row is one that w means.
func (w Where) Selects(r Row) bool {
	return (w.Phases == 0 || w.Phases&r.Phase != 0) &&
		r.Position >= w.From && (w.To == 0 || r.Position < w.To) &&
		(!w.Special || r.Special) && (!w.Ordinary || !r.Special)
}

// String prints w as the steer grammar writes it, such as [decode,pos=3-7]; everything is "".
func (w Where) String() string {
	var parts []string
	switch w.Phases {
	case Prefill:
		parts = append(parts, "prefill")
	case Decode:
		parts = append(parts, "decode")
	}
	switch {
	case w.To == w.From+1:
		parts = append(parts, fmt.Sprintf("pos=%d", w.From))
	case w.To > 0:
		parts = append(parts, fmt.Sprintf("pos=%d-%d", w.From, w.To-1))
	case w.From > 0:
		parts = append(parts, fmt.Sprintf("pos=%d-", w.From))
	}
	if w.Special {
		parts = append(parts, "special")
	}
	if w.Ordinary {
		parts = append(parts, "ordinary")
	}
	if len(parts) == 0 {
		return ""
	}
	return "[" + strings.Join(parts, ",") + "]"
}
