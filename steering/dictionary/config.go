// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// maxConfig bounds configuration files; real ones have a few kilobytes.
const maxConfig = 64 << 20

// config is a JSON object or a flat YAML file. A getter's error names the file and the key.
type config struct {
	path  string
	where string // of an object inside the file, with a dot
	m     map[string]any
}

func readText(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	if info.Size() > maxConfig || !info.Mode().IsRegular() {
		return nil, &FormatError{Path: path, What: "file", Want: fmt.Sprintf("a file of at most %d bytes", maxConfig), Found: fmt.Sprintf("%s of %d", info.Mode(), info.Size())}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	return text, nil
}

func readJSON(path string) (config, error) {
	text, err := readText(path)
	if err != nil {
		return config{}, err
	}
	c := config{path: path}
	if err := json.Unmarshal(text, &c.m); err != nil {
		return config{}, &FormatError{Path: path, What: "file", Want: "a JSON object", Found: err.Error()}
	}
	if c.m == nil {
		return config{}, &FormatError{Path: path, What: "file", Want: "a JSON object", Found: "null"}
	}
	return c, nil
}

// readFlatYAML reads "key: value" lines of numbers, strings, booleans and null, which is all that ITDA's metadata has;
// lines of nested values are passed over.
func readFlatYAML(path string) (config, error) {
	text, err := readText(path)
	if err != nil {
		return config{}, err
	}
	c := config{path: path, m: map[string]any{}}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok || key == "" || strings.ContainsAny(key[:1], " \t#-'\"") || (value != "" && value[0] != ' ') {
			continue
		}
		c.m[key] = yamlValue(strings.TrimSpace(value))
	}
	return c, nil
}

func yamlValue(s string) any {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') {
		if end := strings.LastIndexByte(s, s[0]); end > 0 {
			if u, err := strconv.Unquote(s[:end+1]); err == nil && s[0] == '"' {
				return u
			}
			return strings.ReplaceAll(s[1:end], "''", "'")
		}
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	switch s {
	case "", "null", "~":
		return nil
	case "true", "True":
		return true
	case "false", "False":
		return false
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f-f == 0 {
		return f
	}
	return s
}

func (c config) fault(key, want string) error {
	found := "nothing"
	if v := c.m[key]; v != nil {
		found = fmt.Sprintf("%.80v", v)
	}
	return &FormatError{Path: c.path, What: c.where + key, Want: want, Found: found}
}

// has tells whether a key is there and not null.
func (c config) has(key string) bool { return c.m[key] != nil }

// str returns a string, "" where there is none of that type.
func (c config) str(keys ...string) string {
	for _, key := range keys {
		if s, ok := c.m[key].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// text is str that refuses another type.
func (c config) text(key string) (string, error) {
	if !c.has(key) {
		return "", nil
	}
	s, ok := c.m[key].(string)
	if !ok {
		return "", c.fault(key, "a string")
	}
	return s, nil
}

// agrees refuses a size that the configuration has otherwise than the weights.
func (c config) agrees(key string, size int) error {
	n, err := c.integer(key, 1, size)
	if err == nil && n != size {
		err = c.fault(key, fmt.Sprintf("%d, as the weights have it", size))
	}
	return err
}

// integer returns a whole number between low and 2^31-1, or otherwise where the key is absent.
func (c config) integer(key string, low, otherwise int) (int, error) {
	if !c.has(key) {
		return otherwise, nil
	}
	f, ok := c.m[key].(float64)
	if !ok || f != math.Trunc(f) || f < float64(low) || f > math.MaxInt32 {
		return 0, c.fault(key, fmt.Sprintf("a whole number of at least %d", low))
	}
	return int(f), nil
}

// float returns a finite number, or otherwise where the key is absent.
func (c config) float(key string, otherwise float64) (float64, error) {
	if !c.has(key) {
		return otherwise, nil
	}
	f, ok := c.m[key].(float64)
	if !ok || f-f != 0 {
		return 0, c.fault(key, "a number")
	}
	return f, nil
}

// flag returns a boolean, or otherwise where the key is absent.
func (c config) flag(key string, otherwise bool) (bool, error) {
	if !c.has(key) {
		return otherwise, nil
	}
	b, ok := c.m[key].(bool)
	if !ok {
		return false, c.fault(key, "true or false")
	}
	return b, nil
}

// sub returns the object under a key, an empty one where there is none.
func (c config) sub(key string) config {
	m, _ := c.m[key].(map[string]any)
	return config{path: c.path, where: c.where + key + ".", m: m}
}
