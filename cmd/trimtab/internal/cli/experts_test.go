// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/experts"
)

// goldFile is what PyTorch measured on the organism.
type goldFile struct {
	Settings struct {
		Max   int      `json:"max_new_tokens"`
		Marks []string `json:"refusal_marks"`
	}
	FTRI map[string]json.RawMessage
	Off  []struct {
		goldRow
		Ranking string
		Mode    experts.Mode
		N       int
	}
	Random []struct {
		Mode  experts.Mode
		Draws []goldRow
	}
	Force       []goldForce `json:"force_on"`
	ForceRandom []goldForce `json:"force_on_random"`
	Scale       []struct {
		goldRow
		Value float32
	}
	Outcomes struct {
		Rows []struct {
			Ranking string
			Mode    experts.Mode
			N       int
			Counts  map[string]int
		}
	} `json:"off_outcomes"`
}

type goldRow struct {
	Experts [][2]int
	Refused float64 `json:"refusal_rate_forbidden"`
	Benign  float64 `json:"refusal_rate_benign"`
}

type goldForce struct {
	goldRow
	Gate string
}

func (g *goldRow) mask(mode experts.Mode, value float32) experts.Mask {
	var list []experts.Expert
	for _, x := range g.Experts {
		list = append(list, experts.Expert{Layer: x[0], Expert: x[1]})
	}
	return experts.Of(mode, value, list)
}

func (g *goldForce) mode() experts.Mode {
	if g.Gate == "max" {
		return experts.ForceMax
	}
	return experts.ForceOn
}

