// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// topics are concepts on the 4,608 features of topk-l14 with thresholds of the fixtures' order; spare ones read features that are about nothing.
func topics(t testing.TB, spare int) *concepts.Set {
	t.Helper()
	set := concepts.NewSet(hooks.At(hooks.ResidPost, 14), 576)
	set.Dictionary = fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	add := func(name string, feature int32, threshold float64) {
		one, weight := []int32{feature, feature + 1}, []float64{0.9, 0.1}
		set.Concepts = append(set.Concepts, concepts.Concept{
			Name: name, Mode: concepts.Sentence, Lever: concepts.Lever{Features: one, Weights: weight, Combine: "sum", Norm: 2},
			Reader: concepts.Reader{Kind: concepts.Multi, Features: one, Weights: weight, Aggregate: concepts.Max, Threshold: threshold},
		})
	}
	add("cooking", 3548, 12)
	add("programming", 1327, 10)
	for i := range spare {
		add(fmt.Sprintf("spare%d", i), int32(100+7*i), 3)
	}
	return set
}

func ruled(t testing.TB, program string, set *concepts.Set) *steering.Reasoning {
	t.Helper()
	dir := t.TempDir()
	if err := set.Save(filepath.Join(dir, "set.json")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "rules.txt")
	if err := os.WriteFile(path, []byte("concepts \"set.json\"\n"+program), 0o644); err != nil {
		t.Fatal(err)
	}
	return load(t, "rules:"+path).(*steering.Reasoning)
}

func encoded(t testing.TB, m *Model, text string) []int32 {
	t.Helper()
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	return tok.Encode(nil, text, true)
}

const recipe = "<|im_start|>user\nHow do I roast potatoes with garlic and butter in the oven?<|im_end|>\n<|im_start|>assistant\n"

func TestRulesPushByTheFormula(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{Threads: 1})
	set := topics(t, 0)
	d, err := dictionary.Open(set.DictionaryPath(), dictionary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	site := hooks.At(hooks.ResidPost, 14)
	ids := encoded(t, m, recipe)
	hook := ruled(t, "cooking -> suppress programming *0.4 [steer all]", set)
	plain, err := m.Trace(t.Context(), ids, TraceOptions{Sites: []hooks.Site{site}})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := m.Trace(t.Context(), ids, TraceOptions{Sites: []hooks.Site{site}, Hooks: []hooks.Hook{hook}})
	if err != nil {
		t.Fatal(err)
	}
	lever := &set.Concepts[1].Lever
	rows := [][]float32{d.Row(1327), d.Row(1328)}
	acted := 0
	for p := range ids {
		h, now := plain[0].Data[p*576:][:576], pushed[0].Data[p*576:][:576]
		want, moved := make([]float32, 576), make([]float32, 576)
		rules.Shift(want, h, rows, lever.Weights, rules.Steer{Norm: 2, Factor: -0.4})
		for i := range moved {
			moved[i] = now[i] - h[i]
		}
		if norm(moved) == 0 {
			continue
		}
		acted++
		// 1e-5 is the issue's: about a hundred roundings of the activation itself.
		if got := norm(moved) / norm(h); math.Abs(got/0.4-1) > 1e-5 {
			t.Errorf("position %d: moved by %v of the row's length, want 0.4", p, got)
		}
		if off := distance(moved, want) / norm(want); off > 1e-5 {
			t.Errorf("position %d: moved %.1e away from the formula", p, off)
		}
	}
	if acted == 0 || acted == len(ids) {
		t.Errorf("%d of %d positions were pushed, want those from the recipe's words on", acted, len(ids))
	}
}

