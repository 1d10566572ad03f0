// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// File is what a fit writes: the mask, and what it was chosen by. A mask alone is a file too: see Decode.
type File struct {
	Model    string      `json:"model,omitempty"`    // that was counted
	Tokens   string      `json:"tokens,omitempty"`   // that were counted: prompt, last or answer
	Score    string      `json:"score,omitempty"`    // that ranked
	Target   *Class      `json:"target,omitempty"`   // the class that the score is high for
	Contrast *Class      `json:"contrast,omitempty"` // the other one
	Layers   []int       `json:"layers,omitempty"`   // block of each row of scores
	Scores   [][]float64 `json:"scores,omitempty"`   // by row and expert
	Experts  []Ranked    `json:"experts"`            // the mask, best first
}

// Class says how much of a class was counted.
type Class struct {
	Prompts int `json:"prompts"`
	Tokens  int `json:"tokens"`
}

// Ranked is an entry of a mask with the score that it was chosen by.
type Ranked struct {
	Entry
	Points float64 `json:"score"`
}

// Mask returns the entries without their scores.
func (f *File) Mask() Mask {
	m := make(Mask, len(f.Experts))
	for i, r := range f.Experts {
		m[i] = r.Entry
	}
	return m
}

// MaxFile is the largest mask file that is read, in bytes.
const MaxFile = 64 << 20

// FileError says where a mask file stops making sense.
type FileError struct {
	Path string // "" where the text came from elsewhere
	Item int    // entry, counted from 1; 0 is the file as a whole
	Want string
	Got  string
	Err  error // underneath; may be nil
}

func (e *FileError) Error() string {
	at := e.Path
	if e.Item > 0 {
		at = fmt.Sprintf("%s: entry %d", e.Path, e.Item)
	}
	return fmt.Sprintf("experts: mask file %s: want %s, found %s", at, e.Want, e.Got)
}

// Unwrap returns the reader's error.
func (e *FileError) Unwrap() error { return e.Err }

// ReadFile reads a mask file; see Decode.
func ReadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("experts: mask: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("experts: mask %s: %w", path, err)
	}
	if len(data) > MaxFile {
		return nil, &FileError{Path: path, Want: fmt.Sprintf("at most %d bytes", MaxFile), Got: "more"}
	}
	out, err := Decode(data)
	var e *FileError
	if errors.As(err, &e) {
		e.Path = path
	}
	return out, err
}

// Decode reads a mask: what a fit wrote, a JSON array of {"layer": 3, "expert": 17, "mode": "off-drop", "value": 0.5}, or such objects one after the other, as in
// JSON lines. A missing mode is off-drop; a value belongs to scale alone.
func Decode(data []byte) (*File, error) {
	var raw []json.RawMessage
	out := &File{}
	switch first := bytes.TrimLeft(data, " \t\r\n"); {
	case len(first) > 0 && first[0] == '[':
		if err := json.Unmarshal(data, &raw); err != nil {
			return nil, notJSON(err, 0)
		}
	default:
		values, err := split(data)
		if err != nil {
			return nil, err
		}
		raw = values
	}
	if len(raw) == 1 && isFit(raw[0]) {
		return out, decodeFit(raw[0], out)
	}
	for i, r := range raw {
		var e Ranked
		if err := strict(r, &e); err != nil {
			return nil, notJSON(err, i+1)
		}
		out.Experts = append(out.Experts, e)
	}
	return out, out.check()
}

// split takes JSON values apart that stand one after the other.
func split(data []byte) ([]json.RawMessage, error) {
	var out []json.RawMessage
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var r json.RawMessage
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, notJSON(err, len(out)+1)
		}
		out = append(out, r)
	}
}

func isFit(r json.RawMessage) bool {
	var x struct{ Experts json.RawMessage }
	return json.Unmarshal(r, &x) == nil && x.Experts != nil
}

func decodeFit(r json.RawMessage, out *File) error {
	if err := strict(r, out); err != nil {
		return notJSON(err, 0)
	}
	return out.check()
}

// strict refuses keys that mean nothing here: a misspelt one would be skipped in silence.
func strict(r json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(r))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func notJSON(err error, item int) error {
	return &FileError{Item: item, Want: `objects with layer, expert, mode and value, or an object with a list "experts" of them`, Got: err.Error(), Err: err}
}

func (f *File) check() error {
	if len(f.Experts) == 0 || len(f.Experts) > Most {
		return &FileError{Want: fmt.Sprintf("1 to %d entries", Most), Got: fmt.Sprint(len(f.Experts))}
	}
	for i := range f.Experts {
		e := &f.Experts[i]
		if e.Mode == "" {
			e.Mode = OffDrop
		}
		mode, err := ParseMode(string(e.Mode))
		switch {
		case err != nil:
			return &FileError{Item: i + 1, Want: fmt.Sprintf("a mode among %v", Modes()), Got: string(e.Mode), Err: err}
		case e.Expert.Expert < 0:
			return &FileError{Item: i + 1, Want: "an expert of at least 0", Got: fmt.Sprint(e.Expert.Expert)}
		case mode != Scale && e.Value != 0:
			return &FileError{Item: i + 1, Want: "a value with mode scale alone", Got: fmt.Sprintf("%g with %s", e.Value, mode)}
		case !validFactor(float64(e.Value)):
			return &FileError{Item: i + 1, Want: "a value of at least 0", Got: fmt.Sprint(e.Value)}
		}
		e.Mode = mode
	}
	return nil
}

// Write writes the file as one JSON object.
func (f *File) Write(w io.Writer) error {
	return json.NewEncoder(w).Encode(f)
}
