// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"strings"

	"github.com/trimtab/trimtab/steering"
)

var errEmptyFile = errors.New("the file has no tensors")

// vectorReport is what a file of directions holds; a file may hold several families.
type vectorReport struct {
	Kind    string                 `json:"kind"` // vector
	Vectors []steering.Description `json:"vectors"`
	Others  []string               `json:"other_tensors,omitempty"` // names that no vector was made of
}

func newVectors(list ...*steering.Vector) *vectorReport {
	r := &vectorReport{Kind: "vector"}
	for _, v := range list {
		r.add(v)
	}
	return r
}

func (r *vectorReport) add(v *steering.Vector) { r.Vectors = append(r.Vectors, v.Describe()) }

func (r *vectorReport) text() string {
	var b strings.Builder
	for _, d := range r.Vectors {
		b.WriteString(d.String())
	}
	if len(r.Others) > 0 {
		b.WriteString("no directions: " + strings.Join(r.Others, ", ") + "\n")
	}
	return b.String()
}
