// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakePeer speaks the peers' protocol without a model: a run takes 1000 ns of wall time a token and 500 of processor time, and is written down.
const fakePeer = `
import json, sys
log = open(sys.argv[1], "a")
for line in sys.stdin:
    o = json.loads(line)
    log.write(line)
    log.flush()
    if "run" not in o:
        answer = {"wall": 7, "cpu": 3}
    elif o["at"] > 1000:
        sys.exit("too far")
    else:
        answer = {"wall": 1000 * len(o["run"]), "cpu": 500 * len(o["run"])}
    print(json.dumps(answer), flush=True)
`

func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	return path
}

// startFake returns the fake as a peer and the file that it writes commands to.
func startFake(t *testing.T) (*script, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := startScript(&rival{family: "other", name: "fake"}, exec.CommandContext(t.Context(), python(t), "-c", fakePeer, log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, log
}

func commands(t *testing.T, log string) []string {
	t.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func TestPeerDecodes(t *testing.T) {
	p, log := startFake(t)
	c := p.decode([]int32{7, 8, 9}, 2, 6)
	for range 3 { // the third goes back to behind the prompt: a context grows by 6 tokens at most
		s, err := c.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s != (Sample{Wall: 2000 * time.Nanosecond, CPU: 1000 * time.Nanosecond}) {
			t.Errorf("a step of two tokens took %+v: the prompt must not count", s)
		}
	}
	want := []string{`{"at":0,"run":[7,8,9],"together":false}`}
	for _, at := range []struct{ at, token int }{{3, 7}, {4, 8}, {5, 9}, {6, 7}, {7, 8}, {8, 9}, {9, 7}, {10, 8}, {5, 9}, {6, 7}, {7, 8}} {
		want = append(want, fmt.Sprintf(`{"at":%d,"run":[%d],"together":true}`, at.at, at.token))
	}
	same(t, strings.Join(commands(t, log), "\n"), strings.Join(want, "\n"))
}

func TestPeerPrefills(t *testing.T) {
	p, log := startFake(t)
	c := p.prefill([]int32{1, 2, 3})
	for range 2 {
		if s, err := c.Step(t.Context()); err != nil || s.Wall != 3000 || s.CPU != 1500 {
			t.Errorf("a prefill took %+v, %v", s, err)
		}
	}
	same(t, strings.Join(commands(t, log), "\n"), `{"at":0,"run":[1,2,3],"together":false}`+"\n"+`{"at":0,"run":[1,2,3],"together":false}`)
}

func TestPeerThatEnds(t *testing.T) {
	p, _ := startFake(t)
	if _, err := p.run([]int32{1}, 2000, false); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "fake") || !strings.Contains(err.Error(), "too far") {
		t.Errorf("a process that ended: %v, want an unexpected end, with the peer's name and last words", err)
	}
	if err := errors.Join(p.Close(), (*script)(nil).Close()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func TestPeerClosesCleanly(t *testing.T) {
	p, _ := startFake(t)
	if _, err := p.run([]int32{1}, 0, false); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
}

// TestPeerCrowd: each step runs one token of every sequence, and counts one sequence's share.
func TestPeerCrowd(t *testing.T) {
	p, log := startFake(t)
	c := p.crowd([]int32{7, 8, 9}, 4, 1, 8)
	if s, err := c.Step(t.Context()); err != nil || s != (Sample{Wall: 1000, CPU: 500}) {
		t.Errorf("a step of four sequences took %+v, %v: want a quarter of 4000 and 2000", s, err)
	}
	if last := commands(t, log)[4]; last != `{"at":6,"run":[7,8,9,7],"together":true}` {
		t.Errorf("the last command is %s", last)
	}
	if s, err := p.since(); err != nil || s != (Sample{Wall: 7, CPU: 3}) {
		t.Errorf("since the start: %+v, %v", s, err)
	}
}
