// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/concepts"
)

// rulesFile writes a program over the concepts "always" and "never" of the tiny model.
func rulesFile(t *testing.T, program string) string {
	t.Helper()
	set := concepts.NewSet(hooks.At(hooks.ResidPost, 1), 64)
	for name, threshold := range map[string]float64{"always": -1e9, "never": 1e9} {
		d := make([]float32, 64)
		d[3] = 1
		set.Concepts = append(set.Concepts, concepts.Concept{
			Name: name, Reader: concepts.Reader{Kind: concepts.Direction, Direction: d, Aggregate: concepts.Max, Threshold: threshold},
			Lever: concepts.Lever{Direction: d, Norm: 2},
		})
	}
	dir := t.TempDir()
	if err := set.Save(filepath.Join(dir, "set.json")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "rules.txt")
	if err := os.WriteFile(path, []byte("concepts \"set.json\"\n"+program), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestChatReasons(t *testing.T) {
	needRuntime(t)
	path := rulesFile(t, "loud: always and not never -> strong, promote never *0.25\n")
	for _, tc := range []struct {
		name, lines, out, err string
		fails                 bool
	}{
		{"rules", "/rules " + path + "\n/rules\n", "loud: always and not never -> strong, promote never *0.25", "lever does was not measured", false},
		{"rules without any", "/rules\n", "", "no rules are attached", true},
		{"a rule without any", "/rule a -> b\n", "", "no rules are attached", true},
		{"firing", "/rules " + path + "\nhello\n", "fired: loud at 6 of 6 tokens", "", false},
		{"why", "/rules " + path + "\nhello\n/why 2\n", "loud: always, not never -> strong, promote never *0.25\nnever: moved by ", "", false},
		{"why of nothing", "/rules " + path + "\n/why\n", "", "nothing has been said", true},
		{"why of a token that is none", "/rules " + path + "\nhello\n/why 99\n", "", "between 1 and 6", true},
		{"another rule", "/rules " + path + "\n/rule strong -> stop\nhello\n/rules\n", "strong -> stop", "2 rules", false},
		{"a broken rule", "/rules " + path + "\n/rule strong and -> stop\n", "", "line 1, column 12", true},
		{"concepts", "/rules " + path + "\n/concepts\n", "always  max of [] from -1e+09 on", "", false},
		{"concepts alone", "/concepts " + filepath.Join(filepath.Dir(path), "set.json") + "\n/rule always -> stop\nhello\n", "fired: #1 at 1 of 1 tokens", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := pipe(t, tc.lines)
			if !strings.Contains(got.out, tc.out) || !strings.Contains(got.err, tc.err) || (got.status != 0) != tc.fails {
				t.Errorf("status %d, output %q, error %q; want %q and %q", got.status, got.out, got.err, tc.out, tc.err)
			}
		})
	}
}

func TestReplayExplainsASavedRun(t *testing.T) {
	needRuntime(t)
	path := rulesFile(t, "loud: always -> promote never *0.25 [answer]\n")
	got := run("", "generate", tiny(t), "--ids", "3,17,42", "--temp", "0", "-n", "3", "--ignore-eos", "--steer", "rules:"+path, "--json")
	var a answer.Answer
	if err := json.Unmarshal([]byte(got.out), &a); err != nil || len(a.Tokens) != 3 {
		t.Fatalf("%v, %d tokens, error %q", err, len(a.Tokens), got.err)
	}
	if len(a.Tokens[0].Fired) != 0 || len(a.Tokens[1].Fired) != 1 || a.Tokens[1].Fired[0].Label != "loud" || len(a.Tokens[2].Gauges) != 1 {
		t.Errorf("tokens: %+v; want an answer rule to fire from the second on", a.Tokens)
	}
	saved := file(t, "run.json", got.out)
	if got = run("", "reason", path, "--replay", saved); got.status != 0 || strings.Count(got.out, "loud: always ->") != 2 || strings.Count(got.out, "no rule fired") != 1 {
		t.Errorf("replay: status %d, output %q, error %q", got.status, got.out, got.err)
	}
	if got = run("", "reason", path, "--replay", file(t, "no.json", `{"prompt_ids":[1],"tokens":[{"position":9}]}`)); got.status == 0 || !strings.Contains(got.err, "found 9") {
		t.Errorf("a run with a position that cannot be: status %d, error %q", got.status, got.err)
	}
}

func TestFitConceptsOfDirections(t *testing.T) {
	needRuntime(t)
	texts := file(t, "texts.json", `{"concepts": {"digits": {"positive": ["1 2 3", "4 5 6", "7 8 9", "1 4 7", "2 5 8", "3 6 9"], "negative": ["a b c", "d e f", "g h i", "j k l", "m n o", "p q r"]}}}`)
	out := filepath.Join(t.TempDir(), "set.json")
	for _, mode := range []string{"sentence", "position"} {
		got := run("", "fit", "concepts", tiny(t), "--site", "resid_post.1", "--concepts", texts, "-o", out, "--mode", mode, "--lever", "0.1")
		if got.status != 0 || !strings.Contains(got.out, "digits") {
			t.Fatalf("%s: status %d, output %q, error %q", mode, got.status, got.out, got.err)
		}
		set, err := concepts.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if c := set.Concepts[0]; c.Train.Is != 4 || c.Held.Is != 2 || c.Lever.Effect == nil || len(c.Reader.Direction) != 64 {
			t.Errorf("%s: %+v", mode, c)
		}
	}
	for flags, say := range map[string]string{"--reader single": "want --dict", "--mode word": "want a word between [[ and ]]", "--aggregate median": "want one of [max mean]"} {
		args := append([]string{"fit", "concepts", tiny(t), "--site", "resid_post.1", "--concepts", texts, "-o", out}, strings.Fields(flags)...)
		if got := run("", args...); got.status == 0 || !strings.Contains(got.err, say) {
			t.Errorf("%s: status %d, error %q, want one with %q", flags, got.status, got.err, say)
		}
	}
}
