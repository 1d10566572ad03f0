// SPDX-License-Identifier: Apache-2.0

package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// FieldError says that a field of a JSON file holds what no model can be described with, or what this package does not compute.
type FieldError struct {
	File, Field string
	Want, Found string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("models: %s: %s: want %s, found %s", e.File, e.Field, e.Want, e.Found)
}

// Is makes errors.Is(err, errors.ErrUnsupported) hold.
func (e *FieldError) Is(target error) bool { return target == errors.ErrUnsupported }

// settings reads a JSON object and keeps the first error, so that a description reads as a list of its fields. A field that is null counts as absent.
// Getters take several names for one thing, since files differ in them; the first that is there counts.
type settings struct {
	file   string
	path   string // of an object within the file, with a dot behind it
	values map[string]json.RawMessage
	err    *error
}

const maxJSON = 64 << 20

// readSettings reads a file of dir; absent says that the file may be missing.
func readSettings(dir, name string, absent bool) (settings, error) {
	var first error
	s := settings{file: name, err: &first}
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		if absent && errors.Is(err, fs.ErrNotExist) {
			return s, nil
		}
		return s, err
	}
	if info.Size() > maxJSON {
		return s, &FieldError{name, "size", fmt.Sprintf("at most %d bytes", maxJSON), fmt.Sprint(info.Size())}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s.values); err != nil {
		return s, &FieldError{name, "content", "a JSON object", err.Error()}
	}
	return s, nil
}

func (s settings) fail(field, want, found string) {
	if *s.err == nil {
		*s.err = &FieldError{s.file, s.path + field, want, found}
	}
}

// find returns the first of the fields that is there and not null.
func (s settings) find(names ...string) (string, json.RawMessage) {
	for _, n := range names {
		if v, ok := s.values[n]; ok && string(v) != "null" {
			return n, v
		}
	}
	return "", nil
}

func (s settings) has(name string) bool {
	_, v := s.find(name)
	return v != nil
}

// get reads a field into dst and reports whether it was there.
func (s settings) get(dst any, want string, names ...string) bool {
	name, v := s.find(names...)
	if v == nil {
		return false
	}
	if err := json.Unmarshal(v, dst); err != nil {
		s.fail(name, want, clip(v))
		return false
	}
	return true
}

func clip(v json.RawMessage) string {
	const most = 60
	if len(v) > most {
		return string(v[:most]) + "..."
	}
	return string(v)
}

// count reads a whole number that must be there.
func (s settings) count(names ...string) int {
	if _, v := s.find(names...); v == nil {
		s.fail(strings.Join(names, " or "), "a whole number", "none")
	}
	return s.countOr(0, names...)
}

func (s settings) countOr(absent int, names ...string) int {
	x := s.numberOr(float64(absent), names...)
	if x != math.Trunc(x) || math.Abs(x) > 1<<40 {
		name, v := s.find(names...)
		s.fail(name, "a whole number", clip(v))
		return absent
	}
	return int(x)
}

func (s settings) numberOr(absent float64, names ...string) float64 {
	x := absent
	s.get(&x, "a number", names...)
	return x
}

func (s settings) flagOr(absent bool, names ...string) bool {
	x := absent
	s.get(&x, "true or false", names...)
	return x
}

func (s settings) textOr(absent string, names ...string) string {
	x := absent
	s.get(&x, "a text", names...)
	return x
}

func (s settings) numbers(name string) []float32 {
	var x []float32
	s.get(&x, "a list of numbers", name)
	return x
}

func (s settings) texts(name string) []string {
	var x []string
	s.get(&x, "a list of texts", name)
	return x
}

// object reads a field that is an object; an absent one has no fields.
func (s settings) object(names ...string) settings {
	o := settings{file: s.file, err: s.err}
	if name, v := s.find(names...); v != nil {
		o.path = s.path + name + "."
		s.get(&o.values, "an object", name)
	}
	return o
}

// refuse fails where a field is there with a value other than those given, as JSON; the first of them is what an absent field means.
func (s settings) refuse(name string, allowed ...string) {
	_, v := s.find(name)
	if v == nil {
		return
	}
	for _, a := range allowed {
		if string(v) == a {
			return
		}
	}
	want := strings.Join(allowed, " or ")
	if want == "" {
		want = "none"
	}
	s.fail(name, want+", which is all that is computed", clip(v))
}
