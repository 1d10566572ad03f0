// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"slices"
	"sync"
	"testing"
)

// TestGrowth holds that a dictionary that was grown in steps encodes as one that was whole from the start, with the table, with a part of it and without.
func TestGrowth(t *testing.T) {
	const d, n = 32, 300
	rows := unitDictionary(11, n, d)
	for name, budget := range map[string]int64{"whole table": growthBudget, "half a table": 4 * 320 * 150, "no table": 0} {
		rule := PursuitRule{Method: Matching, K: 12}
		w, err := NewGrowth(d, rule)
		if err != nil {
			t.Fatal(err)
		}
		w.g.budget = budget
		for _, step := range []int{0, 1, 40, 70, 71, 200, n} {
			w.Add(rows[w.Len()*d : step*d])
			if step == 0 {
				continue
			}
			plain := pursueFlat(t, slices.Clone(w.Atoms()), d, rule).NewCoder()
			var x []float32
			for i := range uint64(70) {
				x = append(x, mixture(i, rows, d, 4)...)
			}
			codes := make([][]Feature, 70)
			var once sync.Mutex
			w.Encode(x, func(i int, code []Feature) {
				once.Lock()
				defer once.Unlock()
				codes[i] = slices.Clone(code)
			})
			for i, got := range codes {
				if want := plain.Encode(nil, x[i*d:(i+1)*d]); !slices.Equal(got, want) {
					t.Fatalf("%s, %d atoms, row %d: code %v, want %v", name, step, i, got, want)
				}
			}
		}
		got, err := w.Dictionary()
		if err != nil || got.Form.N != n {
			t.Fatalf("Dictionary() = %v, %v", got, err)
		}
		for i, v := range got.Form.Dec {
			if v-rows[i] > 1e-6 || rows[i]-v > 1e-6 {
				t.Fatalf("number %d of the atoms = %v, want %v", i, v, rows[i])
			}
		}
	}
}

func TestGrowthRefuses(t *testing.T) {
	if _, err := NewGrowth(0, PursuitRule{K: 1}); err == nil {
		t.Error("NewGrowth(0) = nil error")
	}
	if _, err := NewGrowth(3, PursuitRule{}); err == nil {
		t.Error("NewGrowth without rounds = nil error")
	}
}
