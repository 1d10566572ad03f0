// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
)

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		width      int
		want       []string
	}{
		{"words", "one two three", 7, []string{"one two", "three"}},
		{"a word that is too long", "abcdefghij kl", 4, []string{"abcd", "efgh", "ij", "kl"}},
		{"paragraphs", "a\n\nb", 5, []string{"a", "", "b"}},
		{"wide characters", "日本語日本語", 5, []string{"日本", "語日", "本語"}},
		{"a character wider than the column", "日本", 1, []string{"日", "本"}},
		{"nothing", "", 5, []string{""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := wrap(tc.text, tc.width); !slices.Equal(got, tc.want) {
				t.Errorf("wrap(%q, %d) = %q, want %q", tc.text, tc.width, got, tc.want)
			}
		})
	}
}

func TestColumnsStandBesideEachOther(t *testing.T) {
	text := columns("left", "日本語 and more words", "right", "short", 23)
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if left, _, ok := strings.Cut(line, "│"); !ok || uniseg.StringWidth(left) != 11 {
			t.Errorf("line %q: want the bar at column 11", line)
		}
	}
}

func TestFlowBreaksBetweenWords(t *testing.T) {
	for _, tc := range []struct {
		name   string
		pieces []string
		want   string
	}{
		{"words in pieces", []string{"on", "e two th", "ree four"}, "one two\nthree\nfour"},
		{"the model's own lines", []string{"a\n", "\nb  c"}, "a\n\nb  c"},
		{"a long word", []string{"abcdefghijkl", " m"}, "abcdefghijkl m"},
		{"codes", []string{"a\x1b[2Jb"}, "a\uFFFD[2Jb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			f := flow{screen: &screen{out: &out, terminal: true}, width: 9}
			for _, piece := range tc.pieces {
				f.write(piece)
			}
			f.flush()
			if out.String() != tc.want {
				t.Errorf("found %q, want %q", out.String(), tc.want)
			}
		})
	}
}

func TestStrip(t *testing.T) {
	s := &screen{}
	if got := strip([]float64{1, -8, 4, 0}, 10, s); got != "▂█▅▁" {
		t.Errorf("found %s", got)
	}
	if got := strip([]float64{1, -8, 4, 0}, 2, s); got != "█▅" {
		t.Errorf("two columns: %s", got)
	}
	if got := strip([]float64{0}, 2, s); got != "▁" {
		t.Errorf("zeros: %s", got)
	}
	s.colour = true
	if got := strip([]float64{1, -1}, 2, s); got != "\x1b[33m█\x1b[0m\x1b[34m█\x1b[0m" {
		t.Errorf("colours: %q", got)
	}
}

func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"happy.gguf", "happy.json", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	slash := dir + string(filepath.Separator)
	settings := answer.Defaults()
	c := &Chat{rig: &rig{steerings: []*attached{{name: "happy"}}}, settings: settings}
	c.flags = c.settings.Flags()
	for _, tc := range []struct {
		line string
		want string // ends of the candidates
	}{
		{"hello", ""},
		{"/unst", "eer "},
		{"/steer", " |ing "},
		{"/steer pro", "ject:|ject+:"},
		{"/steer vector:" + slash + "h", "appy.gguf|appy.json"},
		{"/steer vector:" + slash, "happy.gguf|happy.json|more" + string(filepath.Separator)},
		{"/steer rotate:a," + slash + "m", "ore" + string(filepath.Separator)},
		{"/steer vector:f@resid_po", "st."},
		{"/steer vector:f@resid_post.3,logi", "ts"},
		{"/load " + slash + ".h", "idden"},
		{"/save " + slash + "x", ""},
		{"/load " + slash + "absent/", ""},
		{"/alpha h", "appy "},
		{"/set top", "-k |-p "},
		{"/show me", "ssages"},
		{"/bye ", ""},
		{"/absent ", ""},
	} {
		var got []string
		ends, _ := completer{c}.Do([]rune(tc.line), len([]rune(tc.line)))
		for _, e := range ends {
			got = append(got, string(e))
		}
		if strings.Join(got, "|") != tc.want {
			t.Errorf("%s: %q, want %q", tc.line, got, tc.want)
		}
	}
}
