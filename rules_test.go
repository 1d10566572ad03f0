// SPDX-License-Identifier: Apache-2.0

// Package trimtab_test holds the tree to the rules that a compiler does not check: one test for each.
//
// rules_test.go has those for Go's syntax, variables_test.go the one for package variables, tree_test.go those for every
// file's text. Go files are parsed whatever their build tags, so that a twin nobody builds here obeys as well.
package trimtab_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/trimtab/trimtab/"

// arrows lists, for each top folder, the folders of the module that it may import; one that is not here may import all.
// Of models, steering sees what reads files, never the graph.
var arrows = map[string][]string{
	"hooks":    {"hooks"},
	"models":   {"models", "internal"},
	"steering": {"steering", "hooks", "models/gguf", "models/safetensors", "models/quant", "models/npy", "models/pickle", "internal"},
	"runtime":  {"runtime", "hooks", "models", "cgo", "internal"},
	"cgo":      {"cgo", "internal"},
	"internal": {"internal"},
}

// native are the imports that need a C compiler or a library, and belong to cgo/.
var native = []string{"C", "github.com/yalue/onnxruntime_go", "github.com/daulet/tokenizers", "github.com/ebitengine/purego"}

// longFunctions may pass the limit, each "folder/name". The list may only shrink.
var longFunctions = []string{}

// source is one parsed Go file outside tests. errorf reports where a node breaks a rule.
type source struct {
	*ast.File
	set  *token.FileSet
	path string
}

func (s source) dir() string { return filepath.Dir(s.path) }

func (s source) top() string { return strings.Split(s.path, "/")[0] }

func (s source) errorf(t *testing.T, n ast.Node, format string, args ...any) {
	t.Helper()
	t.Errorf("%s:%d: "+format, append([]any{s.path, s.set.Position(n.Pos()).Line}, args...)...)
}

func sources(t *testing.T) []source {
	t.Helper()
	set := token.NewFileSet()
	var all []source
	for _, path := range files(t) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata/") {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{f, set, path})
	}
	return all
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, s := range sources(t) {
		allowed, limited := arrows[s.top()]
		for _, spec := range s.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			inner, ours := strings.CutPrefix(path, module)
			switch {
			case slices.Contains(native, path) && s.top() != "cgo":
				s.errorf(t, spec, "only cgo/ imports %q", path)
			case ours && limited && !slices.ContainsFunc(allowed, func(a string) bool { return within(inner, a) }):
				s.errorf(t, spec, "%s/ must not import %s", s.top(), inner)
			case !ours && s.top() == "hooks" && strings.Contains(path, "."):
				s.errorf(t, spec, "hooks/ imports the standard library only, found %s", path)
			}
		}
	}
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func TestPackageDocInOneFile(t *testing.T) {
	docs := map[string]int{}
	for _, s := range sources(t) {
		docs[s.dir()] += 0
		if s.Doc != nil {
			docs[s.dir()]++
		}
	}
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("%s:1: want the package's doc comment in one file, found it in %d", dir, n)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.Name.Name == "main" || !ast.FileExports(s.File) {
			continue
		}
		for _, decl := range s.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && ast.IsExported(receiver(d)) && !slices.Contains(selfEvident, d.Name.Name) {
					s.errorf(t, d, "%s has no doc comment", d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if name, documented := describe(spec); d.Doc == nil && !documented {
						s.errorf(t, spec, "%s %s has no doc comment", d.Tok, name)
					}
				}
			}
		}
	}
}

// selfEvident are methods whose meaning the standard library fixes.
var selfEvident = []string{"Error", "String", "Unwrap"}

// receiver is the type whose method d is, or the name of a plain function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	return strings.TrimLeft(types.ExprString(d.Recv.List[0].Type), "*")
}

// describe names a declaration and tells whether it has a comment of its own.
func describe(spec ast.Spec) (name string, documented bool) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return s.Name.Name, s.Doc != nil || s.Comment != nil
	case *ast.ValueSpec:
		return s.Names[0].Name, s.Doc != nil || s.Comment != nil
	}
	return "", true
}

func TestFunctionsAreShort(t *testing.T) {
	const limit = 60
	for _, s := range sources(t) {
		for _, decl := range s.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := s.dir() + "/" + d.Name.Name
			lines := s.set.Position(d.End()).Line - s.set.Position(d.Pos()).Line + 1
			if lines > limit && !slices.Contains(longFunctions, name) {
				s.errorf(t, d, "%s has %d lines, the limit is %d", name, lines, limit)
			}
			if d.Name.Name == "init" && d.Recv == nil {
				s.errorf(t, d, "init() runs unasked; do its work where it is needed")
			}
		}
	}
}
