// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// store is the folder of one repository in the cache. Layout: https://huggingface.co/docs/hub/local-cache
type store struct {
	dir     string                        // models--org--name
	locks   string                        // .locks/models--org--name
	symlink func(target, at string) error // os.Symlink, but for tests
}

func newStore(cache, repo string) store {
	folder := "models--" + strings.ReplaceAll(repo, "/", "--")
	return store{dir: filepath.Join(cache, folder), locks: filepath.Join(cache, ".locks", folder), symlink: os.Symlink}
}

func (s store) blob(etag string) string { return filepath.Join(s.dir, "blobs", etag) }

func (s store) snapshot(commit string) string { return filepath.Join(s.dir, "snapshots", commit) }

// pointer is the place of a file in a snapshot.
func (s store) pointer(commit, file string) string {
	return filepath.Join(s.snapshot(commit), filepath.FromSlash(file))
}

func (s store) refFile(revision string) string {
	return filepath.Join(s.dir, "refs", filepath.FromSlash(revision))
}

// absent is the mark that a commit has no such file.
func (s store) absent(commit, file string) string {
	return filepath.Join(s.dir, ".no_exist", commit, filepath.FromSlash(file))
}

// commit returns the commit that a revision had when it was last downloaded, or "".
func (s store) commit(revision string) string {
	if commitPattern.MatchString(revision) {
		return revision
	}
	data, err := os.ReadFile(s.refFile(revision))
	commit := strings.TrimSpace(string(data))
	if err != nil || !commitPattern.MatchString(commit) {
		return ""
	}
	return commit
}

// files lists what a snapshot holds whole, with slashes. A link whose blob is not there yet is left out.
func (s store) files(commit string) (out []string) {
	root := s.snapshot(commit)
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // what cannot be read is not there
		if err != nil || d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if exists(path) && err == nil {
			out = append(out, filepath.ToSlash(rel))
		}
		return nil
	})
	return out
}

// cached looks a name up. A path without full can be opened, but the server may have more to it, such as a tokenizer; without a path, the error says what
// is missing.
func (r *resolver) cached() (path string, full bool, err error) {
	offline := &OfflineError{Cache: r.cache, Missing: "the model"}
	commit := r.commit(r.revision)
	if commit == "" {
		return "", false, offline
	}
	files := r.store.files(commit)
	c, err := r.choose(files)
	if err != nil {
		var several *ChoiceError
		if errors.As(err, &several) && len(several.Found) > 1 {
			return "", false, err
		}
		return "", false, offline
	}
	if c.index {
		shards, err := r.shards(commit, files)
		if err != nil {
			offline.Missing = "a part of the model (" + err.Error() + ")"
			return "", false, offline
		}
		c.files = append(c.files, shards...)
	}
	path = r.pointer(commit, c.open)
	switch {
	case r.want != "":
		return path, true, nil
	case c.open != "":
		return path, exists(r.absent(commit, singleName)), nil
	}
	full = exists(r.absent(commit, tokenizers()[0]))
	for _, t := range tokenizers() {
		full = full || slices.Contains(files, t)
	}
	return path, full, nil
}

// indexLimit bounds the index that is read: a thousand times what a model of a thousand tensors needs.
const indexLimit = 64 << 20

// shards reads which files the index of a snapshot names, and holds each to be among files.
func (s store) shards(commit string, files []string) ([]string, error) {
	f, err := os.Open(s.pointer(commit, indexName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.NewDecoder(io.LimitReader(f, indexLimit)).Decode(&index); err != nil {
		return nil, fmt.Errorf("%s: %w", indexName, err)
	}
	shards := slices.Compact(slices.Sorted(maps.Values(index.WeightMap)))
	if len(shards) == 0 {
		return nil, fmt.Errorf("%s: want a weight_map, found none", indexName)
	}
	for _, name := range shards {
		if err := safe(name); err != nil {
			return nil, fmt.Errorf("%s: %w", indexName, err)
		}
		if !slices.Contains(files, name) {
			return nil, fmt.Errorf("%s names %s: no such file", indexName, name)
		}
	}
	return shards, nil
}

// place makes a file of a snapshot out of its blob: a relative link, so that the cache may be moved, or where links cannot be made the blob itself.
func (s store) place(etag, commit, file string) error {
	blob, at := s.blob(etag), s.pointer(commit, file)
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		return err
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(at), blob)
	if err != nil {
		return err
	}
	if s.symlink(target, at) == nil {
		return nil
	}
	return os.Rename(blob, at)
}

// record writes a small file whole or not at all.
func record(path, text string) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error counts
	}
	return err
}

// exists tells whether path is a file that can be read, through links.
func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
