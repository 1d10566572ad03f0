// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
)

// newChat returns a chat on the tiny model that prints into a buffer.
func newChat(t *testing.T) *Chat {
	t.Helper()
	path := fixture.Path(t, "fixtures/gguf/llama/f32.gguf")
	if _, err := runtime.FindLibrary(); err != nil {
		if os.Getenv("TRIMTAB_REQUIRE_NATIVE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	m, err := runtime.Open(path, runtime.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	r, err := newRig(m, rigging{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &Chat{model: m, screen: newScreen(nil, &bytes.Buffer{}, &bytes.Buffer{}), settings: answer.Defaults(), rig: r}
	c.flags = c.settings.Flags()
	return c
}

func TestLoadIsWholeOrNotAtAll(t *testing.T) {
	c := newChat(t)
	c.talk.turns = []chat.Message{{Role: "user", Content: "a"}, {Role: "assistant", Content: "b"}}
	before, rig := c.settings, c.rig
	for _, tc := range []struct{ name, file, say string }{
		{"no JSON", "{", "unexpected end"},
		{"an unknown setting", `{"sampling":{"temp":0.75,"top-k":1,"volume":3}}`, `found "volume"`},
		{"a setting beyond its bounds", `{"sampling":{"temp":0.75,"top-p":3}}`, "top-p: want between 0 and 1"},
		{"no vector", `{"sampling":{"temp":0.75},"steering":["vector:absent.gguf"]}`, "absent.gguf"},
		{"no probe", `{"sampling":{"temp":0.75},"probes":["project:absent.gguf"]}`, "absent.gguf"},
		{"a system prompt among the messages", `{"messages":[{"role":"system","content":"x"}]}`, `found one of "system"`},
		{"no last answer", `{"messages":[{"role":"user","content":"x"}]}`, "found none to the last"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "chat.json")
			if err := os.WriteFile(path, []byte(tc.file), 0o600); err != nil {
				t.Fatal(err)
			}
			err := c.load(t.Context(), path)
			if err == nil || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("error %v, want one that says %q", err, tc.say)
			}
			if c.rig != rig || len(c.talk.turns) != 2 || c.settings.Temperature != before.Temperature || c.settings.TopK != before.TopK {
				t.Error("a chat that could not be loaded changed the present one")
			}
		})
	}
}
