// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/internal/fixture"
)

const someMessages = "red moon\n" + `{"prompt":"<s>green | <river>"}` + "\n" + `{"ids":[1,100,101]}` + "\n"

func TestCalibrate(t *testing.T) {
	needRuntime(t)
	in := file(t, "prompts.txt", someMessages)
	vector := "vector:" + vectorFile(t, "happy", 64, "0", "1")
	probe := file(t, "probe.json", `{"probe":"`+vector+`@resid_post.1"}`)
	concept := file(t, "concept.json", `{"concept":"`+filepath.Join(filepath.Dir(rulesFile(t, "")), "set.json")+`","name":"always"}`)
	tokens := file(t, "words.json", `{"positive":["a","b"],"negative":{"z":1}}`)
	for _, tc := range []struct {
		name    string
		spec    string
		measure string
		kl      string
		sites   []string
		met     bool
		verdict string
	}{
		{"a vector along itself", vector, probe, "0.05", []string{"resid_post.0-1"}, true, "works: probe happy +"},
		{"against itself", vector + "*-1", probe, "0.05", []string{"resid_post.0-1"}, true, "works: probe happy -"},
		{"words", vector, tokens, "0.05", []string{"resid_post.0-1"}, true, "logit difference"},
		{"a concept", vector, concept, "0.05", []string{"resid_post.0-1"}, true, "concept always"},
		{"one range after the other", vector, "", "0.05", []string{"resid_post.0", "resid_post.1"}, true, ""},
		{"a projection that is too weak", "project:" + vectorFile(t, "p", 64, "0"), "", "20", nil, false, "the budget cannot be met: up to strength 1"},
		{"a vector beyond all bounds", "vector:" + vectorFile(t, "huge", 64, "0") + "*1e30", tokens, "0.5", nil, false, "the budget cannot be met: even at strength"},
		{"rules that never fire", "rules:" + rulesFile(t, "quiet: never -> promote always *0.5\n"), "", "0.5", nil, false, "it never fired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			png := filepath.Join(t.TempDir(), "dose.png")
			args := []string{"calibrate", tiny(t), "--prompts", in, "--steer", tc.spec, "--kl", tc.kl, "-n", "4", "--png", png}
			if tc.measure != "" {
				args = append(args, "--measure", tc.measure)
			}
			for _, s := range tc.sites {
				args = append(args, "--sites", s)
			}
			var got calibrated
			decode(t, ok(t, "", append(args, "--json")...), &got)
			want := max(len(tc.sites), 1)
			if len(got.Doses) != want || got.Prompts != 3 {
				t.Fatalf("%d ranges, %d prompts; want %d, 3", len(got.Doses), got.Prompts, want)
			}
			for i, d := range got.Doses {
				off := math.Abs(d.Result.At.KL/got.Budget - 1)
				if d.Result.Met != tc.met || (tc.met && off > 0.05) || !strings.Contains(d.Verdict, tc.verdict) {
					t.Errorf("met %v at KL %g, %q; want %v and %q", d.Result.Met, d.Result.At.KL, d.Verdict, tc.met, tc.verdict)
				}
				if len(tc.sites) > 0 && d.Sites != tc.sites[i] {
					t.Errorf("sites %s, want %s", d.Sites, tc.sites[i])
				}
				if (tc.measure != "") != (d.Works != nil) || d.Text == nil {
					t.Errorf("works: %v, text: %v", d.Works, d.Text)
				}
			}
			if info, err := os.Stat(png); err != nil || info.Size() < 1000 {
				t.Errorf("chart: %v", err)
			}
			if text := ok(t, "", args...); !strings.Contains(text, "edit/activation") || !strings.Contains(text, tc.verdict) {
				t.Errorf("as text:\n%s", text)
			}
		})
	}
}

func TestCalibrateRefuses(t *testing.T) {
	needRuntime(t)
	in, v := file(t, "prompts.txt", "a\n"), "vector:"+vectorFile(t, "happy", 64, "0")
	for _, tc := range []struct {
		name   string
		args   []string
		say    string
		status int
	}{
		{"no budget", []string{"--prompts", in, "--steer", v, "--kl", "0"}, "--kl: want a budget above 0", 2},
		{"no spec", []string{"--prompts", in, "--steer", "happy"}, "column 1", 2},
		{"no prompts", []string{"--prompts", file(t, "none.txt", "\n"), "--steer", v}, "want one line or more", 1},
		{"a prompt of two kinds", []string{"--prompts", file(t, "two.txt", `{"ids":[1],"prompt":"a"}`), "--steer", v}, "line 1: want one of", 1},
		{"degrees", []string{"--prompts", in, "--steer", "rotate:" + strings.TrimPrefix(v, "vector:") + "," + vectorFile(t, "w", 64, "0", "1") + ":direction.1=30@resid_post.0"}, "found degrees", 1},
		{"a measure of nothing", []string{"--prompts", in, "--steer", v, "--measure", file(t, "m.json", "{}")}, "want one of positive and negative, probe, and concept", 1},
		{"a word of two tokens", []string{"--prompts", in, "--steer", v, "--measure", file(t, "m.json", `{"positive":["qqq"]}`)}, `found "qqq"`, 1},
		{"sites that are none", []string{"--prompts", in, "--steer", v, "--sites", "resid_post.9"}, "resid_post.9", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if r := run("", append([]string{"calibrate", tiny(t)}, tc.args...)...); r.status != tc.status || !strings.Contains(r.err, tc.say) {
				t.Errorf("status %d, %s; want %d and %q", r.status, r.err, tc.status, tc.say)
			}
		})
	}
}

