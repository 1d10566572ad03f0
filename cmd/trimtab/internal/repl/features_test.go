// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
)

func TestTableOfFeatures(t *testing.T) {
	c := &Chat{}
	a := &answer.Answer{Tokens: []answer.Told{
		{Token: "Hi", Features: []answer.Reading{{Index: 7, Value: 2.25, Label: "greeting"}, {Index: 9, Value: 1}}, Gauges: []answer.Reading{{Hook: "d", Label: "positions left out", Value: 2}}},
		{Token: " you"},
	}}
	const want = "d: 2 positions left out (massive activations)\n" + `"Hi"    greeting 2.2  9 1.0` + "\n" + `" you"  ` + "\n"
	if got := c.table(a); got != want {
		t.Errorf("table = %q, want %q", got, want)
	}
	if !strings.Contains(errNoDictionary.Error(), "/probe") {
		t.Error("the error does not say what to do")
	}
}
