// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/steering/rules"
)

// TestFilesAreAllThatWasRead: of a program of rules also its concepts and the files of its actions.
func TestFilesAreAllThatWasRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	v, err := NewVector("v", map[int][]float32{2: {1, 0, 0, 0}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.Save(at("v.safetensors")), v.Save(at("w.safetensors")), axes("joy").Save(at("set.json")),
		os.WriteFile(at("rules.txt"), []byte("concepts \"set.json\"\njoy -> add \"v.safetensors\"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		spec string
		want []string
	}{
		{"vector:" + at("v.safetensors"), []string{"v.safetensors"}},
		{"rotate:" + at("v.safetensors") + "," + at("w.safetensors") + "=30", []string{"v.safetensors", "w.safetensors"}},
		{"rules:" + at("rules.txt"), []string{"rules.txt", "set.json", "v.safetensors"}},
		{"experts:off-drop=1/7", nil},
	} {
		h, err := Load(tc.spec)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, path := range Files(h) {
			found = append(found, filepath.Base(path))
		}
		if !slices.Equal(found, tc.want) {
			t.Errorf("%s: files %v, want %v", tc.spec, found, tc.want)
		}
	}
	program, err := rules.Parse(`joy -> stop`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReasoning(Spec{Kind: KindRules}, program, axes("joy"), nil)
	if err != nil || len(Files(r)) != 0 {
		t.Errorf("of what was made in memory: %v, %v", Files(r), err)
	}
}

// TestCheckFile: the hash of the model that a vector was measured on goes through both formats, and is held against the model's.
func TestCheckFile(t *testing.T) {
	v, err := NewVector("v", map[int][]float32{1: {1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	v.ModelHash, v.BaseModel, v.Hint = "ABCD", "org/Tiny-Instruct", "llama"
	for _, name := range []string{"v.gguf", "v.safetensors"} {
		path := filepath.Join(t.TempDir(), name)
		if err := v.Save(path); err != nil {
			t.Fatal(err)
		}
		got := read(t, Source{Path: path})
		if got.ModelHash != v.ModelHash || got.BaseModel != v.BaseModel {
			t.Errorf("%s: hash %q of %q", name, got.ModelHash, got.BaseModel)
		}
		s, err := New(Spec{Kind: KindVector}, got)
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			model, sum string
			warnings   int
			say        string
		}{
			{"tiny", "abcd", 0, ""},
			{"Tiny Instruct Q4_1", "abcd", 0, ""},
			{"huge", "abcd", 1, ""},
			{"tiny", "", 0, ""}, // a folder has no hash
			{"tiny", "ef", 0, "the model's has ef"},
		} {
			sh := shape("llama", 3, 3)
			sh.Model = tc.model
			warnings, err := s.CheckFile(sh, func() (string, error) { return tc.sum, nil })
			var mismatch *MismatchError
			if len(warnings) != tc.warnings || (err != nil) != (tc.say != "") || (err != nil && (!errors.As(err, &mismatch) || !strings.Contains(err.Error(), tc.say))) {
				t.Errorf("%s, model %s of %s: %v, %v", name, tc.model, tc.sum, warnings, err)
			}
		}
	}
}
