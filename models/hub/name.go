// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// ref is what a name says: a repository, a revision of it, and which of its GGUF files.
type ref struct {
	repo     string // org/name
	revision string
	want     string // a file, a tag such as Q4_K_M, or ""
}

// defaultRevision is the branch that a name without revision means.
const defaultRevision = "main"

var (
	repoPattern     = regexp.MustCompile(`^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}$`)
	revisionPattern = regexp.MustCompile(`^[\w.][\w./+-]{0,199}$`)
	commitPattern   = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// prefixes may stand before a name, as other programs want it.
func prefixes() []string {
	return []string{"hf://", "https://huggingface.co/", "https://hf.co/", "huggingface.co/", "hf.co/"}
}

// parse reads org/name[@revision][:want]. Without a prefix, what ends like a file is none.
func parse(name string) (ref, error) {
	rest := name
	for _, p := range prefixes() {
		rest = strings.TrimPrefix(rest, p)
	}
	r := ref{revision: defaultRevision}
	head, want, named := strings.Cut(rest, ":")
	repo, revision, revised := strings.Cut(head, "@")
	r.repo, r.want = repo, want
	if revised {
		r.revision = revision
	}
	looksLikeFile := rest == name && slices.Contains([]string{".gguf", ".safetensors", ".onnx", ".json", ".bin"}, strings.ToLower(path.Ext(repo)))
	if looksLikeFile || !validRepo(repo) {
		return r, &NotFoundError{"file or folder, and it is no name such as org/name, org/name@revision or org/name:Q4_K_M"}
	}
	if !validRevision(r.revision) {
		return r, &NotFoundError{fmt.Sprintf("revision: want a branch, a tag or a commit, found %.80q", r.revision)}
	}
	if named && safe(want) != nil {
		return r, &NotFoundError{fmt.Sprintf("file: want a name or a tag such as Q4_K_M behind the colon, found %.80q", want)}
	}
	return r, nil
}

// validRepo applies the Hub's own rules, which keep the names of the cache's folders apart.
func validRepo(repo string) bool {
	org, name, _ := strings.Cut(repo, "/")
	return repoPattern.MatchString(repo) && !strings.Contains(repo, "--") && !strings.Contains(repo, "..") &&
		!strings.HasSuffix(repo, ".git") && strings.Trim(org, "-.") == org && strings.Trim(name, "-.") == name
}

// validRevision holds what git allows in a reference, as far as it becomes a path here.
func validRevision(revision string) bool {
	return revisionPattern.MatchString(revision) && fs.ValidPath(revision) && revision != "." && !strings.Contains(revision, "..")
}

// safe refuses a file's name that could leave the folder it is joined to, on any system, or that a terminal would obey.
func safe(name string) error {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' })
	switch {
	case !fs.ValidPath(name) || name == ".",
		strings.HasPrefix(name, `\`),
		slices.Contains(parts, ".."),
		len(name) > 1 && name[1] == ':',
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("want the name of a file in its own folder, found %.80q", name)
	}
	return nil
}
