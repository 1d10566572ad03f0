// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Labels are words for the features of a dictionary, by index.
type Labels struct {
	Source string // Neuronpedia's model/layer-source, where the file says so; ID prints with it
	words  map[int]string
}

// labelFile is the file that is looked for in a dictionary's folder.
const labelFile = "labels.json"

// neuronpediaLabel is one entry of an export of Neuronpedia's explanations.
type neuronpediaLabel struct {
	Model       string          `json:"modelId"`
	Layer       string          `json:"layer"`
	Index       json.RawMessage `json:"index"` // a number, or one in quotes
	Description string          `json:"description"`
}

// ReadLabels reads {"INDEX": "words", …} or a list of {"modelId", "layer", "index", "description"} as Neuronpedia exports explanations.
func ReadLabels(path string) (*Labels, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("steering: labels: %w", err)
	}
	l := &Labels{words: map[int]string{}}
	var plain map[string]string
	if json.Unmarshal(text, &plain) == nil {
		for key, words := range plain {
			if err := l.add(path, key, words); err != nil {
				return nil, err
			}
		}
		return l, nil
	}
	var list []neuronpediaLabel
	if err := json.Unmarshal(text, &list); err != nil {
		const want = `{"INDEX": "words"} or a list of {"modelId", "layer", "index", "description"}`
		return nil, &VectorError{File: path, Want: want, Got: err.Error()}
	}
	for _, e := range list {
		if err := l.add(path, strings.Trim(string(e.Index), `"`), e.Description); err != nil {
			return nil, err
		}
		if e.Model != "" && e.Layer != "" {
			l.Source = e.Model + "/" + e.Layer
		}
	}
	return l, nil
}

func (l *Labels) add(path, key, words string) error {
	i, err := strconv.ParseUint(key, 10, 31)
	if err != nil {
		return &VectorError{File: path, Tensor: key, Want: "a feature's number", Got: strconv.Quote(key)}
	}
	l.words[int(i)] = words
	return nil
}

// findLabels reads the file that a source names, else labels.json of the dictionary's folder, else takes the sources of atoms, else none.
func findLabels(src Source, d *dictionary.Dictionary) (*Labels, error) {
	if src.Family != "" {
		return ReadLabels(src.Family)
	}
	path := filepath.Join(src.Path, labelFile)
	if _, err := os.Stat(path); err == nil {
		return ReadLabels(path)
	}
	l := &Labels{words: map[int]string{}}
	for i, a := range d.Atoms {
		if a.Token != "" {
			l.words[i] = strings.TrimSpace(fmt.Sprintf("%q %s", a.Token, strings.Join(strings.Fields(a.Context), " ")))
		}
	}
	return l, nil
}

// Of returns the words for a feature, "" where there are none.
func (l *Labels) Of(feature int) string { return l.words[feature] }

// ID returns a feature's name in Neuronpedia's notation, such as gpt2-small/8-res-jb/14057, or "" where the source is not known.
func (l *Labels) ID(feature int) string {
	if l.Source == "" {
		return ""
	}
	return l.Source + "/" + strconv.Itoa(feature)
}

// Search returns the features whose words contain text, whatever its case, in the order of indices.
func (l *Labels) Search(text string) []int {
	var out []int
	text = strings.ToLower(text)
	for i, words := range l.words {
		if strings.Contains(strings.ToLower(words), text) {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out
}
