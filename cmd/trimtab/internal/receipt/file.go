// SPDX-License-Identifier: Apache-2.0

package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// File is one file that an answer depends on.
type File struct {
	Role   string `json:"role"` // model, library, or the name of a steering
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// mostFiles is far above what a model or a dictionary has; a folder with more is not one.
const mostFiles = 4096

// digests keeps hashes of files that have not changed since by their size and time.
type digests map[string]digest

type digest struct {
	bytes int64
	time  time.Time
	sum   string
}

// file hashes one file.
func (d digests) file(role, path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, fmt.Errorf("receipt: %s: %w", role, err)
	}
	if k, ok := d[path]; ok && k.bytes == info.Size() && k.time.Equal(info.ModTime()) {
		return File{role, path, k.bytes, k.sum}, nil
	}
	sum, n, err := Sum(path)
	if err != nil {
		return File{}, fmt.Errorf("receipt: %s: %w", role, err)
	}
	d[path] = digest{n, info.ModTime(), sum}
	return File{role, path, n, sum}, nil
}

// Sum returns a file's SHA-256 in hexadecimal, and its size in bytes.
func Sum(path string) (sum string, bytes int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if bytes, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), bytes, nil
}

// all hashes files, and everything in folders, in the order of paths.
func (d digests) all(role string, paths []string) ([]File, error) {
	var out []File
	for _, path := range paths {
		list, err := within(path)
		if err != nil {
			return nil, fmt.Errorf("receipt: %s: %w", role, err)
		}
		for _, one := range list {
			f, err := d.file(role, one)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// within lists the file, or the files in the folder, leaving out what is hidden.
func within(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	var out []string
	err = filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != root && strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case e.IsDir():
			return nil
		case len(out) == mostFiles:
			return fmt.Errorf("%s: want a folder of at most %d files, found more", path, mostFiles)
		}
		rel, err := filepath.Rel(root, p)
		if info, missing := os.Stat(p); missing == nil && info.Mode().IsRegular() { // a link in a cache leads to one
			out = append(out, filepath.Join(path, rel))
		}
		return err
	})
	return out, err
}

// modelFiles lists what a model is read from: of a split GGUF all parts, of a graph everything that lies beside it.
func modelFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("receipt: model: %w", err)
	}
	if !info.IsDir() && strings.EqualFold(filepath.Ext(path), ".onnx") {
		return []string{filepath.Dir(path)}, nil
	}
	part := regexp.MustCompile(`-\d{5}(-of-\d{5}\.gguf)$`)
	if name := filepath.Base(path); !info.IsDir() && part.MatchString(name) {
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			return nil, fmt.Errorf("receipt: model: %w", err)
		}
		var out []string
		for _, e := range entries {
			if part.MatchString(e.Name()) && part.ReplaceAllString(e.Name(), "$1") == part.ReplaceAllString(name, "$1") {
				out = append(out, filepath.Join(filepath.Dir(path), e.Name()))
			}
		}
		return out, nil
	}
	return []string{path}, nil
}
