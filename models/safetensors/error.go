// SPDX-License-Identifier: Apache-2.0

package safetensors

import "fmt"

// FormatError says where a file breaks the format, or differs from what was asked of it.
type FormatError struct {
	Path   string
	Offset int64  // byte near the fault; 0 where no place is to blame
	What   string // the thing that is wrong, such as: tensor "x"
	Want   string
	Found  string
}

// Error names file, thing, what was wanted, what was found, and the byte.
func (e *FormatError) Error() string {
	s := fmt.Sprintf("safetensors: %s: %s: want %s, found %s", e.Path, e.What, e.Want, e.Found)
	if e.Offset > 0 {
		s += fmt.Sprintf(" (at byte %d)", e.Offset)
	}
	return s
}
