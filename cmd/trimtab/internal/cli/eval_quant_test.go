// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/bench"
)

func TestEvalQuant(t *testing.T) {
	needRuntime(t)
	out := ok(t, "", "eval", "quant", tiny(t), "--ids", "1,2,3,4,5,6,7", "--quants", "keep,q8", "--kernels", "own", "--kv", "f32,int8", "--json")
	var rows []bench.Fidelity
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v, want f32 and four more", len(rows), err)
	}
	if r := rows[4]; r.Quant != "q8" || r.Kernels != "own" || r.KV != "int8" || r.Positions != 7 {
		t.Errorf("the last row is %+v, want q8, own and int8 over 7 positions", r)
	}
	table := ok(t, "", "eval", "quant", tiny(t), "--ids", "1,2,3", "--quants", "q4", "--kernels", "ort")
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[2], "q4 ") {
		t.Errorf("printed %q, want a head, f32 and q4", table)
	}
	for _, args := range [][]string{
		{},
		{"--ids", "1,2", "--text", "x"},
		{"--ids", "1,2", "--quants", "q5"},
		{"--ids", "1,2", "--kv", "ort"},
		{"--ids", "1,2", "--tokens", "1"},
	} {
		if r := run("", append([]string{"eval", "quant", tiny(t)}, args...)...); r.status != statusUsage {
			t.Errorf("%v: status %d, want %d", args, r.status, statusUsage)
		}
	}
}
