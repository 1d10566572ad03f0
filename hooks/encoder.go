// SPDX-License-Identifier: Apache-2.0

package hooks

import "fmt"

// Encoder is a matrix whose products with an activation the graph computes beside the site, for a tap to choose from. The runtime may hold it rounded:
// Activation.Slack then says how far a product may be off, and a tap that needs more computes the few that matter again from Weight.
// Taps that share an Encoder share its memory.
type Encoder struct {
	Name   string
	Rows   int       // products a row of the activation has
	Weight []float32 // [Rows, width of the site]; shared, never written
	Bits   int       // of a number, at least: 32 keeps float32, 8 (and 0) and 6 are for fewer bytes to read
}

// Check returns an *EditError where the matrix does not fit the site.
func (e *Encoder) Check(tap string, site Site, width int) error {
	want := fmt.Sprintf("an encoder of at least one row of the site's width, %d x %d numbers", e.Rows, width)
	if e.Rows < 1 || len(e.Weight) != e.Rows*width {
		return &EditError{Edit: tap, Site: site, Want: want, Got: fmt.Sprintf("%d numbers", len(e.Weight))}
	}
	switch e.Bits {
	case 0, 6, 8, 32:
		return nil
	}
	return &EditError{Edit: tap, Site: site, Want: "an encoder of 6, 8 or 32 bits", Got: fmt.Sprintf("%d", e.Bits)}
}
