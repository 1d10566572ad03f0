// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/internal/mapped"
)

// What transformers calls a model's weights in a folder.
const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// open finds out whether path is a file, an index, or a folder that holds one of them.
func (f *File) open(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if info.IsDir() {
		if path, err = inFolder(path); err != nil {
			return err
		}
	}
	if strings.HasSuffix(path, ".index.json") {
		return f.openIndex(path)
	}
	_, err = f.add(path)
	return err
}

// inFolder chooses the index over the single file: a folder with both had its shards merged or split, and the index is
// what transformers writes last.
func inFolder(dir string) (string, error) {
	for _, name := range []string{indexName, singleName} {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("safetensors: %w", err)
		}
	}
	return "", &FormatError{Path: dir, What: "folder", Want: indexName + " or " + singleName, Found: "neither"}
}

// openIndex opens every shard that the index names, in the order of their names, and compares what each holds with
// what the index promises.
func (f *File) openIndex(path string) error {
	where, err := readIndex(path)
	if err != nil {
		return err
	}
	shards := slices.Compact(slices.Sorted(maps.Values(where)))
	for _, shard := range shards {
		if filepath.Base(shard) != shard || !filepath.IsLocal(shard) {
			return &FormatError{Path: path, What: "weight_map", Want: "names of files in its own folder", Found: fmt.Sprintf("%q", shard)}
		}
		tensors, err := f.add(filepath.Join(filepath.Dir(path), shard))
		if err != nil {
			return err
		}
		for _, t := range tensors {
			if where[t.Name] != shard {
				return &FormatError{Path: path, What: fmt.Sprintf("tensor %.80q", t.Name), Want: fmt.Sprintf("it in %q", where[t.Name]), Found: fmt.Sprintf("it in %q", shard)}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(where)) {
		if _, ok := f.index[name]; !ok {
			return &FormatError{Path: path, What: fmt.Sprintf("tensor %.80q", name), Want: fmt.Sprintf("it in %q", where[name]), Found: "no such tensor there"}
		}
	}
	return nil
}

// readIndex returns the shard of every tensor.
func readIndex(path string) (map[string]string, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	defer m.Close()
	if n := len(m.Bytes()); n > maxHeader {
		return nil, &FormatError{Path: path, What: "index", Want: fmt.Sprintf("at most %d bytes", maxHeader), Found: fmt.Sprint(n)}
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(m.Bytes(), &index); err != nil {
		return nil, &FormatError{Path: path, What: "index", Want: `JSON with a "weight_map" of names`, Found: err.Error()}
	}
	if len(index.WeightMap) == 0 {
		return nil, &FormatError{Path: path, What: "index", Want: `a "weight_map"`, Found: "none"}
	}
	return index.WeightMap, nil
}
