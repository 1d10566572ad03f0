// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"errors"
	"fmt"
)

// ErrAbsent is what errors.Is finds in a [*KeyError] when the key is not in the file at all.
var ErrAbsent = errors.New("absent")

// FormatError says where a file breaks the format, or differs from what was asked of it.
type FormatError struct {
	Path   string
	Offset int64  // byte the reader was at; 0 where no place is to blame
	What   string // the thing that is wrong, such as: tensor "x"
	Want   string
	Found  string
}

// Error names file, thing, what was wanted, what was found, and the byte.
func (e *FormatError) Error() string {
	s := fmt.Sprintf("gguf: %s: %s: want %s, found %s", e.Path, e.What, e.Want, e.Found)
	if e.Offset > 0 {
		s += fmt.Sprintf(" (at byte %d)", e.Offset)
	}
	return s
}

// KeyError says that a metadata key is absent, of another type, or beyond the range asked for.
type KeyError struct {
	Path  string
	Key   string
	Want  string
	Found string // "nothing" when absent
}

// Error names file, key, wanted and found type.
func (e *KeyError) Error() string {
	return fmt.Sprintf("gguf: %s: key %q: want %s, found %s", e.Path, e.Key, e.Want, e.Found)
}

// Is makes errors.Is(err, ErrAbsent) true for an absent key.
func (e *KeyError) Is(target error) bool { return target == ErrAbsent && e.Found == nothing }

const nothing = "nothing"
