// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

// releasedCase is a random case with what ActivationReasoning 8acec66 answered (testdata/README.md).
type releasedCase struct {
	Rules     []string `json:"rules"`
	Detected  string   `json:"detected"`
	Legacy    []int    `json:"legacy"`
	Simple    []int    `json:"simple"`
	Complex   []int    `json:"complex"`
	Answer    string   `json:"answer"`
	OpenWorld []int    `json:"open_world"`
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestReleasedCodeAnswersTheSame(t *testing.T) {
	var cases []releasedCase
	readJSON(t, "testdata/released.json", &cases)
	for i, c := range cases {
		var rules []ReleasedRule
		for _, r := range c.Rules {
			rules = append(rules, ReleasedRule{Tokens: strings.Fields(r)})
		}
		detected := strings.Fields(c.Detected)
		for j := range detected {
			detected[j] = strings.ReplaceAll(detected[j], "_", " ")
		}
		check := func(mode string, got, want []int) {
			if !slices.Equal(got, want) {
				t.Errorf("case %d: %s(%q, %q) = %v, want %v", i, mode, c.Rules, c.Detected, got, want)
			}
		}
		check("Legacy", Legacy(rules, detected), c.Legacy)
		check("Simple", Simple(rules, detected), c.Simple)
		check("Complex", Complex(rules, detected), c.Complex)
		answer, fired := OpenWorld(rules, detected)
		check("OpenWorld", fired, c.OpenWorld)
		if answer != c.Answer {
			t.Errorf("case %d: OpenWorld(%q, %q) = %s, want %s", i, c.Rules, c.Detected, answer, c.Answer)
		}
	}
}

func TestLegacyWithRepeats(t *testing.T) {
	var file struct {
		Repeats struct {
			Cases []struct {
				Body     []string `json:"body"`
				Detected []string `json:"detected_in_order"`
				Fires    bool     `json:"fires_released_code"`
			} `json:"cases"`
		} `json:"legacy_with_repeats"`
	}
	readJSON(t, fixture.Path(t, "fixtures-dictionaries/numeric/rules.json"), &file)
	if len(file.Repeats.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range file.Repeats.Cases {
		if got := Legacy([]ReleasedRule{{Tokens: c.Body}}, c.Detected); (len(got) == 1) != c.Fires {
			t.Errorf("Legacy(%v, %v) fires = %v, want %v", c.Body, c.Detected, len(got) == 1, c.Fires)
		}
	}
}
