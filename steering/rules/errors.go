// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"strings"
)

// ParseError says where a text stops making sense. Lines and columns count from 1, columns in characters.
type ParseError struct {
	Line, Column int
	Want, Found  string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("rules: line %d, column %d: want %s, found %s", e.Line, e.Column, e.Want, e.Found)
}

// CycleError names the rules through which a concept depends on its own absence, in order: each rule's conclusion is in the next one's condition, and
// the last one's in the first one's.
type CycleError struct {
	Rules   []string // titles
	Negated string   // the concept that the first of them negates
}

func (e *CycleError) Error() string {
	const format = "rules: cycle through negation: %q depends on its own absence by the rules %s: " +
		"want a rule that negates a concept to conclude nothing the concept depends on (or an open world)"
	return fmt.Sprintf(format, e.Negated, strings.Join(e.Rules, ", "))
}
