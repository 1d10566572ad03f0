// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"errors"
	"fmt"
)

// ErrNoAddress is what an [Address] without a site answers when it is asked for one.
var ErrNoAddress = errors.New("the files do not say where the dictionary belongs: name its site, such as resid_post.12")

// FormatError says what a dictionary's files hold that is not what the format wants.
type FormatError struct {
	Path  string
	What  string // the thing that is wrong, such as: tensor W_enc
	Want  string
	Found string
	Do    string // what to do about it, where there is something
}

func (e *FormatError) Error() string {
	s := fmt.Sprintf("dictionary: %s: %s: want %s, found %s", e.Path, e.What, e.Want, e.Found)
	if e.Do != "" {
		s += ": " + e.Do
	}
	return s
}
