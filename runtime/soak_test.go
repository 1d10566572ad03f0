// SPDX-License-Identifier: Apache-2.0

//go:build linux

package runtime

import (
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trimtab/trimtab/hooks"
)

// resident is the process's resident memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// soak is how many sessions are opened at least, and for how long: TRIMTAB_SOAK=30m asks for ten thousand and half an hour.
func soak(t *testing.T) (least int, long time.Duration) {
	t.Helper()
	asked := os.Getenv("TRIMTAB_SOAK")
	if asked == "" {
		return 1000, 0
	}
	long, err := time.ParseDuration(asked)
	if err != nil {
		t.Fatal(err)
	}
	return 10000, long
}

// TestSessionsGiveEverythingBack opens, hooks, runs and closes sessions. What one of them leaves behind shows a thousand times: memory grew by 76 kB
// a session when a cache was forgotten on purpose, by 11 kB for a binding, by 4 kB for a tapper. Without a fault it grows by 2 MB in all, however many
// sessions there are; 3 kB a session is the limit.
func TestSessionsGiveEverythingBack(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand sessions")
	}
	m := tiny(t, Config{Threads: 1})
	v := direction(m.shape.Width, 1)
	seen, n := 0, 0
	p := plan(hooks.Plan{
		Edits: []hooks.Edit{{Name: "v", Site: hooks.At(hooks.ResidPost, 1), Directions: [][]float32{v}}},
		Taps: []hooks.Tap{{Name: "t", Site: hooks.At(hooks.MLPOut, 0), ReadOnly: true, Func: func(*hooks.Activation) error {
			seen++
			return nil
		}}},
	})
	var want []int32
	one := func() {
		s, err := m.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		a, err := s.Attach(p)
		if err != nil {
			t.Fatal(err)
		}
		got := collect(t, s, prompt, Options{MaxTokens: 4, IgnoreEOS: true})
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Fatalf("a later session gives %v, the first %v", got, want)
		}
		if n++; n%2 == 0 {
			return // closed with the hook attached
		}
		if err := s.Detach(a); err != nil {
			t.Fatal(err)
		}
	}
	measure := func() (bytes, goroutines int) {
		goruntime.GC()
		debug.FreeOSMemory()
		return resident(t), goruntime.NumGoroutine()
	}
	for range 300 { // allocators, pools and threads come into being
		one()
	}
	sessions := 0
	least, long := soak(t)
	before, goroutines := measure()
	for start := time.Now(); sessions < least || time.Since(start) < long; sessions++ {
		one()
	}
	after, left := measure()
	for range 100 { // goroutines of stopped timers and contexts end soon
		if left <= goroutines {
			break
		}
		time.Sleep(10 * time.Millisecond)
		left = goruntime.NumGoroutine()
	}
	if growth := (after - before) / sessions; growth > 3<<10 {
		t.Errorf("resident memory grew by %d bytes a session, want at most 3 kB", growth)
	} else {
		t.Logf("resident memory grew by %d bytes a session in %d sessions", growth, sessions)
	}
	if left > goroutines {
		t.Errorf("%d goroutines before, %d after", goroutines, left)
	}
	if len(m.open.sessions) != 0 || len(m.variants.built) != 2 {
		t.Errorf("%d sessions are open and %d graphs built, want 0 and 2", len(m.open.sessions), len(m.variants.built))
	}
	if seen == 0 {
		t.Error("the tap was never called")
	}
}
