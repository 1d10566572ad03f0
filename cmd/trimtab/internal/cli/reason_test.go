// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reasonRules = `danger: weapon and not police -> unsafe
home: police -> not weapon
unsafe or drug -> alarm, suppress weapon *0.5 [answer]
`

func TestReason(t *testing.T) {
	for _, tc := range []struct {
		name, rules string
		args        []string
		want        string
	}{
		{"chain", reasonRules, []string{"--facts", "weapon"}, "danger: weapon, not police -> unsafe\n#3: unsafe -> alarm, suppress weapon *0.5\n"},
		{"open world", reasonRules, []string{"--facts", "weapon", "--world", "open"}, ""},
		{
			"open world, denied", reasonRules,
			[]string{"--facts", "weapon, !police", "--world", "open"},
			"danger: weapon, not police -> unsafe\n#3: unsafe -> alarm, suppress weapon *0.5\n",
		},
		{"the file's world", "world open\n" + reasonRules, []string{"--facts", "weapon"}, ""},
		{"conflict", reasonRules, []string{"--facts", "weapon,police"}, "home: police -> not weapon\nconflict: \"weapon\" is both affirmed and denied\n"},
		{"no facts", "true -> a", nil, "#1: -> a\n"},
		{"known conclusion", "a -> b, stop", []string{"--facts", "a,b"}, "#1: a -> stop\n"},
		{"comma in a name", `"x, y" -> b`, []string{"--facts", `"x, y"`}, "#1: \"x, y\" -> b\n"},
		{"legacy in order", "a and b -> c", []string{"--facts", "a,z,b", "--mode", "legacy"}, "#1: -> c\n"},
		{"legacy out of order", "a and b -> c", []string{"--facts", "b,a", "--mode", "legacy"}, ""},
		{"simple", "a and b -> c\na -> d", []string{"--facts", "b,a", "--mode", "simple"}, "#1: -> c\n"},
		{"complex", "Max -> a\nlast: a -> b\nb -> c", []string{"--facts", "Max,is,b", "--mode", "complex"}, "last: -> b\n"},
		{
			"open-world", "Max -> a\na -> not b\n\"false\" -> \"Answer: False\"",
			[]string{"--facts", "Max,is,b", "--mode", "open-world"},
			"#3: -> \"Answer: False\"\nanswer: false\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"reason", file(t, "rules.txt", tc.rules)}, tc.args...)
			if diff := cmp.Diff(tc.want, ok(t, "", args...)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", tc.args, diff)
			}
		})
	}
}

func TestReasonJSON(t *testing.T) {
	path := file(t, "rules.txt", reasonRules)
	var got reasoning
	if err := json.Unmarshal([]byte(ok(t, "", "reason", path, "--facts", "weapon", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	want := reasoning{
		Mode: "fixpoint", World: "closed", Facts: []string{"weapon"}, Derived: []string{"unsafe", "alarm"},
		Fired: []firedRule{
			{Rule: "danger", Line: 1, Round: 1, From: []string{"weapon", "not police"}, Derived: []string{"unsafe"}},
			{Rule: "#3", Line: 3, Round: 2, From: []string{"unsafe"}, Derived: []string{"alarm"}, Actions: []string{"suppress weapon *0.5"}},
		},
		Values: map[string]string{"weapon": "true", "police": "false", "unsafe": "true", "drug": "false", "alarm": "true"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reason --json (-want +got):\n%s", diff)
	}
	if out := ok(t, "", "reason", path, "--json"); !strings.Contains(out, `"facts":[],"fired":[],"derived":[]`) {
		t.Errorf("without facts: %s", out)
	}
}

func TestReasonRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, rules string
		args        []string
		status      int
		say         string
	}{
		{"syntax", "a -> b\na b -> c", nil, 1, `line 2, column 3: want "->"`},
		{"cycle", "liar: not a -> a", nil, 1, `cycle through negation: "a" depends on its own absence by the rules liar`},
		{"mode", "a -> b", []string{"--mode", "guess"}, 2, "--mode: want one of fixpoint"},
		{"world", "a -> b", []string{"--world", "flat"}, 2, "--world: want open or closed"},
		{"world of a released mode", "a -> b", []string{"--mode", "legacy", "--world", "open"}, 2, "--world goes with"},
		{"denied in a released mode", "a -> b", []string{"--mode", "legacy", "--facts", "!a"}, 2, "knows no denied facts"},
		{"empty fact", "a -> b", []string{"--facts", "a,,b"}, 2, "--facts: want names"},
		{"parentheses in a released mode", "(a or b) and c -> d", []string{"--mode", "legacy"}, 1, "no parentheses"},
	} {
		r := run("", append([]string{"reason", file(t, "rules.txt", tc.rules)}, tc.args...)...)
		if r.status != tc.status || !strings.Contains(r.err, tc.say) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: status %d, %q; want %d, %q", tc.name, r.status, r.err, tc.status, tc.say)
		}
	}
	if r := run("", "reason", "nowhere.txt"); r.status != 1 || !strings.Contains(r.err, "nowhere.txt") {
		t.Errorf("absent file: status %d, %q", r.status, r.err)
	}
	if r := run("", "reason", file(t, "rules.txt", "a -> b"), "--facts", "c"); r.status != 0 || !strings.Contains(r.err, `no rule names the fact "c"`) {
		t.Errorf("unknown fact: status %d, %q", r.status, r.err)
	}
}
