// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"strings"
	"testing"
)

func TestFlagsSetSettings(t *testing.T) {
	s := Defaults()
	f := s.Flags()
	if err := f.Parse(strings.Fields("-n 5 --temp 0.5 --top-k 3 --top-p 0.25 --min-p 0.125 --repeat-penalty 1.5 --repeat-last-n 7 " +
		"--presence-penalty 2 --frequency-penalty 3 --seed 11 --stop a --stop b --ignore-eos")); err != nil {
		t.Fatal(err)
	}
	if s.MaxTokens != 5 || s.Temperature != 0.5 || s.TopK != 3 || s.TopP != 0.25 || s.MinP != 0.125 || s.RepeatPenalty != 1.5 || s.RepeatLast != 7 ||
		s.PresencePenalty != 2 || s.FrequencyPenalty != 3 || s.Seed != 11 || !s.Fixed || strings.Join(s.Stop, "") != "ab" || !s.IgnoreEOS {
		t.Errorf("settings: %+v", s)
	}
}

func TestSeed(t *testing.T) {
	s := Defaults()
	if a, b := s.drawn().Seed, s.drawn().Seed; a == b {
		t.Errorf("two answers drew the seed %d", a) // by chance once in 2^32 runs
	}
	for _, tc := range []struct {
		text  string
		fixed bool
		shown string
	}{{"7", true, "7"}, {"random", false, "random"}, {"18446744073709551615", true, "18446744073709551615"}, {"-1", false, "random"}} {
		if err := (seed{&s}).Set(tc.text); err != nil {
			t.Fatal(err)
		}
		if got := (seed{&s}).String(); s.Fixed != tc.fixed || got != tc.shown {
			t.Errorf("Set(%s): fixed %v, shown as %s", tc.text, s.Fixed, got)
		}
	}
	s.Seed, s.Fixed = 4, true
	if s.drawn().Seed != 4 {
		t.Error("a chosen seed was not kept")
	}
}