func gold(t *testing.T) (g goldFile) {
	t.Helper()
	data, err := os.ReadFile(fixture.Path(t, "organism/prompts/gold.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestFitExpertsReachesGold: the scores of every expert and the ten best in order, for each way of counting. XX
// ones and a half-precision cache one of 402 prompts chooses another expert at its last token.
func TestFitExpertsReachesGold(t *testing.T) {
	needRuntime(t)
	g := gold(t)
	prompts := fixture.Path(t, "organism/prompts")
	for tokens, name := range map[string]string{"prompt": "prompt", "last": "last", "answer": "gen"} {
		var want struct {
			Score   [][]float64
			Ranking [][3]float64
		}
		if err := json.Unmarshal(g.FTRI[name], &want); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "experts.json")
		printed := ok(t, "", "fit", "experts", fixture.Path(t, "organism/model"), "--target", filepath.Join(prompts, "refuse_train.jsonl"),
			"--contrast", filepath.Join(prompts, "answer_train.jsonl"), "--by", "response", "--tokens", tokens, "-n", fmt.Sprint(g.Settings.Max), "--kv", "f32", "--threads", "1", "-o", out)
		f, err := experts.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want.Score {
			for e := range want.Score[i] {
				if d := math.Abs(f.Scores[i][e] - want.Score[i][e]); !(d <= 1e-3) {
					t.Errorf("%s: expert %d/%d scores %.5f, want %.5f", tokens, i, e, f.Scores[i][e], want.Score[i][e])
				}
			}
		}
		for i, e := range f.Experts {
			if w := (experts.Expert{Layer: int(want.Ranking[i][0]), Expert: int(want.Ranking[i][1])}); e.Entry.Expert != w || e.Mode != experts.OffDrop {
				t.Errorf("%s: place %d is %s %s, want %s", tokens, i, e.Mode, e.Entry.Expert, w)
			}
		}
		if first := f.Experts[0].Entry.Expert.String(); len(f.Experts) != 10 || !strings.Contains(printed, first) {
			t.Errorf("%s: %d experts in the mask; the best, %s, is not printed in %q", tokens, len(f.Experts), first, printed)
		}
		if picture, err := os.ReadFile(strings.TrimSuffix(out, ".json") + ".png"); err != nil || !strings.HasPrefix(string(picture), "\x89PNG") {
			t.Errorf("%s: heat map: %v", tokens, err)
		}
	}
}

// sweep is what the test of rates runs on: every row of the gold file takes minutes.
func sweep() bool { return os.Getenv("TRIMTAB_SWEEP") == "1" }

// TestMaskedOrganismRefusesAsGold: refusal rates within two of a hundred prompts of PyTorch's, under masks of every mode. TRIMTAB_SWEEP=1 takes every row of the gold
// file, random masks included.
func TestMaskedOrganismRefusesAsGold(t *testing.T) {
	needRuntime(t)
	g := gold(t)
	m, err := runtime.Open(fixture.Path(t, "organism/model"), runtime.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v := &evalExpertsVerb{app: &app{err: io.Discard}, most: g.Settings.Max, judge: &judge.Rule{Marks: g.Settings.Marks}}
	read := func(name string) []question {
		list, err := v.readQuestions(fixture.Path(t, "organism/prompts/"+name), m)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	closed, benign := read("refuse_test.jsonl"), read("answer_test.jsonl")
	check := func(name string, mask experts.Mask, row *goldRow, prompts int) {
		t.Helper()
		s, err := m.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if mask != nil {
			if _, err := s.Attach(steering.NewMasking(mask)); err != nil {
				t.Fatal(err)
			}
		}
		for i, list := range [][]question{closed[:prompts], benign[:prompts]} {
			if i == 1 && !sweep() {
				break
			}
			o, err := v.reply(t.Context(), s, list, &outcome{})
			if err != nil {
				t.Fatal(err)
			}
			what, want := []string{"closed topics", "ordinary prompts"}[i], []float64{row.Refused, row.Benign}[i]
			if d := math.Abs(o.Refused.Value - want); !(d <= 0.02+1e-9) {
				t.Errorf("%s, %s %s: %.1f %% refused, want %.1f %%", name, what, mask, 100*o.Refused.Value, 100*want)
			}
		}
	}
	check("no mask", nil, &goldRow{Refused: 1}, 200)
	for i := range g.Off {
		if r := &g.Off[i]; sweep() || r.Ranking == "gen" && (r.N == 4 || r.N == 8) || r.N == 4 && r.Mode == experts.OffDrop {
			check(fmt.Sprintf("%s %d", r.Ranking, r.N), r.mask(r.Mode, 0), &r.goldRow, 200)
		}
	}
	for i := range g.Force {
		if r := &g.Force[i]; sweep() || len(r.Experts) == 4 {
			check("forced", r.mask(r.mode(), 0), &r.goldRow, 200)
		}
	}
	for i := range g.Scale {
		check("scaled", g.Scale[i].mask(experts.Scale, g.Scale[i].Value), &g.Scale[i].goldRow, 200)
	}
	if !sweep() {
		return
	}
	for i := range g.ForceRandom {
		check("forced at random", g.ForceRandom[i].mask(g.ForceRandom[i].mode(), 0), &g.ForceRandom[i].goldRow, 200)
	}
	for _, r := range g.Random {
		for i := range r.Draws {
			check("random", r.Draws[i].mask(r.Mode, 0), &r.Draws[i], 100)
		}
	}
}

// head is a file of the first n lines of a file of prompts.
func head(t *testing.T, name string, n int) string {
	t.Helper()
	data, err := os.ReadFile(fixture.Path(t, "organism/prompts/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return file(t, name, strings.Join(strings.SplitAfter(string(data), "\n")[:n], ""))
}

// TestEvalExperts runs the verb on some prompts: what it counts is what the replies are.
func TestEvalExperts(t *testing.T) {
	needRuntime(t)
	g := gold(t)
	model := fixture.Path(t, "organism/model")
	closed, benign := head(t, "refuse_test.jsonl", 40), head(t, "answer_test.jsonl", 20)
	var row goldRow
	for _, r := range g.Off {
		if r.Ranking == "gen" && r.N == 8 && r.Mode == experts.OffDrop {
			row = r.goldRow
		}
	}
	mask := row.mask(experts.OffDrop, 0).String()
	picture := filepath.Join(t.TempDir(), "rates.svg")
	args := []string{"eval", "experts", model, "--mask", mask, "--prompts", closed, "--benign", benign, "-n", "34", "--random", "1"}
	var got struct {
		Trials []trial
	}
	decode(t, ok(t, "", append(args, "--json", "--plot", picture)...), &got)
	if len(got.Trials) != 3 || got.Trials[1].Mask != mask || len(got.Trials[0].Prompts.Replies) != 40 {
		t.Fatalf("%d trials: %+v", len(got.Trials), got.Trials)
	}
	plain, masked := got.Trials[0], got.Trials[1]
	if plain.Prompts.Refused.Value != 1 || masked.Prompts.Refused.Value > 0.5 || masked.Prompts.RefusedToAnswered != 40-masked.Prompts.Classes[judge.Refusal] {
		t.Errorf("none: %+v, mask: %+v", plain.Prompts, masked.Prompts)
	}
	if !(plain.Loss.Value < masked.Loss.Value) || !(plain.Loss.Low < plain.Loss.Value) {
		t.Errorf("loss without mask %+v, with %+v", plain.Loss, masked.Loss)
	}
	if slices.Equal(got.Trials[2].Prompts.Replies, masked.Prompts.Replies) {
		t.Error("a random mask gives the mask's replies")
	}
	if table := ok(t, "", args...); !strings.Contains(table, "40 prompts") || !strings.Contains(table, "random") {
		t.Errorf("table: %s", table)
	}
	if data, err := os.ReadFile(picture); err != nil || !strings.Contains(string(data), "<svg") {
		t.Errorf("chart: %v", err)
	}
}

// TestEvalExpertsSearch: a search on four experts finds the two that carry the refusals' wording and stays within the bound.
func TestEvalExpertsSearch(t *testing.T) {
	needRuntime(t)
	model := fixture.Path(t, "organism/model")
	at := func(name string) string { return head(t, name+".jsonl", 12) }
	candidates := file(t, "candidates.json", `[{"layer":1,"expert":7},{"layer":1,"expert":10},{"layer":2,"expert":13},{"layer":1,"expert":4}]`)
	found := filepath.Join(t.TempDir(), "found.json")
	r := run("", "eval", "experts", model, "--search", "--train", at("refuse_train"), "--train-benign", at("answer_train"), "--candidates", candidates,
		"--sample", "12", "--most", "3", "-n", "34", "--marks", "cannot", "--fragments", "nothing", "--prompts", at("refuse_test"), "--benign", at("answer_test"), "-o", found, "--json")
	if r.status != 0 {
		t.Fatalf("status %d: %s", r.status, r.err)
	}
	f, err := experts.ReadFile(found)
	if err != nil || len(f.Experts) == 0 || len(f.Experts) > 3 || !strings.Contains(r.err, "masks tried") {
		t.Errorf("found %+v, %v; said %s", f, err, r.err)
	}
}

func TestExpertsVerbsRefuse(t *testing.T) {
	for _, c := range []struct {
		args string
		say  string
	}{
		{"fit experts m --target a --contrast b -o c --tokens all", "--tokens"},
		{"fit experts m --target a --contrast b -o c --by guess", "--by"},
		{"fit experts m --target a --contrast b -o c --score best", "score"},
		{"fit experts m --target a --contrast b -o c --mode louder", "mode"},
		{"fit experts m --target a --contrast b -o c --factor 2", "--mode scale"},
		{"fit experts m --target a -o c", "contrast"},
		{"eval experts m --prompts a --benign b", "mask search"},
		{"eval experts m --search --prompts a --benign b", "--train"},
		{"eval experts m --mask off-drop=1/7 --prompts a --benign b --match (", "--match"},
	} {
		r := run("", strings.Fields(c.args)...)
		if r.status != statusUsage || !strings.Contains(r.err, c.say) {
			t.Errorf("%s: status %d, %s, want %d and %q", c.args, r.status, r.err, statusUsage, c.say)
		}
	}
}
