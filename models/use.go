// SPDX-License-Identifier: Apache-2.0

package models

import (
	"slices"

	"github.com/trimtab/trimtab/models/decoder"
)

// watched notes which tensors are asked for.
type watched struct {
	decoder.Source
	asked map[string]bool
}

func (w watched) Tensor(name string) (decoder.Tensor, bool) {
	w.asked[name] = true
	return w.Source.Tensor(name)
}

// checkUse builds the graph once on paper: it fails where a tensor is missing, has another shape, or is in the file and never read. Without that a model of a family
// with one part more would run as if the part were not there.
func checkUse(d *decoder.Description, source decoder.Source, names []string) error {
	w := watched{source, map[string]bool{}}
	if _, err := decoder.Build(d, w, decoder.Options{}); err != nil {
		return err
	}
	slices.Sort(names)
	for _, n := range names {
		if !w.asked[n] {
			return &TensorError{n, "nothing in a model of the family " + d.Family + " reads it"}
		}
	}
	return nil
}
