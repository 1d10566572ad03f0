// SPDX-License-Identifier: Apache-2.0

package trimtab_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unwanted is what no text file may hold. Each pattern is spelt so that it does not match itself.
var unwanted = []struct {
	rule    string
	pattern *regexp.Regexp
}{
	{"names a registry's host", regexp.MustCompile(`py[p]i\.org|python[h]osted|registry\.np[m]|crate[s]\.io/|prox[y]\.golang|sum\.golan[g]|de[b]\.debian|rep[o]1\.maven`)},
	{"holds a path of one machine", regexp.MustCompile(`(^|[^\w.~$}])/(wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+)/`)},
	{"leaves work undone", regexp.MustCompile(`\b(TOD[O]|FIXM[E])\b`)},
}

// coded are the kinds of file that start with the licence.
var coded = []string{".go", ".c", ".cc", ".h", ".s", ".S", ".sh", ".py", ".rs"}

// files lists the files of the tree with slashes, less what git ignores.
func files(t *testing.T) []string {
	t.Helper()
	skip := []string{".git", ".trimtab", "trimtab"}
	var found []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skip, path):
			return filepath.SkipDir
		case d.Type().IsRegular() && !slices.Contains(skip, path) && filepath.Ext(path) != ".out" && filepath.Ext(path) != ".test":
			found = append(found, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// eachText calls visit with the lines of each file that is text.
func eachText(t *testing.T, visit func(path string, lines []string)) {
	t.Helper()
	for _, path := range files(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte{0}) {
			visit(path, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
		}
	}
}

func TestNothingUnwanted(t *testing.T) {
	eachText(t, func(path string, lines []string) {
		for i, line := range lines {
			for _, u := range unwanted {
				if u.pattern.MatchString(line) {
					t.Errorf("%s:%d: %s: %.80s", path, i+1, u.rule, line)
				}
			}
		}
	})
}

func TestCodeStartsWithItsLicence(t *testing.T) {
	eachText(t, func(path string, lines []string) {
		if strings.HasPrefix(lines[0], "#!") {
			lines = append(lines[1:], "")
		} else if !slices.Contains(coded, filepath.Ext(path)) {
			return
		}
		if !strings.HasSuffix(lines[0], " SPDX-License-Identifier: Apache-2.0") {
			t.Errorf("%s:1: want a first line with SPDX-License-Identifier: Apache-2.0, found %.80q", path, lines[0])
		}
	})
}

func TestFilesAreShort(t *testing.T) {
	const limit, long = 800, 400
	eachText(t, func(path string, lines []string) {
		code := slices.Contains(coded, filepath.Ext(path))
		switch n := len(lines); {
		case code && n > limit:
			t.Errorf("%s:%d: longer than %d lines", path, n, limit)
		case code && n > long && !strings.HasSuffix(path, "_test.go"):
			t.Logf("%s:%d: longer than %d lines: look again", path, n, long)
		}
	})
}

func TestFilesAreSmall(t *testing.T) {
	const limit = 100 << 10
	for _, path := range files(t) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > limit {
			t.Errorf("%s:1: %d bytes, the limit is %d", path, info.Size(), limit)
		}
	}
}
