// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"strconv"
	"strings"
)

// ActionKind is what an action does to the run.
type ActionKind uint8

// Kinds of actions, each with the fields of Action that it uses.
const (
	Promote     ActionKind = iota // Concept, Factor, Sites: add Factor times the activation's norm along the concept
	Suppress                      // as Promote, against the concept
	AddVector                     // File, Factor, Sites
	SetFeature                    // Feature, File (empty: the dictionary that detects), Assign, Value
	MaskExperts                   // Experts
	Stop                          // none
	Require                       // Phrase
)

// Expert names one expert of one layer, both counted from 0.
type Expert struct{ Layer, Expert int }

// Action is one thing to do while a rule's condition holds.
type Action struct {
	Kind         ActionKind
	Concept      string
	File         string
	Phrase       string
	Feature      int
	Assign       string   // = += *= >= <=
	Value        float64  // right side of Assign
	Factor       *float64 // nil: the rule's strength
	Sites        string   // empty: the rule's
	Experts      []Expert
	Line, Column int
}

func (a *Action) String() string {
	switch a.Kind {
	case Promote:
		return "promote " + quoteName(a.Concept) + a.amount()
	case Suppress:
		return "suppress " + quoteName(a.Concept) + a.amount()
	case AddVector:
		return "add " + strconv.Quote(a.File) + a.amount()
	case SetFeature:
		of := ""
		if a.File != "" {
			of = " of " + strconv.Quote(a.File)
		}
		return fmt.Sprintf("set feature %d%s %s %s", a.Feature, of, a.Assign, number(a.Value))
	case MaskExperts:
		var b strings.Builder
		for _, e := range a.Experts {
			fmt.Fprintf(&b, " %d/%d", e.Layer, e.Expert)
		}
		return "mask experts" + b.String()
	case Stop:
		return "stop"
	}
	return "require " + strconv.Quote(a.Phrase)
}

func (a *Action) amount() string {
	out := ""
	if a.Factor != nil {
		out = " *" + number(*a.Factor)
	}
	if a.Sites != "" {
		out += " @" + quoteSites(a.Sites)
	}
	return out
}
