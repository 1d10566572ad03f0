// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"github.com/trimtab/trimtab/runtime"
)

// Settings say how answers are sampled and when they end. The zero value is greedy; Defaults is what the command starts from.
type Settings struct {
	runtime.Options
	Fixed bool // Seed was chosen; without it every answer draws a seed of its own
}

// Defaults returns the sampling that llama.cpp starts with.
func Defaults() Settings {
	var s Settings
	s.Temperature, s.TopK, s.TopP, s.MinP, s.RepeatPenalty, s.RepeatLast = 0.8, 40, 0.95, 0.05, 1, 64
	return s
}

// Flags returns the flags of s, bound to it: what is set on them is set in s, at any time.
func (s *Settings) Flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("sampling", pflag.ContinueOnError)
	f.SortFlags = false
	f.IntVarP(&s.MaxTokens, "n-predict", "n", s.MaxTokens, "most tokens of an answer; 0 is no limit")
	f.Float32Var(&s.Temperature, "temp", s.Temperature, "temperature; 0 takes the likeliest token")
	f.IntVar(&s.TopK, "top-k", s.TopK, "sample among the K likeliest tokens; 0 is all")
	f.Float32Var(&s.TopP, "top-p", s.TopP, "sample among the likeliest tokens that together have this probability; 1 is all")
	f.Float32Var(&s.MinP, "min-p", s.MinP, "drop tokens below this share of the likeliest one; 0 is none")
	f.Float32Var(&s.RepeatPenalty, "repeat-penalty", s.RepeatPenalty, "penalty on recent tokens; 1 is none")
	f.IntVar(&s.RepeatLast, "repeat-last-n", s.RepeatLast, "how many recent tokens the penalties look at")
	f.Float32Var(&s.PresencePenalty, "presence-penalty", s.PresencePenalty, "subtracted from the logits of recent tokens")
	f.Float32Var(&s.FrequencyPenalty, "frequency-penalty", s.FrequencyPenalty, "the same, for each time a token occurred")
	f.Var(seed{s}, "seed", "seed of the sampler; random draws a new one for each answer")
	f.StringArrayVar(&s.Stop, "stop", s.Stop, "text that ends the answer (repeatable)")
	f.BoolVar(&s.IgnoreEOS, "ignore-eos", s.IgnoreEOS, "go on behind the model's end tokens")
	return f
}

// Check says what a sampler would refuse.
func (s *Settings) Check() error {
	if s.RepeatLast < 1 {
		return fmt.Errorf("sampling: repeat-last-n: want at least 1, found %d", s.RepeatLast)
	}
	_, err := runtime.NewSampler(s.Sampling, 1)
	return err
}

// drawn returns what a session is given: with a seed, and without a limit where the limit is negative.
func (s *Settings) drawn() runtime.Options {
	o := s.Options
	o.MaxTokens = max(o.MaxTokens, 0)
	if !s.Fixed {
		o.Seed = uint64(rand.Uint32()) // short enough to be typed again
	}
	return o
}

// seed is the flag that sets Seed and Fixed together.
type seed struct{ s *Settings }

func (f seed) String() string {
	if f.s == nil || !f.s.Fixed {
		return "random"
	}
	return strconv.FormatUint(f.s.Seed, 10)
}

func (f seed) Set(text string) error {
	if text == "random" || strings.HasPrefix(text, "-") {
		f.s.Fixed = false
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("want a whole number or random, found %q", text)
	}
	f.s.Seed, f.s.Fixed = n, true
	return nil
}

func (f seed) Type() string { return "seed" }
