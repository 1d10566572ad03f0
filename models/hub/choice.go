// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The names that a repository's parts have.
const (
	configName = "config.json"
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// choice is what of a repository a name means.
type choice struct {
	files []string // to have; weights come last, so that who has them has all
	index bool     // the shards that model.safetensors.index.json names belong to it, too
	open  string   // the file to open; "" is the folder
}

// choose finds what a name means among the files of a snapshot, remote or cached.
func (r ref) choose(files []string) (choice, error) {
	has := func(name string) bool { return slices.Contains(files, name) }
	if r.want == "" && has(configName) && (has(indexName) || has(singleName)) {
		c := choice{files: settingsFiles(files), index: has(indexName)}
		if c.index {
			c.files = append(c.files, indexName)
		} else {
			c.files = append(c.files, singleName)
		}
		return c, nil
	}
	models := groups(files)
	matching := models
	if r.want != "" {
		matching = match(models, r.want)
	}
	if len(matching) == 1 {
		return choice{files: matching[0], open: matching[0][0]}, nil
	}
	e := &ChoiceError{Repo: r.repo, Want: r.want, Kind: "GGUF file"}
	if len(matching) == 0 {
		graphs := exports(files)
		found := r.chooseExport(graphs)
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) == 0 {
			found = graphs
		}
		if len(models) == 0 && len(found) > 0 {
			e.Kind = "ONNX export"
		}
		for _, c := range found {
			e.Found = append(e.Found, c.open)
		}
		matching = models
	}
	for _, g := range matching {
		e.Found = append(e.Found, g[0])
	}
	return choice{}, e
}

// settingsFiles are the small files that a folder is opened with.
func settingsFiles(files []string) (out []string) {
	for _, f := range files {
		for _, pattern := range []string{configName, "generation_config.json", "tokenizer*.json", "tokenizer.model", "chat_template.*"} {
			if ok, err := path.Match(pattern, f); ok && err == nil {
				out = append(out, f)
			}
		}
	}
	return out
}

// tokenizers are the files of which one is a tokenizer.
func tokenizers() []string { return []string{"tokenizer.json", "tokenizer.model"} }

var splitPattern = regexp.MustCompile(`-(\d{5})-of-(\d{5})\.gguf$`)

// groups are the GGUF models among files: one file each, or all parts of one. Parts without the others are none, nor are the projectors and
// importance matrices that lie beside models.
func groups(files []string) (out [][]string) {
	for _, f := range slices.Sorted(slices.Values(files)) {
		base := strings.ToLower(path.Base(f))
		if path.Ext(base) != ".gguf" || strings.HasPrefix(base, "mmproj") || strings.Contains(base, "imatrix") {
			continue
		}
		part := splitPattern.FindStringSubmatch(f)
		switch {
		case part == nil:
			out = append(out, []string{f})
		case part[1] == "00001":
			if g := parts(f, part, files); g != nil {
				out = append(out, g)
			}
		}
	}
	return out
}

// parts returns the files of a split model, given its first, or nil where one is missing.
func parts(first string, part, files []string) []string {
	count, err := strconv.Atoi(part[2])
	if err != nil || count < 1 || count > len(files) {
		return nil
	}
	stem := strings.TrimSuffix(first, part[0])
	var out []string
	for _, f := range slices.Sorted(slices.Values(files)) {
		if p := splitPattern.FindStringSubmatch(f); p != nil && p[2] == part[2] && strings.TrimSuffix(f, p[0]) == stem {
			out = append(out, f)
		}
	}
	if len(out) != count {
		return nil
	}
	return out
}

// match finds the models that want names: by path, else by file name, else by tag.
func match(models [][]string, want string) [][]string {
	for _, same := range []func(file string) bool{
		func(file string) bool { return file == want },
		func(file string) bool { return path.Base(file) == want },
		func(file string) bool { return strings.EqualFold(path.Base(file), want+".gguf") },
		func(file string) bool { return tagged(path.Base(file), want) },
	} {
		var found [][]string
		for _, g := range models {
			if slices.ContainsFunc(g, same) {
				found = append(found, g)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// tagged tells whether a file's name has a tag as a word: Q4_K is none in a name with Q4_K_M, nor Q4_0 in one with IQ4_0.
func tagged(file, tag string) bool {
	pattern, err := regexp.Compile(`(?i)(^|[^a-z0-9])` + regexp.QuoteMeta(tag) + `($|[^a-z0-9_])`)
	return err == nil && pattern.MatchString(file)
}
