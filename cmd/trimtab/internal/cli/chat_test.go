// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/models/safetensors"
)

// pipe runs a chat of the given lines through a pipe.
func pipe(t *testing.T, lines string, flags ...string) result {
	t.Helper()
	return run(lines, append([]string{"chat", tiny(t), "--temp", "0", "-n", "6", "--ignore-eos"}, flags...)...)
}

func TestChatCommands(t *testing.T) {
	needRuntime(t)
	vector, wide := vectorFile(t, "happy", 64, "0", "1"), vectorFile(t, "wide", 65, "1")
	saved := filepath.Join(t.TempDir(), "chat.json")
	broken := file(t, "broken.json", `{"messages":[{"role":"assistant","content":"x"}]}`)
	for _, tc := range []struct {
		name  string
		lines string
		out   string // part of standard output
		err   string // part of standard error
		fails bool
	}{
		{"nothing", "", "", "", false},
		{"blank lines", "\n  \n\n", "", "", false},
		{"help", "/help\n", "/unsteer [NAME]", "", false},
		{"help by its other name", "/?\n", "/compare", "", false},
		{"a command that is none", "/sing\n", "", "/sing: no such command", true},
		{"steer", "/steer vector:" + vector + "*2\n", "", "happy: direction.0 -> resid_post.0 ... direction.1 -> resid_post.1 (2 blocks)", false},
		{"steering", "/steer vector:" + vector + "*2@resid_post.1\n/steering\n", "direction.1 -> resid_post.1", "", false},
		{"steering without any", "/steering\n", "nothing is attached", "", false},
		{"a wrong width", "/steer vector:" + wide + "\n", "", "width", true},
		{"alpha", "/steer vector:" + vector + "*2\n/alpha happy -3.5\n/steering\n", "*-3.5", "", false},
		{"alpha of the only one", "/steer vector:" + vector + "*2\n/alpha 7\n/steering\n", "*7", "", false},
		{"alpha by the beginning of a name", "/steer vector:" + vector + "*2\n/alpha ha 7\n/steering\n", "*7", "", false},
		{"alpha of two", "/steer vector:" + vector + "\n/steer vector:" + vector + "\n/alpha happy#2 9\n/steering\n", "happy#2  strength 9", "", false},
		{"alpha that is none", "/steer vector:" + vector + "\n/alpha happy NaN\n", "", `want a number, found "NaN"`, true},
		{"alpha of another", "/steer vector:" + vector + "\n/alpha sad 3\n", "", `want one of happy, found "sad"`, true},
		{"alpha of nothing", "/alpha 3\n", "", "nothing is attached", true},
		{"unsteer", "/steer vector:" + vector + "\n/unsteer happy\n/steering\n", "nothing is attached", "", false},
		{"unsteer all", "/steer vector:" + vector + "\n/steer vector:" + vector + "\n/unsteer\n/steering\n", "nothing is attached", "", false},
		{"unsteer nothing", "/unsteer\n", "", "nothing is attached", true},
		{"compare", "/steer vector:" + vector + "*3\nab\n/compare\n", "--- no steering\n", "", false},
		{"compare without an answer", "/compare\n", "", "no answer yet", true},
		{"probe", "/probe vector:" + vector + "@resid_post.1\nab\n", "happy: mean ", "probe happy: direction.1 -> resid_post.1", false},
		{"probe off", "/probe vector:" + vector + "\n/probe off\n/probe\n", "", "no probes", false},
		{"probe that steers", "/probe project:" + vector + "\n", "", "want vector:FILE[@SITES]", true},
		{"sites", "/sites\n", "router_logits.0-2   missing: ", "", false},
		{"system", "/sys be brief\n/sys\n", "be brief", "", false},
		{"system as in ollama", "/set system \"\"\"be\nbrief\"\"\"\n/sys\n", "be\nbrief", "", false},
		{"temp", "/temp 0.5\n/temp\n", "temp 0.5", "", false},
		{"temp that is none", "/temp hot\n", "", "set temp: ", true},
		{"seed", "/seed 9\n/seed\n", "seed 9", "", false},
		{"set", "/set top_k 7\n/set top-k\n", "top-k 7", "", false},
		{"set as in ollama", "/set parameter temperature 0.25\n/temp\n", "temp 0.25", "", false},
		{"set beyond its bounds", "/set top-p 3\n", "", "top-p: want between 0 and 1", true},
		{"set of another name", "/set volume 3\n", "", `found "volume"`, true},
		{"set lists", "/set\n", "min-p", "", false},
		{"show", "/show\n", "tiny llama: llama, 3 layers of width 64", "", false},
		{"show messages", "ab\n/show messages\n", "user: ab\nassistant: ", "", false},
		{"tokens", "ab\n/tokens\n", "   134  \" a\"\n   101  \"b\"\n", "", false},
		{"tokens are not parsed from messages", "</s>\n/tokens\n", `"<"`, "", false},
		{"undo", "ab\n/undo\n/show messages\n", "", "0 messages are left", false},
		{"undo nothing", "/undo\n", "", "nothing has been said", true},
		{"regen nothing", "/regen\n", "", "nothing has been said", true},
		{"clear", "ab\n/clear\n/undo\n", "", "nothing has been said", true},
		{"several lines", "\"\"\"a\nb\"\"\"\n/show messages\n", "user: a\nb\n", "", false},
		{"several lines that do not end", "\"\"\"a\nb\n", "", "want a closing", true},
		{"bye", "/bye\n/sing\n", "", "", false},
		{"save without a file", "/save\n", "", "want /save FILE", true},
		{"save", "/steer vector:" + vector + "*2\n/alpha 4\n/set stop x\n/temp 0.25\nab\n/save " + saved + "\n", "", "2 messages and 1 steerings are in", false},
		{"load", "/load " + saved + "\n/steering\n/show messages\n/set stop\n", "user: ab\n", "", false},
		{"load takes strengths", "/load " + saved + "\n/steering\n/temp\n", "*4", "2 messages", false},
		{"load takes settings", "/load " + saved + "\n/temp\n", "temp 0.25", "", false},
		{"load of nothing", "/load absent.json\n", "", "load: open absent.json", true},
		{"load of a wrong order", "/load " + broken + "\n", "", `want one of the user, found one of "assistant"`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := pipe(t, tc.lines)
			if (r.status != 0) != tc.fails || !strings.Contains(r.out, tc.out) || !strings.Contains(r.err, tc.err) {
				t.Errorf("status %d\nout: %s\nerr: %s\nwant %q and %q, failing %v", r.status, r.out, r.err, tc.out, tc.err, tc.fails)
			}
			if strings.ContainsAny(r.out+r.err, "\x1b\r") || strings.Contains(r.out, ">>>") {
				t.Errorf("escape codes or prompts in a pipe: %q %q", r.out, r.err)
			}
		})
	}
}

