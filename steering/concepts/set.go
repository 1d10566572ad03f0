// SPDX-License-Identifier: Apache-2.0

package concepts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Concept is something that is found in activations and that activations can be pushed towards.
type Concept struct {
	Name       string   `json:"name"`
	Mode       Mode     `json:"mode"`
	Reader     Reader   `json:"reader"`
	Lever      Lever    `json:"lever"`
	Candidates []Scored `json:"candidates,omitempty"` // what the search found, best first
	Train      Quality  `json:"train"`
	Held       Quality  `json:"held"` // on texts that nothing was fitted on
}

// Quality is how well a reader tells cases apart: texts, in word mode tokens.
type Quality struct {
	AUROC    float64 `json:"auroc"`
	Balanced float64 `json:"balanced_accuracy"`
	Is       int     `json:"positives"`
	Not      int     `json:"negatives"`
}

// Set is a file of concepts of one site.
type Set struct {
	Format     string    `json:"format"` // setFormat
	Model      string    `json:"model,omitempty"`
	Dictionary string    `json:"dictionary,omitempty"` // folder or file, relative to the set's own; empty where all concepts are directions
	Site       string    `json:"site"`
	Width      int       `json:"width"`
	SkipTokens []int32   `json:"skip_tokens,omitempty"` // special tokens: nothing is detected at them
	Longest    float64   `json:"longest,omitempty"`     // nothing is detected in longer activations, which are massive ones; 0 is no limit
	Concepts   []Concept `json:"concepts"`

	path string
}

const (
	setFormat = "trimtab concepts 1"
	// maxSet is far above what a set with directions for a thousand concepts takes.
	maxSet = 256 << 20
)

// NewSet returns an empty set of a site.
func NewSet(site hooks.Site, width int) *Set {
	return &Set{Format: setFormat, Site: site.String(), Width: width}
}

// Open reads a set and checks it as far as that goes without the dictionary.
func Open(path string) (*Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("concepts: %w", err)
	}
	if info.Size() > maxSet {
		return nil, fmt.Errorf("concepts: %s: want at most %d bytes, found %d", path, maxSet, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("concepts: %w", err)
	}
	s, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	s.path = path
	return s, nil
}

// Parse reads the text of a set.
func Parse(data []byte) (*Set, error) {
	s := &Set{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("concepts: want a file that fit concepts wrote: %w", err)
	}
	if s.Format != setFormat {
		return nil, fmt.Errorf("concepts: want the format %q, found %q", setFormat, s.Format)
	}
	if _, err := s.At(); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for i := range s.Concepts {
		c := &s.Concepts[i]
		if c.Name == "" || names[c.Name] {
			return nil, fmt.Errorf("concepts: concept %d: want a name that no other has, found %q", i, c.Name)
		}
		names[c.Name] = true
		if s.Dictionary == "" && c.Reader.Kind != Direction {
			return nil, fmt.Errorf("concepts: %s: want a dictionary for a reader of kind %s, found none", c.Name, c.Reader.Kind)
		}
	}
	return s, nil
}

// Save writes the set; the dictionary's path is written relative to the file's folder where that is possible.
func (s *Set) Save(path string) error {
	out := *s
	if whole, err := filepath.Abs(s.Dictionary); s.Dictionary != "" && err == nil {
		out.Dictionary = whole
		if folder, err := filepath.Abs(filepath.Dir(path)); err == nil {
			if rel, err := filepath.Rel(folder, whole); err == nil {
				out.Dictionary = filepath.ToSlash(rel)
			}
		}
	}
	data, err := json.MarshalIndent(&out, "", " ")
	if err != nil {
		return fmt.Errorf("concepts: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("concepts: %w", err)
	}
	return nil
}

// At returns the site at which concepts are detected; a negative layer is not resolved.
func (s *Set) At() (hooks.Site, error) {
	site, err := hooks.ParseSite(s.Site)
	if err != nil {
		return hooks.Site{}, fmt.Errorf("concepts: %w", err)
	}
	return site, nil
}

// DictionaryPath is where the dictionary lies, seen from the working folder.
func (s *Set) DictionaryPath() string {
	if s.Dictionary == "" || filepath.IsAbs(s.Dictionary) || s.path == "" {
		return s.Dictionary
	}
	return filepath.Join(filepath.Dir(s.path), filepath.FromSlash(s.Dictionary))
}

// Check compares the concepts with the dictionary, which is nil where the set has none.
func (s *Set) Check(d *dictionary.Dictionary) error {
	n, width := 0, s.Width
	if d != nil {
		n, width = d.Form.N, d.Form.In
		if width != s.Width {
			return fmt.Errorf("concepts: %s: want a dictionary of width %d, found one of %d", s.path, s.Width, width)
		}
		if d.Transcodes() {
			return fmt.Errorf("concepts: %s: want a dictionary that writes what it reads, found a transcoder", s.path)
		}
	}
	for i := range s.Concepts {
		c := &s.Concepts[i]
		if err := c.Reader.check(n, width); err != nil {
			return fmt.Errorf("concepts: %s: %w", c.Name, err)
		}
		if err := c.Lever.check(n, width); err != nil {
			return fmt.Errorf("concepts: %s: lever: %w", c.Name, err)
		}
	}
	return nil
}

// Find returns a concept's number, or -1.
func (s *Set) Find(name string) int {
	return slices.IndexFunc(s.Concepts, func(c Concept) bool { return c.Name == name })
}

// Skips tells whether nothing is detected at a token: position 0, a special token, or an activation longer than the longest.
func (s *Set) Skips(position int, token int32, row []float32) bool {
	if position == 0 || slices.Contains(s.SkipTokens, token) {
		return true
	}
	if s.Longest == 0 {
		return false
	}
	sum := 0.0
	for _, v := range row {
		sum += float64(v) * float64(v)
	}
	return sum > s.Longest*s.Longest
}
