// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/dot"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Measure is a number that says how much of what steering is for is there, at the token behind which the next one is chosen.
type Measure struct {
	Words string // what it is
	hook  hooks.Hook
	// value is asked when a pass is over, with its logits.
	value func(logits []float32) float64
}

// measureFile is a file of --measure: one of its three kinds.
type measureFile struct {
	Positive wordList `json:"positive"`
	Negative wordList `json:"negative"`
	Probe    string   `json:"probe"`   // a spec as of --steer: vector:FILE[@SITES]
	Concept  string   `json:"concept"` // a file of concepts
	Name     string   `json:"name"`    // the one that is meant; may be left out where there is only one
}

// wordList is a list of words, or an object that has them as names.
type wordList []string

func (w *wordList) UnmarshalJSON(data []byte) error {
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*w = list
		return nil
	}
	named := map[string]any{}
	if err := json.Unmarshal(data, &named); err != nil {
		return fmt.Errorf("want a list of words: %w", err)
	}
	for word := range named {
		*w = append(*w, word)
	}
	slices.Sort(*w)
	return nil
}

// ReadMeasure reads {"positive": [" happy"], "negative": [" sad"]}, the difference of the mean logits of both lists, of which one may be left out;
// {"probe": "vector:FILE@SITE"}, the length of the activation along a direction; or {"concept": "FILE", "name": "NAME"}, what a reader of fit concepts sees.
// Paths in the file are relative to it.
func ReadMeasure(path string, m *runtime.Model) (*Measure, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	var f measureFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("measure: %s: %w", path, err)
	}
	var out *Measure
	switch words := len(f.Positive) + len(f.Negative); {
	case words > 0 && f.Probe == "" && f.Concept == "":
		out, err = WordMeasure(m, f.Positive, f.Negative)
	case words == 0 && f.Probe != "" && f.Concept == "":
		out, err = probeMeasure(m, f.Probe, filepath.Dir(path))
	case words == 0 && f.Probe == "" && f.Concept != "":
		out, err = conceptMeasure(m, from(path, f.Concept), f.Name)
	default:
		err = errors.New("want one of positive and negative, probe, and concept")
	}
	if err != nil {
		return nil, fmt.Errorf("measure: %s: %w", path, err)
	}
	return out, nil
}

func from(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// WordMeasure is the mean logit of some words minus that of others. A word must be one token, with or without a space in front of it.
func WordMeasure(m *runtime.Model, positive, negative []string) (*Measure, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	more, err := wordIDs(tok, positive)
	if err != nil {
		return nil, err
	}
	less, err := wordIDs(tok, negative)
	if err != nil {
		return nil, err
	}
	return &Measure{Words: "logit difference", value: func(logits []float32) float64 { return meanAt(logits, more) - meanAt(logits, less) }}, nil
}

func wordIDs(tok tokenizer.Tokenizer, words []string) ([]int32, error) {
	var out []int32
	for _, w := range words {
		ids := tok.Encode(nil, w, false)
		if len(ids) != 1 {
			ids = tok.Encode(nil, " "+w, false)
		}
		if len(ids) != 1 {
			return nil, fmt.Errorf("want words of one token, found %q, which is %d", w, len(ids))
		}
		out = append(out, ids[0])
	}
	return out, nil
}

func meanAt(logits []float32, ids []int32) float64 {
	if len(ids) == 0 {
		return 0
	}
	sum := 0.0
	for _, id := range ids {
		sum += float64(logits[id])
	}
	return sum / float64(len(ids))
}

// probeMeasure averages h·v/|v| over the sites of a spec.
func probeMeasure(m *runtime.Model, spec, folder string) (*Measure, error) {
	s, err := steering.Parse(spec)
	if err != nil {
		return nil, err
	}
	for i := range s.Sources {
		s.Sources[i].Path = from(filepath.Join(folder, "x"), s.Sources[i].Path)
	}
	h, err := steering.Open(s)
	if err != nil {
		return nil, err
	}
	plan, err := h.Bind(m.Shape())
	if err != nil {
		return nil, err
	}
	if s.Kind != steering.KindVector {
		return nil, fmt.Errorf("probe: want vector:FILE[@SITES], found %s", spec)
	}
	values := make([]float64, len(plan.Edits))
	hook := hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) {
		var p hooks.Plan
		for i := range plan.Edits {
			e := &plan.Edits[i]
			v := e.Directions[0]
			length := dot.Length(v)
			p.Taps = append(p.Taps, hooks.Tap{Name: "probe", Site: e.Site, ReadOnly: true, Func: func(a *hooks.Activation) error {
				values[i] = dot.Sum64(lastRow(a), v) / length
				return nil
			}})
		}
		return p, nil
	})
	return &Measure{Words: "probe " + h.Name(), hook: hook, value: func([]float32) float64 { return mean(values) }}, nil
}

// conceptMeasure is what the reader of a concept makes of one token.
func conceptMeasure(m *runtime.Model, path, name string) (*Measure, error) {
	set, err := concepts.Open(path)
	if err != nil {
		return nil, err
	}
	if name == "" && len(set.Concepts) == 1 {
		name = set.Concepts[0].Name
	}
	i := set.Find(name)
	if i < 0 {
		return nil, fmt.Errorf("want a name of a concept of %s, found %q", path, name)
	}
	site, err := set.At()
	if err != nil {
		return nil, err
	}
	var coder *dictionary.Coder
	var dict *dictionary.Dictionary
	if where := set.DictionaryPath(); where != "" {
		if dict, err = dictionary.Open(where, dictionary.Options{Site: set.Site}); err != nil {
			return nil, err
		}
		coder = dict.NewCoder()
	}
	if err := set.Check(dict); err != nil {
		return nil, err
	}
	if width, err := m.Shape().SiteWidth(site); err != nil || width != set.Width {
		return nil, errors.Join(err, fmt.Errorf("want concepts of the site's width %d, found %d", width, set.Width))
	}
	var code []dictionary.Feature
	value := 0.0
	hook := Reader(site, func(row []float32) {
		code = code[:0]
		if coder != nil {
			code = coder.Encode(code, row)
		}
		value = set.Concepts[i].Reader.Value(code, row)
	})
	return &Measure{Words: "concept " + name, hook: hook, value: func([]float32) float64 { return value }}, nil
}
