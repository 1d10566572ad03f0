// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/bench"
)

// TestMain lets the test's own binary answer what bench asks of a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == probeVerb {
		os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// quick is a call whose figures mean nothing.
func quick(t *testing.T, more ...string) []string {
	t.Helper()
	needRuntime(t)
	return append([]string{"bench", tiny(t), "--threads", "1", "--rounds", "2", "--contexts", "4", "--prompt-tokens", "8", "--sessions", "2", "--rows", "^one"}, more...)
}

func TestBenchAsTables(t *testing.T) {
	plots := filepath.Join(t.TempDir(), "plots")
	out := ok(t, "", quick(t, "--suite", "load,memory,overhead,batch", "--md", "--plot", plots)...)
	for _, want := range []string{"| warm file |", "| one site observed |", "| none again |", "| 2 sessions with vectors at all layers |", "Go bytes/token"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, name := range []string{"overhead-hooks-decode-4-tokens-of-context.png", "batch-sessions-at-the-same-time-decode-4-tokens-of-context.svg"} {
		if info, err := os.Stat(filepath.Join(plots, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if lines := ok(t, "", quick(t, "--suite", "overhead", "--benchfmt")...); !strings.Contains(lines, "\nBenchmarkHooksDecode4TokensOfContext/OneSiteObserved 8 ") {
		t.Errorf("lines for benchstat:\n%s", lines)
	}
}

// TestBenchAgainst changes a baseline until it must fail, or must not.
func TestBenchAgainst(t *testing.T) {
	out := ok(t, "", quick(t, "--suite", "overhead", "--json")...)
	var r bench.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	baseline := func(ratio float64) string {
		for i := range r.Sections {
			for j := range r.Sections[i].Results {
				x := &r.Sections[i].Results[j]
				x.Ratio, x.Interval = ratio, [2]float64{0.5 * ratio, 2 * ratio}
			}
		}
		data, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		return file(t, "baseline.json", string(data))
	}
	got := run("", quick(t, "--suite", "overhead", "--against", baseline(1e-6))...)
	if got.status != statusFailed || !strings.Contains(got.err, "hooks: decode, 4 tokens of context: one site observed: ratio") {
		t.Errorf("slower than the baseline: status %d, %s", got.status, got.err)
	}
	got = run("", quick(t, "--suite", "overhead", "--against", baseline(1e6))...)
	if got.status != 0 || !strings.Contains(got.err, "better than the baseline") || !strings.Contains(got.out, "none again") {
		t.Errorf("faster than the baseline: status %d, %s", got.status, got.err)
	}
	r.Model = "another"
	if got = run("", quick(t, "--suite", "overhead", "--against", baseline(1))...); got.status != statusFailed || !strings.Contains(got.err, "another") {
		t.Errorf("another model's baseline: status %d, %s", got.status, got.err)
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--suite", "sped"}, statusUsage, `found "sped"`},
		{[]string{"--clock", "sun"}, statusUsage, "--clock"},
		{[]string{"--rows", "("}, statusUsage, "--rows"},
		{[]string{"--tolerance", "-1"}, statusUsage, "--tolerance"},
		{[]string{"--md", "--json"}, statusUsage, "md"},
		{[]string{"--text", "absent.txt"}, statusFailed, "absent.txt"},
		{[]string{"--against", "absent.json"}, statusFailed, "absent.json"},
		{[]string{"--against", file(t, "x.json", "[1]")}, statusFailed, "want what --json printed"},
	} {
		if got := run("", append([]string{"bench", "none.gguf"}, c.args...)...); got.status != c.status || !strings.Contains(got.err, c.want) {
			t.Errorf("%q: status %d, %s", c.args, got.status, got.err)
		}
	}
	if got := run("no question", probeVerb); got.status != statusFailed || !strings.Contains(got.err, "want a question") {
		t.Errorf("status %d, %s", got.status, got.err)
	}
}
