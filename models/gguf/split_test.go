// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeSplit writes three parts with one tensor each; change may spoil a part's metadata.
func writeSplit(t *testing.T, stem string, change func(no int, meta []Pair) []Pair) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for no := range 3 {
		meta := []Pair{{"split.no", uint16(no)}, {"split.count", uint16(3)}, {"split.tensors.count", int32(3)}}
		if no == 0 {
			meta = append(meta, Pair{"general.architecture", "llama"})
		}
		path := splitName(filepath.Join(dir, stem), no, 3)
		x := Float32Tensor(fmt.Sprintf("t%d", no), []float32{float32(no)}, 1)
		if err := Write(path, change(no, meta), []Tensor{x}); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestSplit(t *testing.T) {
	for _, path := range writeSplit(t, "model", func(_ int, meta []Pair) []Pair { return meta }) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f := open(t, path)
			if got, err := f.Meta.String("general.architecture"); err != nil || got != "llama" {
				t.Errorf("architecture = %q, %v: want the first part's", got, err)
			}
			if len(f.Tensors) != 3 {
				t.Fatalf("%d tensors, want 3", len(f.Tensors))
			}
			for no := range 3 {
				name := fmt.Sprintf("t%d", no)
				v, err := f.Float32(name, 1)
				if err != nil || v[0] != float32(no) || f.Tensors[no].Name != name {
					t.Errorf("%s = %v, %v; in place %d: %s", name, v, err, no, f.Tensors[no].Name)
				}
			}
		})
	}
}

func TestSplitRefuses(t *testing.T) {
	keep := func(_ int, meta []Pair) []Pair { return meta }
	set := func(at, i int, value any) func(int, []Pair) []Pair {
		return func(no int, meta []Pair) []Pair {
			if no == at {
				meta[i].Value = value
			}
			return meta
		}
	}
	for name, c := range map[string]struct {
		change func(int, []Pair) []Pair
		spoil  func(paths []string) error
		open   int
		want   string
	}{
		"a part is missing":     {change: keep, spoil: func(p []string) error { return os.Remove(p[1]) }, want: "model-00002-of-00003.gguf"},
		"a part was renamed":    {change: keep, spoil: func(p []string) error { return os.Rename(p[0], filepath.Join(filepath.Dir(p[0]), "x.gguf")) }, open: -1, want: "want NAME-00001-of-00003.gguf, found x.gguf: give the parts their names back"},
		"parts were swapped":    {change: keep, spoil: func(p []string) error { return os.Rename(p[2], p[1]) }, want: `key "split.no": want 1, found 2`},
		"wrong number":          {change: set(1, 0, uint16(7)), want: `key "split.no": want 1, found 7`},
		"wrong count":           {change: set(2, 1, uint16(9)), want: `key "split.count": want 3, found 9`},
		"count of a wrong type": {change: set(0, 1, "3"), want: `key "split.count": want integer, found string`},
		"negative count":        {change: set(0, 1, int32(-3)), want: "file name of one of -3 parts"},
		"count of zero":         {change: set(0, 1, int32(0)), want: "file name of one of 0 parts"},
		"huge count":            {change: set(0, 1, int64(1<<40)), want: "file name of one of 1099511627776 parts"},
		"tensors missing":       {change: set(0, 2, int32(4)), want: "tensors in all parts: want 4, found 3"},
		"part without a number": {change: func(no int, meta []Pair) []Pair { return meta[min(no, 1):] }, want: `key "split.no": want integer, found nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			paths := writeSplit(t, "model", c.change)
			if c.spoil != nil {
				if err := c.spoil(paths); err != nil {
					t.Fatal(err)
				}
			}
			path := paths[max(c.open, 0)]
			if c.open < 0 {
				path = filepath.Join(filepath.Dir(path), "x.gguf")
			}
			f, err := Open(path)
			if f != nil || err == nil || !strings.Contains(err.Error(), c.want) || !typed(err) && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("Open = %v, want an error with %q", err, c.want)
			}
		})
	}
	t.Run("a tensor in two parts", func(t *testing.T) {
		paths := writeSplit(t, "model", keep)
		meta := []Pair{{"split.no", uint16(1)}, {"split.count", uint16(3)}}
		if err := Write(paths[1], meta, []Tensor{Float32Tensor("t0", []float32{0}, 1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(paths[0]); err == nil || !strings.Contains(err.Error(), `tensor "t0": want each name once`) {
			t.Errorf("Open = %v, want an error about t0", err)
		}
	})
}
