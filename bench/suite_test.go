// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
)

// TestMain lets the test's own binary be the process that answers questions.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "probe" {
		if err := Probe(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func probing(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "probe"}
}

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

// small is a configuration whose figures mean nothing: what counts is that every row is there.
func small(suites ...Suite) Config {
	return Config{Model: runtime.Config{Threads: 1}, Suites: suites, Rounds: 2, Contexts: []int{4, 20}, Prompt: 24, Sessions: []int{1, 3}}
}

func measured(t *testing.T, path string, c Config) *Report {
	t.Helper()
	r, err := Run(t.Context(), path, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Sections {
		if !slices.Contains(c.Suites, s.Suite) || s.Tokens < 1 || s.Unit == "" || len(s.Results) < 2 {
			t.Errorf("section %+v", s)
		}
		for i, x := range s.Results {
			if !(x.Median > 0 && x.CPU > 0 && x.Ratio > 0 && x.Interval[0] <= x.Ratio && x.Ratio <= x.Interval[1] && x.Spread[0] <= x.Median) {
				t.Errorf("section %q: %+v", s.Title, x)
			}
			if i == 0 && x.Ratio != 1 {
				t.Errorf("section %q: the first against itself: %+v", s.Title, x)
			}
		}
	}
	if r.Machine.ORT == "" || r.Machine.ISA == "" || !strings.Contains(r.Model, "keep, 1 threads") {
		t.Errorf("machine %+v, model %q", r.Machine, r.Model)
	}
	return r
}

func names(s Section) (out []string) {
	for _, x := range s.Results {
		out = append(out, x.Name)
	}
	return out
}

func TestSpeed(t *testing.T) {
	r := measured(t, tiny(t), small(SuiteSpeed))
	want := []string{"decode, 4 tokens of context", "decode, 20 tokens of context", "prefill of 24 tokens", "first token of a 32-token prompt"}
	for i, s := range r.Sections {
		if s.Title != want[i] || s.Clock != ClockCPU || len(s.Results) != 2 {
			t.Errorf("section %d is %q by %s with %d rows, want %q", i, s.Title, s.Clock, len(s.Results), want[i])
		}
	}
}

// TestOverhead: each kind has a row in each section, and those that are made of others are compared with them.
func TestOverhead(t *testing.T) {
	if testing.Short() {
		t.Skip("dictionaries of thousands of atoms")
	}
	var progress []string
	c := small(SuiteOverhead)
	c.Progress = func(what string) { progress = append(progress, what) }
	r := measured(t, tiny(t), c)
	if len(r.Sections) != 4 {
		t.Fatalf("%d sections, want decode, prefill, first token and new sessions", len(r.Sections))
	}
	for i, s := range r.Sections {
		got := names(s)
		if len(got) < 25 || got[1] != "none again" || !slices.Equal(got, names(r.Sections[0])) || !slices.Contains(progress, s.Title) {
			t.Errorf("section %q: rows %q", s.Title, got)
		}
		rules, attached := 0, 0
		for _, x := range s.Results {
			if strings.HasPrefix(x.Name, "rules") && x.Beside == "SAE, 4,608 features, watched" && x.BesideOf > 0 {
				rules++
			}
			if x.AttachMS > 0 {
				attached++
			}
		}
		if rules != 3 || (i < 3) != (attached == len(got)-2) {
			t.Errorf("section %q: %d rows of rules beside their SAE, %d with the time to attach", s.Title, rules, attached)
		}
	}
}

func TestBatch(t *testing.T) {
	s := measured(t, tiny(t), small(SuiteBatch)).Sections[0]
	want := []string{
		"1 session", "3 sessions", "1 session with vectors at all layers", "3 sessions with vectors at all layers",
		"3 sessions, every second with vectors at all layers", "3 sessions watching an SAE of 4,608 features",
	}
	if !slices.Equal(names(s), want) || s.Clock != ClockWall || s.Results[3].Beside != "3 sessions" {
		t.Errorf("rows %q by %s, the fourth beside %q", names(s), s.Clock, s.Results[3].Beside)
	}
}

func TestLoadAndMemory(t *testing.T) {
	c := small(SuiteLoad, SuiteMemory)
	c.Probe, c.Rows = probing(t), regexp.MustCompile("^one")
	r := measured(t, tiny(t), c)
	l := r.Load
	if l == nil || l.FileBytes < 1000 || !(l.Warm.OpenMS > 0 && l.Warm.FirstTokenMS > 0 && l.Warm.AttachMS > 0 && l.Warm.SteeredMS > 0) {
		t.Errorf("load %+v", l)
	}
	if r.Sections[0].Results[0].Name != "trimtab, warm file" || r.Sections[0].Unit != "start" {
		t.Errorf("section %+v", r.Sections[0])
	}
	if memoryNow().Resident == 0 {
		if len(r.Memory) != 0 || len(r.Notes) == 0 {
			t.Errorf("memory that is not told: %+v, notes %q", r.Memory, r.Notes)
		}
		return
	}
	if len(r.Memory) != 3 {
		t.Fatalf("%+v, want none, one site observed, one layer captured", r.Memory)
	}
	for _, f := range r.Memory {
		if !(f.Resident > f.Anonymous && f.Anonymous > f.Native && f.Native > 0 && f.File > 0 && f.Peak > 0.95*f.Resident && f.Ratio > 0.5) {
			t.Errorf("%+v", f)
		}
	}
}

// TestWithoutProcesses: suites that need a process of their own are left out with a note where there is no command for one.
func TestWithoutProcesses(t *testing.T) {
	r, err := Run(t.Context(), tiny(t), small(SuiteLoad, SuiteMemory))
	if err != nil || len(r.Notes) != 2 || r.Load != nil || r.Memory != nil {
		t.Errorf("%+v, %v", r, err)
	}
	c := small(SuiteLoad)
	c.Probe = probing(t)
	if _, err := Run(t.Context(), "none.gguf", c); err == nil || !strings.Contains(err.Error(), "none.gguf") {
		t.Errorf("a process that fails: %v, want its words", err)
	}
}

func TestSaid(t *testing.T) {
	r := measured(t, tiny(t), small(SuiteFidelity))
	if len(r.Fidelity) < 5 || r.Fidelity[0].Positions < 200 || r.Fidelity[0].KL > 1e-9 {
		t.Errorf("%+v", r.Fidelity)
	}
}

func TestRunRefuses(t *testing.T) {
	if _, err := Run(t.Context(), "none.gguf", Config{Suites: []Suite{SuiteSpeed}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a model that is not there: %v", err)
	}
	for _, c := range []Config{{Rounds: -1}, {Contexts: []int{0}}, {Sessions: []int{-2}}, {Prompt: -1}, {Clock: "sun"}} {
		if _, err := Run(t.Context(), "none.gguf", c); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, tiny(t), small(SuiteSpeed)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run: %v", err)
	}
}

func TestParseSuites(t *testing.T) {
	for _, c := range []struct {
		names string
		want  []Suite
	}{
		{"", nil},
		{"all", Suites()},
		{"speed", []Suite{SuiteSpeed}},
		{"batch, load", []Suite{SuiteBatch, SuiteLoad}},
		{"speed,all", Suites()},
	} {
		got, err := ParseSuites(strings.Split(c.names, ","))
		if (c.want == nil) != (err != nil) || !slices.Equal(got, c.want) {
			t.Errorf("ParseSuites(%q) = %v, %v", c.names, got, err)
		}
	}
	if got, err := ParseSuites(nil); err != nil || !slices.Equal(got, Suites()) {
		t.Errorf("no names: %v, %v", got, err)
	}
}

func TestFieldsOfTheSystem(t *testing.T) {
	if got := mb(kilobytes("1000 kB")); got != 1.024 {
		t.Errorf("1000 kB are %v MB", got)
	}
	if kilobytes("") != 0 || kilobytes("x kB") != 0 || field("/proc/none", "x") != "" {
		t.Error("what the system does not tell is not 0")
	}
	u := memoryNow()
	if u.Anonymous > u.Resident || u.Resident > 1.05*memoryPeak() { // the kernel keeps the peak in parts
		t.Errorf("resident %+v, peak %v kB", u, memoryPeak())
	}
}

// TestNativeMemory: what Go allocates is not native.
func TestNativeMemory(t *testing.T) {
	before := native()
	kept := direction(16<<20, 1) // 64 MiB
	after := native()
	if grown := after - before; grown > 8 {
		t.Errorf("native memory grew by %.1f MB with Go's", grown)
	}
	if kept[0] == 0 {
		t.Error("0")
	}
}

func TestEvict(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a", "text", 0o600)
	for _, path := range []string{dir, dir + "/a"} {
		if err := evict(path); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if evict(dir+"/b") == nil {
		t.Error("a file that is not there was dropped")
	}
}

// TestKindsBindAnywhere: each kind's plan fits a model of any depth, and each session gets state of its own.
func TestKindsBindAnywhere(t *testing.T) {
	for _, layers := range []int{1, 2, 30} {
		sh := hooks.Shape{Layers: layers, Width: 16, Widths: map[hooks.Site]int{}}
		for i := range layers {
			sh.Widths[hooks.At(hooks.ResidPost, i)] = 16
		}
		seen := map[string]bool{}
		for _, k := range Kinds(&sh, &Config{}) {
			if k.Name == "" || seen[k.Name] {
				t.Errorf("name %q stands twice", k.Name)
			}
			seen[k.Name] = true
			if k.Beside != "" && !seen[k.Beside] {
				t.Errorf("%s is to be compared with %q, which does not stand before it", k.Name, k.Beside)
			}
			if strings.HasPrefix(k.Name, "ITDA") && layers != 2 {
				continue // the table of products takes a while
			}
			h, err := k.Hook()
			if err != nil {
				t.Fatal(err)
			}
			p, err := h.Bind(&sh)
			if err != nil || len(p.Edits)+len(p.Taps) == 0 {
				t.Errorf("%s, %d layers: %d edits, %d taps, %v", k.Name, layers, len(p.Edits), len(p.Taps), err)
			}
			for i := range p.Edits {
				if err := p.Edits[i].Check(&sh); err != nil {
					t.Errorf("%s, %d layers: %v", k.Name, layers, err)
				}
			}
			if steps := len(p.Edits) + len(p.Taps); strings.Contains(k.Name, "all layers") && steps != layers || strings.Contains(k.Name, "half") && steps != (layers+1)/2 {
				t.Errorf("%s, %d layers: %d steps", k.Name, layers, steps)
			}
		}
	}
}

// TestKindsOfExperts: a mixture has masks and a watch, and a pattern chooses among kinds.
func TestKindsOfExperts(t *testing.T) {
	tiny(t) // skips where ONNX Runtime is absent
	c := small(SuiteOverhead)
	c.Rows = regexp.MustCompile("expert")
	s := measured(t, fixture.Path(t, "fixtures/models/mixtral"), c).Sections[0]
	want := []string{
		"none", "none again", "expert mask at one layer (off-replace)", "expert masks at all layers (off-replace)", "expert masks at all layers (off-drop)", "experts:watch",
	}
	if !slices.Equal(names(s), want) {
		t.Errorf("rows %q, want %q", names(s), want)
	}
}

// TestFurtherDictionaries: a dictionary from a file has rows of its own.
func TestFurtherDictionaries(t *testing.T) {
	sh := hooks.Shape{Layers: 4, Width: 576, Widths: map[hooks.Site]int{}}
	for i := range 30 {
		sh.Widths[hooks.At(hooks.ResidPost, i)] = 576
	}
	path := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	list := Kinds(&sh, &Config{Dictionaries: []string{path}, Rows: regexp.MustCompile("topk")})
	if len(list) != 2 || list[0].Name != "topk-l14, watched" || list[1].Name != "topk-l14, 1 feature edited" {
		t.Fatalf("%+v", list)
	}
	h, err := list[1].Hook()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := h.Bind(&sh); err != nil || len(p.Taps) != 1 || p.Taps[0].ReadOnly {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Kinds(&sh, &Config{Dictionaries: []string{"none"}, Rows: regexp.MustCompile("none, w")})[0].Hook(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dictionary that is not there: %v", err)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{7: "7", 999: "999", 1000: "1,000", 4608: "4,608", 1024007: "1,024,007"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestMediansOfStarts(t *testing.T) {
	l := starts{{OpenMS: 3, ReadMB: 1}, {OpenMS: 1, ReadMB: 5}, {OpenMS: 2, ReadMB: 3}}
	if got := l.median(); got != (Start{OpenMS: 2, ReadMB: 3}) || l[0].OpenMS != 3 {
		t.Errorf("median %+v of %+v", got, l)
	}
	if (starts{}).median() != (Start{}) {
		t.Error("the median of none is something")
	}
}
