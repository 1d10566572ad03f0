// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find returns the .onnx file that path means: path itself, the one that genai_config.json names, or in the folder or its subfolder onnx model.onnx,
// decoder_model_merged.onnx, decoder_model.onnx or the only one. Where there is none the error is fs.ErrNotExist.
func Find(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	if name, err := genaiFile(path); err != nil || name != "" {
		return filepath.Join(path, name), err
	}
	for _, dir := range []string{path, filepath.Join(path, "onnx")} {
		found, err := filepath.Glob(filepath.Join(escape(dir), "*.onnx"))
		if err != nil || len(found) == 0 {
			continue
		}
		for _, name := range []string{"model.onnx", "decoder_model_merged.onnx", "decoder_model.onnx"} {
			if p := filepath.Join(dir, name); slices.Contains(found, p) {
				return p, nil
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
		return "", &Error{dir, "files", "model.onnx, or the path of one file", fmt.Sprintf("%d .onnx files, such as %s", len(found), filepath.Base(found[0]))}
	}
	return "", fmt.Errorf("export: %s: no .onnx file: %w", path, fs.ErrNotExist)
}

// escape keeps what Glob reads as a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// genaiFile returns the file that genai_config.json names, or "".
func genaiFile(dir string) (string, error) {
	values, err := readJSON(filepath.Join(dir, "genai_config.json"))
	if err != nil || values == nil {
		return "", err
	}
	name := values.object("model").object("decoder").text("filename")
	if name == "" {
		return "", &Error{dir, "genai_config.json: model.decoder.filename", "the name of a file", "none"}
	}
	if !filepath.IsLocal(name) {
		return "", &Error{dir, "genai_config.json: model.decoder.filename", "a file of the folder", name}
	}
	return name, nil
}

// object is a JSON object.
type object map[string]json.RawMessage

const maxJSON = 64 << 20

// readJSON reads a file; one that is not there is nil.
func readJSON(path string) (object, error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxJSON {
		return nil, &Error{path, "size", fmt.Sprintf("at most %d bytes", maxJSON), fmt.Sprint(info.Size())}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, &Error{path, "content", "a JSON object", err.Error()}
	}
	return o, nil
}

// object returns an inner object, empty where there is none.
func (o object) object(name string) object {
	var inner object
	_ = json.Unmarshal(o[name], &inner) // what is no object has no fields
	return inner
}

func (o object) text(names ...string) string {
	for _, name := range names {
		var s string
		if json.Unmarshal(o[name], &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// count returns the first of the fields that is a whole number above 0, else 0.
func (o object) count(names ...string) int {
	for _, name := range names {
		var n int
		if json.Unmarshal(o[name], &n) == nil && n > 0 && n < 1<<30 {
			return n
		}
	}
	return 0
}
