// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Keys that llama.cpp's gguf-split writes (LLM_KV_SPLIT_* in llama-arch.cpp).
const (
	splitNoKey      = "split.no" // 0-based
	splitCountKey   = "split.count"
	splitTensorsKey = "split.tensors.count"
)

// open adds the file at path and, when its metadata says that it is one of several, the others.
func (f *File) open(path string) error {
	p, err := f.add(path)
	if err != nil {
		return err
	}
	count, split, err := Optional(p.meta.Int(splitCountKey))
	if err != nil {
		return err
	}
	if !split || count == 1 {
		f.Version, f.Alignment, f.Meta = p.version, p.alignment, p.meta
		return f.take(p)
	}
	return f.openSplit(path, p, count)
}

// openSplit takes all parts in order; opened, which is already mapped, may be any of them.
func (f *File) openSplit(path string, opened *part, count int) error {
	stem, err := splitStem(path, count)
	if err != nil {
		return err
	}
	for no := range count {
		p, name := opened, splitName(stem, no, count)
		if name != filepath.Clean(path) {
			if p, err = f.add(name); err != nil {
				return err
			}
		}
		if err := p.checkSplit(no, count); err != nil {
			return err
		}
		if no == 0 {
			f.Version, f.Alignment, f.Meta = p.version, p.alignment, p.meta
		}
		if err := f.take(p); err != nil {
			return err
		}
	}
	return f.checkSplitTotal()
}

// splitName is the path of part no, counted from 0.
func splitName(stem string, no, count int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", stem, no+1, count)
}

// splitStem cuts what numbers the part off its path.
func splitStem(path string, count int) (string, error) {
	head, ok := strings.CutSuffix(filepath.Clean(path), fmt.Sprintf("-of-%05d.gguf", count))
	if digits := len(head) - 5; ok && digits > 1 {
		no, err := strconv.Atoi(head[digits:])
		if stem := head[:digits-1]; err == nil && no <= count && splitName(stem, no-1, count) == filepath.Clean(path) {
			return stem, nil
		}
	}
	return "", &FormatError{
		Path: path, What: fmt.Sprintf("file name of one of %d parts", count),
		Want: fmt.Sprintf("NAME-00001-of-%05d.gguf", count), Found: filepath.Base(path) + ": give the parts their names back",
	}
}

// checkSplit compares a part's own number with the one in its name.
func (p *part) checkSplit(no, count int) error {
	for _, k := range []struct {
		key  string
		want int
	}{{splitNoKey, no}, {splitCountKey, count}} {
		got, err := p.meta.Int(k.key)
		if err != nil {
			return err
		}
		if got != k.want {
			return &FormatError{Path: p.meta.path, What: fmt.Sprintf("key %q", k.key), Want: fmt.Sprint(k.want), Found: fmt.Sprint(got)}
		}
	}
	return nil
}

// checkSplitTotal compares the number of tensors with what the first part promises.
func (f *File) checkSplitTotal() error {
	want, ok, err := Optional(f.Meta.Int(splitTensorsKey))
	if err != nil || !ok || want == len(f.Tensors) {
		return err
	}
	return &FormatError{Path: f.Meta.path, What: "tensors in all parts", Want: fmt.Sprint(want), Found: fmt.Sprint(len(f.Tensors))}
}