// answers returns what a chat prints for each message, where no answer holds a line's end.
func answers(t *testing.T, lines string, flags ...string) []string {
	t.Helper()
	r := pipe(t, lines, flags...)
	if r.status != 0 {
		t.Fatalf("status %d: %s", r.status, r.err)
	}
	return strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
}

func TestChatStrengthsAct(t *testing.T) {
	needRuntime(t)
	vector := vectorFile(t, "happy", 64, "0", "1")
	plain := answers(t, "ab\n")[0]
	for _, tc := range []struct {
		name    string
		lines   string
		changes bool
	}{
		{"steered", "/steer vector:" + vector + "*3\nab\n", true},
		{"turned to 0", "/steer vector:" + vector + "*3\n/alpha 0\nab\n", false},
		{"turned up", "/steer vector:" + vector + "*0\n/alpha 3\nab\n", true},
		{"taken off", "/steer vector:" + vector + "*3\n/unsteer\nab\n", false},
		{"probed", "/probe vector:" + vector + "\nab\n", false},
		{"answered again", "/temp 0\nab\n/regen\n", false},
		{"with another system prompt", "/sys zzz\nab\n", true},
		{"after undo", "zz\n/undo\nab\n", false},
		{"from the command line", "ab\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var flags []string
			if tc.name == "from the command line" {
				flags = []string{"--steer", "vector:" + vector + "*3"}
			}
			r := pipe(t, tc.lines, flags...)
			lines := strings.Split(strings.TrimSpace(r.out), "\n")
			last := lines[len(lines)-1]
			if tc.name == "probed" {
				last = lines[0]
			}
			if tc.name == "after undo" || tc.name == "answered again" {
				last = lines[1]
			}
			if r.status != 0 || (last != plain) != tc.changes {
				t.Errorf("status %d, answer %q, without steering %q; want a change: %v\n%s", r.status, last, plain, tc.changes, r.err)
			}
		})
	}
}

func TestCompareShowsTheAnswerWithoutSteering(t *testing.T) {
	needRuntime(t)
	vector := vectorFile(t, "happy", 64, "0", "1")
	plain, steered := answers(t, "ab\n")[0], answers(t, "ab\n", "--steer", "vector:"+vector+"*3")[0]
	got := answers(t, "ab\n/compare\n", "--steer", "vector:"+vector+"*3")
	want := []string{steered, "--- happy*3", steered, "--- no steering", plain}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestProbeReadsWhatTraceWrites compares the probe's values with the activations of a traced run of the same tokens.
func TestProbeReadsWhatTraceWrites(t *testing.T) {
	needRuntime(t)
	vector, out := vectorFile(t, "happy", 64, "1"), filepath.Join(t.TempDir(), "o.safetensors")
	r := pipe(t, "/probe vector:"+vector+"\nab\n", "--quant", "f32")
	_, printed, _ := strings.Cut(r.out, "\": ")
	values := strings.Fields(printed)

	g := generate(t, "--messages", file(t, "m.json", `[{"role":"user","content":"ab"}]`), "-n", "6", "--temp", "0", "--ignore-eos", "--quant", "f32")
	ids := strings.Trim(strings.ReplaceAll(fmt.Sprint(append(g.PromptIDs, g.IDs...)), " ", ","), "[]")
	ok(t, "", "trace", tiny(t), "--ids", ids, "--sites", "resid_post.1", "--quant", "f32", "-o", out)
	h, v := floats(t, out, "resid_post.1"), floats(t, vector, "direction.1")
	if len(values) != 5 {
		t.Fatalf("%d values, want one for each of 6 tokens but the last: %q", len(values), r.out)
	}
	for i, text := range values {
		got, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		want, length := 0.0, 0.0
		for j, x := range v {
			want += float64(x) * float64(h[(len(g.PromptIDs)+i)*64+j])
			length += float64(x) * float64(x)
		}
		// Four digits are printed.
		if want /= math.Sqrt(length); math.Abs(got-want) > 1e-3*math.Abs(want)+1e-4 {
			t.Errorf("token %d: the probe says %g, the trace %g", i, got, want)
		}
	}
}

func floats(t *testing.T, path, name string) []float32 {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := f.Float32(name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestProbeOfAnAnswerWithoutDecoding has an answer of one token, which is never the input of a pass.
func TestProbeOfAnAnswerWithoutDecoding(t *testing.T) {
	needRuntime(t)
	r := pipe(t, "/probe vector:"+vectorFile(t, "happy", 64, "1")+"\nab\n", "-n", "1")
	if r.status != 0 || strings.Contains(r.out, "mean") {
		t.Errorf("status %d, %q", r.status, r.out)
	}
}