func TestRulesAtFactorZeroLeaveTheText(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{Threads: 1})
	ids := encoded(t, m, recipe)
	want := collect(t, newSession(t, m), ids, Options{MaxTokens: 12})
	s := newSession(t, m)
	if _, err := s.Attach(ruled(t, "cooking -> promote programming *0, suppress cooking *0 @resid_post.10", topics(t, 0))); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s, ids, Options{MaxTokens: 12}); !slices.Equal(got, want) {
		t.Errorf("with factor 0: %v, want %v", got, want)
	}
	s = newSession(t, m)
	if _, err := s.Attach(ruled(t, "cooking -> promote programming *0.9 [steer all]", topics(t, 0))); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s, ids, Options{MaxTokens: 12}); slices.Equal(got, want) {
		t.Error("with factor 0.9 the text is the same")
	}
}

// answerUnder generates and returns the text, why it ended and which rules fired at each token.
func answerUnder(t *testing.T, s *Session, ids []int32) (text string, finish Finish, fired []string) {
	t.Helper()
	for tok, err := range s.Generate(t.Context(), ids, Options{MaxTokens: 24}) {
		if err != nil {
			t.Fatal(err)
		}
		text, finish = text+tok.Text, tok.Finish
		var names []string
		for _, r := range tok.Readings {
			if r.Kind == hooks.Rule {
				names = append(names, fmt.Sprint(r.Position, r.Label))
			}
		}
		fired = append(fired, strings.Join(names, " "))
	}
	return text, finish, fired
}

// TestRulesVeto stops an answer that a rule does not want, behind what it is required to say, and lets others be, also when a prompt shares its beginning
// with the one before.
func TestRulesVeto(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{Threads: 1})
	s := newSession(t, m)
	if _, err := s.Attach(ruled(t, `veto: cooking -> require "I do not talk about food.", stop [prompt]`, topics(t, 0))); err != nil {
		t.Fatal(err)
	}
	other := encoded(t, m, strings.Replace(recipe, "roast potatoes with garlic and butter in the oven", "open a window", 1))
	for range 2 {
		if text, finish, fired := answerUnder(t, s, encoded(t, m, recipe)); text != "I do not talk about food." || finish != Halted || !strings.Contains(fired[0], "veto") {
			t.Errorf("about food: %q, finish %q, fired %q", text, finish, fired)
		}
		if text, finish, fired := answerUnder(t, s, other); finish == Halted || strings.Join(fired, "") != "" || text == "" {
			t.Errorf("about a window: %q, finish %q, fired %q", text, finish, fired)
		}
	}
}

func TestRulesAllocateNothingPerToken(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{Threads: 1})
	s := newSession(t, m)
	if _, err := s.Attach(ruled(t, manyRules(), topics(t, 18))); err != nil {
		t.Fatal(err)
	}
	next, stop := pull(t, s, Sampling{})
	defer stop()
	for range 40 {
		next() // readings and the trail grow with what is seen
	}
	if n := testing.AllocsPerRun(30, next); n != 0 {
		t.Errorf("%v allocations a token, want 0", n)
	}
}

// manyRules are 50 rules over 20 concepts.
func manyRules() string {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "spare%d and not spare%d or cooking and not programming -> c%d, promote programming *0.0001\n", i%18, (i+5)%18, i)
	}
	return b.String()
}

// BenchmarkRules measures a decoded token with the dictionary alone and with 20 concepts and 50 rules over it.
func BenchmarkRules(b *testing.B) {
	m := open(b, fixture.SmolLM2(b), Config{Threads: 1})
	set := topics(b, 18)
	for name, hook := range map[string]hooks.Hook{"none": nil, "sae": load(b, "sae:"+set.Dictionary), "rules": ruled(b, manyRules(), set)} {
		b.Run(name, func(b *testing.B) {
			s := newSession(b, m)
			if hook != nil {
				if _, err := s.Attach(hook); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for tok, err := range s.Generate(b.Context(), encoded(b, m, recipe), Options{MaxTokens: b.N + 1, IgnoreEOS: true}) {
				if err != nil {
					b.Fatal(err)
				}
				if _ = tok; n == 0 {
					b.ResetTimer()
				}
				n++
			}
		})
	}
}
