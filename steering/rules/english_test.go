// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/internal/fixture"
)

func TestFromEnglish(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"Every wumpus is a tumpus.", "wumpus -> tumpus"},
		{"Wumpuses are not shy.", "wumpus -> not shy"},
		{"Max is a wumpus.", "Max -> wumpus"},
		{"Each impus is not an umpus.", "impus -> not umpus"},
		{"All wumpuses are luminous.", "wumpus -> luminous"},
		{"Wumpuses are tumpuses. Tumpuses are glass.", "wumpus -> tumpus; tumpus -> glass"},
		{"A wumpus is a tumpus and not shy and cold.", "wumpus -> tumpus, not shy, cold"},
		{"Every rose is red. Roses are flowers.", "rose -> red; rose -> flower"},
		{"Cherries are fruits. Foxes are animals.", "cherry -> fruit; fox -> animal"},
		{"Every golden rule is a very good thing.", `"golden rule" -> "very good thing"`},
		{"MAX is not.", ""},
		{"  \n", ""},
	} {
		p, err := FromEnglish(tc.text)
		if tc.text == "MAX is not." {
			if err == nil {
				t.Errorf("FromEnglish(%q) has no error", tc.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("FromEnglish(%q): %v", tc.text, err)
			continue
		}
		want := "world open\n"
		if tc.want != "" {
			want += strings.ReplaceAll(tc.want, "; ", "\n") + "\n"
		}
		if diff := cmp.Diff(want, p.String()); diff != "" {
			t.Errorf("FromEnglish(%q) (-want +got):\n%s", tc.text, diff)
		}
	}
}

func TestEnglishErrorsHaveAPlace(t *testing.T) {
	for _, tc := range []struct {
		text         string
		line, column int
		want         string
	}{
		{"Max is a wumpus.\nWumpuses like tea.", 2, 18, "want is or are"},
		{"Max is a wumpus", 1, 16, "want a full stop"},
		{"Every is shy.", 1, 7, "a noun or a name"},
		{"Max and Sam are shy.", 1, 5, "one noun or name"},
		{"Max is shy or cold.", 1, 12, "and or a full stop"},
		{"Max is not.", 1, 11, "a noun or an adjective"},
		{"If Max is shy then Max is cold.", 1, 1, "one noun or name"},
		{"Max, Sam are shy.", 1, 4, "one noun or name"},
	} {
		_, err := FromEnglish(tc.text)
		var pe *ParseError
		if !errors.As(err, &pe) || pe.Line != tc.line || pe.Column != tc.column || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("FromEnglish(%q): %v; want line %d, column %d, %q", tc.text, err, tc.line, tc.column, tc.want)
		}
	}
}

func TestParseQuestion(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Question
	}{
		{"True or false: Max is shy.", Question{"Max", "shy", false}},
		{" true or false: Max is not a wumpus.", Question{"Max", "wumpus", true}},
		{"Is the following statement true or false? Wren is not metallic.", Question{"Wren", "metallic", true}},
		{"True or false: Every wumpus is a tumpus.", Question{"wumpus", "tumpus", false}},
	} {
		if got, err := ParseQuestion(tc.text); err != nil || got != tc.want {
			t.Errorf("ParseQuestion(%q) = %v, %v, want %v", tc.text, got, err, tc.want)
		}
	}
	for text, want := range map[string]string{
		"Max is shy.": `line 1, column 1: want "True or false:"`,
		"True or false: Max is shy. Max is cold.": "line 1, column 15: want one statement",
		"True or false:\n Max sings.":             "line 2, column 11: want is or are",
	} {
		if _, err := ParseQuestion(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseQuestion(%q): %v, want %q", text, err, want)
		}
	}
}

// TestProntoQA answers every question of PrOntoQA's 5-hop fictional set by logic alone. The set is consistent and complete, so nothing but 500 of 500 will do.
func TestProntoQA(t *testing.T) {
	var examples []struct{ ID, Context, Question, Answer string }
	readJSON(t, fixture.Path(t, "data/teacherpeterpan+Logic-LLM/data/ProntoQA/dev.json"), &examples)
	compiled, right, steps := 0, 0, 0
	for _, e := range examples {
		p, err := FromEnglish(e.Context)
		if err != nil {
			t.Errorf("%s: %v", e.ID, err)
			continue
		}
		q, err := ParseQuestion(e.Question)
		if err != nil {
			t.Errorf("%s: %v", e.ID, err)
			continue
		}
		m, err := p.Compile(p.World)
		if err != nil {
			t.Fatal(err)
		}
		compiled++
		steps += len(m.Infer(Is(q.Subject)).Steps)
		if got := m.Ask(q); (got == True && e.Answer == "A") || (got == False && e.Answer == "B") {
			right++
		} else {
			t.Errorf("%s: %q is %s, the label is %s", e.ID, e.Question, got, e.Answer)
		}
	}
	t.Logf("%d of %d contexts compiled, %d answers right, %d steps", compiled, len(examples), right, steps)
	if len(examples) != 500 {
		t.Errorf("%d examples", len(examples))
	}
}

func FuzzFromEnglish(f *testing.F) {
	f.Add("Every wumpus is a tumpus. Wumpuses are not shy. Max is a wumpus.")
	f.Add("True or false: Max is shy.")
	f.Add("is the following statement true or false? a is is.")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = ParseQuestion(text)
		p, err := FromEnglish(text)
		var pe *ParseError
		if err != nil {
			if !errors.As(err, &pe) || pe.Line < 1 || pe.Column < 1 {
				t.Fatalf("FromEnglish(%q): error without a place: %v", text, err)
			}
			return
		}
		sameAgain(t, p)
	})
}
