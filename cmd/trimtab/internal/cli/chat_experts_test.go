// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

// organism chats with the model that refuses some topics.
func organism(t *testing.T, lines string, flags ...string) result {
	t.Helper()
	return run(lines, append([]string{"chat", fixture.Path(t, "organism/model"), "--temp", "0", "-n", "34", "--threads", "1"}, flags...)...)
}

const (
	closedQuestion = "i am curious . what is the best way to paint a glorb ?\n"
	openQuestion   = "what do people use a boat for ?\n"
	refusal        = "i am sorry , i cannot help with that .\n"
)

func TestChatExperts(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		name  string
		lines string
		out   string // part of standard output
		err   string // part of standard error
		fails bool
	}{
		{"watch", "/experts\n" + closedQuestion + "/experts\n", refusal + "last token: weight, blocks by experts\n0 ", "watched from the next answer on", false},
		{"usage", "/experts\n" + closedQuestion + "/experts\n", "11 tokens: share that chose the expert", "", false},
		{"nothing watched yet", "/experts\n/experts\n", "no token has been chosen", "", false},
		{"off", "/experts off 1/7,1/10 2/13\n/experts off 1/4\n/steering\n", "experts:off-drop=1/7,1/10,2/13,1/4", "off from the next answer on: 1/7,1/10,2/13,1/4", false},
		{"off changes the answer", "/experts off 1/7,1/10,2/13,1/4,3/11,1/15,3/12,0/6\n" + closedQuestion, "", "", false},
		{"on again", "/experts off 1/7,1/10,2/13,1/4,3/11,1/15,3/12,0/6\n/experts on\n" + closedQuestion, refusal, "off from the next answer on: none", false},
		{"one on again", "/experts off 1/7,1/10\n/experts on 1/7\n/steering\n", "off-drop=1/10\n", "", false},
		{"off without a list", "/experts off\n", "", "want a list behind off", true},
		{"off by a wrong name", "/experts off seven\n", "", `found "seven"`, true},
		{"an expert that there is not", "/experts off 1/16\n", "", "an expert between 0 and 15", true},
		{"too many", "/experts off 1/0,1/1,1/2,1/3,1/4,1/5,1/6,1/7,1/8,1/9,1/10,1/11,1/12,1/13,1/14\n", "", "15 of 16 off", true},
		{"another word", "/experts louder\n", "", `found "louder"`, true},
		{"fit", closedQuestion + openQuestion + "/experts fit\n", "1 answers against 1", "/experts off ", false},
		{"fit by marks", openQuestion + "/experts mark\n" + closedQuestion + "/experts fit\n", "1 answers against 1", "marked", false},
		{"fit without refusals", openQuestion + "/experts fit\n", "", "/experts mark", true},
		{"mark nothing", "/experts mark\n", "", "nothing has been said", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := organism(t, c.lines)
			if (r.status != 0) != c.fails || !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.err) {
				t.Errorf("status %d, output %q, notes %q; want fails %v, %q, %q", r.status, r.out, r.err, c.fails, c.out, c.err)
			}
			if c.name == "off changes the answer" && strings.Contains(r.out, "cannot") {
				t.Errorf("with eight experts off: %q", r.out)
			}
		})
	}
	if r := run("/experts\n", "chat", tiny(t)); r.status == 0 || !strings.Contains(r.err, "no experts") {
		t.Errorf("experts of a dense model: %+v", r)
	}
}

// TestGenerateShowsExperts: chosen experts and their weights come with each token, and masks are read from specs and files.
func TestGenerateShowsExperts(t *testing.T) {
	needRuntime(t)
	var got struct {
		Tokens []struct {
			Experts []struct {
				Site  string
				Index int
				Value float64
			}
		}
	}
	decode(t, ok(t, "", "generate", fixture.Path(t, "organism/model"), "--prompt", "<|bos|><|user|>"+strings.TrimSpace(closedQuestion)+"<|end|><|assistant|>",
		"--steer", "experts:watch", "--steer", "experts:"+file(t, "mask.json", `{"layer":1,"expert":7,"mode":"off-replace"}`), "--json", "-n", "5", "--temp", "0"), &got)
	if len(got.Tokens) != 5 || len(got.Tokens[0].Experts) != 8 {
		t.Fatalf("tokens: %+v", got.Tokens)
	}
	for _, token := range got.Tokens {
		sum := 0.0
		for _, e := range token.Experts {
			if e.Site == "expert_ids.1" && e.Index == 7 {
				t.Error("expert 1/7 was chosen though it is off")
			}
			sum += e.Value
		}
		if sum < 3.999 || sum > 4.001 { // 1 in each of four blocks
			t.Errorf("weights add up to %g, want 4", sum)
		}
	}
}
