// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/models/chat"
)

// turn returns the tokens that a model's template puts between what a user says and the answer: what two conversations of different words end with.
func turn(f *models.Model) []int32 {
	var ends [2][]int32
	for i, text := range []string{"Where is it", "Thanks."} {
		ids, err := f.Prompt(chat.Message{Role: "user", Content: text})
		if err != nil {
			return nil
		}
		ends[i] = ids
	}
	n := 0
	for n < min(len(ends[0]), len(ends[1])) && ends[0][len(ends[0])-1-n] == ends[1][len(ends[1])-1-n] {
		n++
	}
	return ends[0][len(ends[0])-n:]
}