// TestRangesAreThirds: a vector of many blocks is tried as a whole and in three parts.
func TestRangesAreThirds(t *testing.T) {
	needRuntime(t)
	model := fixture.Path(t, "fixtures/gguf/gemma3_deep")
	names, err := filepath.Glob(filepath.Join(model, "f32*.gguf"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no deep model among the fixtures: %v", err)
	}
	var shape struct{ Layers, Width int }
	decode(t, ok(t, "", "inspect", names[0], "--json"), &shape)
	if shape.Layers < 7 {
		t.Fatalf("want a model of 7 blocks, found %d", shape.Layers)
	}
	v := vectorFile(t, "v", shape.Width, "1", "2", "3", "4", "5", "6")
	var got calibrated
	decode(t, ok(t, "", "calibrate", names[0], "--prompts", file(t, "p.jsonl", `{"ids":[1,5,9]}`), "--steer", "vector:"+v, "--kl", "0.01", "-n", "0", "--json"), &got)
	var sites []string
	for _, d := range got.Doses {
		sites = append(sites, d.Sites)
	}
	if s := strings.Join(sites, " "); s != "resid_post.1-6 resid_post.1-2 resid_post.3-4 resid_post.5-6" {
		t.Errorf("ranges %s", s)
	}
}

func TestCompareSteer(t *testing.T) {
	needRuntime(t)
	in, v := file(t, "prompts.txt", someMessages), "vector:"+vectorFile(t, "happy", 64, "0", "1")
	quiet := "rules:" + rulesFile(t, "quiet: never -> promote always *0.5\n")
	tokens := file(t, "words.json", `{"positive":["a"]}`)
	receipt := filepath.Join(t.TempDir(), "r.jsonl")
	args := []string{"compare-steer", tiny(t), "--prompts", in, "--steer", v + "*0.5", "--steer", v + "*-0.5", "--steer", quiet, "--measure", tokens, "-n", "5"}
	var got struct {
		Prompts []string
		Sides   []struct {
			Name    string
			Point   dose.Point
			Text    dose.Reading
			Verdict string
		}
	}
	decode(t, ok(t, "", append(args, "--json", "--receipt", receipt)...), &got)
	if len(got.Sides) != 4 || len(got.Prompts) != 3 {
		t.Fatalf("%d sides of %d prompts, want 4 of 3", len(got.Sides), len(got.Prompts))
	}
	plain, up, down, still := got.Sides[0], got.Sides[1], got.Sides[2], got.Sides[3]
	if plain.Point.KL != 0 || up.Point.KL <= 0 || down.Point.KL <= 0 || up.Point.Effect*down.Point.Effect == 0 {
		t.Errorf("KL %g, %g, %g", plain.Point.KL, up.Point.KL, down.Point.KL)
	}
	if still.Point.KL != 0 || !strings.Contains(still.Verdict, "never fired") || still.Text.Texts[0].Text != plain.Text.Texts[0].Text {
		t.Errorf("rules that never fire: %+v", still)
	}
	for i := range got.Prompts {
		if len(plain.Text.Texts[i].IDs) != 5 && plain.Text.Texts[i].Perplexity <= 1 {
			t.Errorf("plain answer %d: %+v", i, plain.Text.Texts[i])
		}
	}
	if out := ok(t, "", "replay", receipt); !strings.Contains(out, "in 12 answers") {
		t.Errorf("replay: %s", out)
	}
	dir := t.TempDir()
	html, md := filepath.Join(dir, "s.html"), filepath.Join(dir, "s.md")
	if out := ok(t, "", append(args, "-o", html, "-o", md)...); out != "" {
		t.Errorf("with -o, printed %q", out)
	}
	for path, want := range map[string]string{html: "green | &lt;river&gt;", md: "green \\| &lt;river&gt;"} {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), want) || strings.Contains(string(data), "<river>") {
			t.Errorf("%s: %v, want %q in it\n%s", path, err, want, data)
		}
	}
	if text := ok(t, "", args...); strings.Count(text, "\n| ") != 1+4+1+2*3-1+1 || !strings.HasPrefix(text, "# tiny llama") {
		t.Errorf("%d lines of tables:\n%s", strings.Count(text, "\n| "), text)
	}
	if r := run("", append(args, "-o", "x.pdf")...); r.status != 2 || !strings.Contains(r.err, ".html or .md") {
		t.Errorf("a PDF: %+v", r)
	}
}

func TestDoseInAChat(t *testing.T) {
	needRuntime(t)
	vector := vectorFile(t, "happy", 64, "0", "1")
	tokens := file(t, "words.json", `{"positive":["a"]}`)
	for _, tc := range []struct {
		name, lines, out, err string
		fails                 bool
	}{
		{"a dose", "/steer vector:" + vector + "*0.5\n/dose 0.05\n", "meets a KL of 0.05", "", false},
		{"with a measure", "/steer vector:" + vector + "*0.5\nab\n/dose happy 0.05 " + tokens + "\n/steering\n", "logit difference", "", false},
		{"strengths stay", "/steer vector:" + vector + "*0.5\n/dose\n/steering\n", "happy  strength 0.5", "", false},
		{"of nothing", "/dose\n", "", "dose: nothing is attached", true},
		{"of a measure that is not there", "/steer vector:" + vector + "\n/dose absent.json\n", "", "absent.json", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := pipe(t, tc.lines)
			if (r.status != 0) != tc.fails || !strings.Contains(r.out, tc.out) || !strings.Contains(r.err, tc.err) {
				t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
			}
		})
	}
}
