// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
)

// tiny is the path of a small model; where ONNX Runtime is absent the test is skipped, unless native parts are required.
func tiny(t *testing.T) string {
	t.Helper()
	path := fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf")
	if _, err := runtime.FindLibrary(); err != nil {
		if os.Getenv("TRIMTAB_REQUIRE_NATIVE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// TestRun runs the whole suite on a model whose figures mean nothing: what counts is that every comparison is there and complete.
func TestRun(t *testing.T) {
	var progress []string
	r, err := Run(t.Context(), tiny(t), Config{
		Model: runtime.Config{Threads: 1}, Rounds: 6, Contexts: []int{4, 20}, Prompt: 24, Progress: func(what string) { progress = append(progress, what) },
	})
	if err != nil {
		t.Fatal(err)
	}
	sections := append(append([]Section(nil), r.Speed...), r.Hooks...)
	if len(r.Speed) != 3 || len(r.Hooks) != 2 || len(progress) != 6 {
		t.Fatalf("%d speed and %d hook sections, progress %q", len(r.Speed), len(r.Hooks), progress)
	}
	for i, s := range sections {
		want := 2
		if i >= len(r.Speed) {
			want += len(Kinds())
		}
		if len(s.Results) != want || s.Clock != "processor" || s.Tokens < 1 || s.Title != progress[1+i] {
			t.Errorf("section %q: %d results, clock %q, %d tokens; want %d results", s.Title, len(s.Results), s.Clock, s.Tokens, want)
		}
		for _, x := range s.Results {
			if !(x.Median > 0 && x.CPU > 0 && x.Ratio > 0 && x.Interval[0] <= x.Ratio && x.Ratio <= x.Interval[1] && x.Spread[0] <= x.Median) {
				t.Errorf("section %q: %+v", s.Title, x)
			}
		}
		if s.Results[0].Ratio != 1 || s.Results[0].Interval != [2]float64{1, 1} {
			t.Errorf("section %q: the first against itself: %+v", s.Title, s.Results[0])
		}
	}
	l := r.Load
	if !(l.OpenMS > 0 && l.FirstTokenMS > 0 && l.AttachMS > 0) || l.FileBytes < 1000 || r.Machine.ORT == "" || r.Machine.ISA == "" || !strings.Contains(r.Model, "keep, 1 threads") {
		t.Errorf("load %+v, machine %+v, model %q", l, r.Machine, r.Model)
	}
}

func TestRunRefuses(t *testing.T) {
	if _, err := Run(t.Context(), "none.gguf", Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a model that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, tiny(t), Config{Rounds: 1, Contexts: []int{4}, Prompt: 8}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run: %v", err)
	}
}

// TestKindsBindAnywhere: each kind's plan fits a model of any depth.
func TestKindsBindAnywhere(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Kinds() {
		if k.Name == "" || names[k.Name] {
			t.Errorf("name %q stands twice", k.Name)
		}
		names[k.Name] = true
		for _, layers := range []int{1, 2, 30} {
			sh := hooks.Shape{Layers: layers, Width: 16, Widths: map[hooks.Site]int{}}
			for i := range layers {
				sh.Widths[hooks.At(hooks.ResidPost, i)] = 16
			}
			p, err := k.Bind(&sh)
			if err != nil || len(p.Edits)+len(p.Taps) == 0 {
				t.Errorf("%s, %d layers: %d edits, %d taps, %v", k.Name, layers, len(p.Edits), len(p.Taps), err)
			}
			for i := range p.Edits {
				if err := p.Edits[i].Check(&sh); err != nil {
					t.Errorf("%s, %d layers: %v", k.Name, layers, err)
				}
			}
			if all := strings.Contains(k.Name, "all layers"); all != (len(p.Edits)+len(p.Taps) == layers) && layers > 1 {
				t.Errorf("%s, %d layers: %d steps", k.Name, layers, len(p.Edits)+len(p.Taps))
			}
		}
	}
}

func TestFieldsOfTheSystem(t *testing.T) {
	if got := megabytes("1000 kB"); got != 1.024 {
		t.Errorf("1000 kB are %v MB", got)
	}
	if megabytes("") != 0 || megabytes("x kB") != 0 || field("/proc/none", "x") != "" {
		t.Error("what the system does not tell is not 0")
	}
	if now, peak := memory(); now > 1.05*peak || now < 0 { // the kernel keeps them in parts
		t.Errorf("resident %v MB, peak %v MB", now, peak)
	}
}
