// SPDX-License-Identifier: Apache-2.0

package trimtab_test

import (
	"errors"
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// variables are the package variables that may change, each "folder/name". The list may only shrink.
var variables = []string{
	"cgo/ort/loaded",    // a process holds one ONNX Runtime
	"cgo/ort/tappers",   // C names a Go tap by number
	"bench/scripts",     // embedded files
}

// TestPackageVariablesStay holds that a package variable gets its value where it is declared, that nothing assigns to it or
// to a part of it afterwards, and that it is none of sync's types, which exist to change. Addresses may be taken: a table
// is read faster through one.
func TestPackageVariablesStay(t *testing.T) {
	packages := map[string][]source{}
	for _, s := range sources(t) {
		packages[s.dir()] = append(packages[s.dir()], s)
	}
	for dir, all := range packages {
		scope := resolve(all)
		for _, s := range all {
			report := func(e ast.Expr, why string) {
				id := root(e)
				if id != nil && scope[id] && !slices.Contains(variables, dir+"/"+id.Name) {
					s.errorf(t, e, "package variable %s %s", id.Name, why)
				}
			}
			ast.Inspect(s.File, func(n ast.Node) bool {
				writes(n, report)
				return true
			})
		}
	}
}

// resolve finds the names that stand for a package's variables, where they are declared and where they are used.
// Imports stay unresolved, which scopes do not need.
func resolve(all []source) map[*ast.Ident]bool {
	info := types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: noImports{}, FakeImportC: true, Error: func(error) {}}
	parsed := make([]*ast.File, len(all))
	for i, s := range all {
		parsed[i] = s.File
	}
	pkg, _ := config.Check(all[0].dir(), all[0].set, parsed, &info)
	found := map[*ast.Ident]bool{}
	for _, names := range []map[*ast.Ident]types.Object{info.Defs, info.Uses} {
		for id, o := range names {
			v, ok := o.(*types.Var)
			found[id] = ok && v.Parent() == pkg.Scope()
		}
	}
	return found
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.ErrUnsupported }

// writes reports the expressions that n writes to, and the package variables that it declares without a fixed value.
func writes(n ast.Node, report func(ast.Expr, string)) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, e := range n.Lhs {
			report(e, "is written to")
		}
	case *ast.IncDecStmt:
		report(n.X, "is written to")
	case *ast.RangeStmt:
		report(n.Key, "is written to")
		report(n.Value, "is written to")
	case *ast.GenDecl:
		for _, spec := range n.Specs {
			declares(spec, report)
		}
	}
}

func declares(spec ast.Spec, report func(ast.Expr, string)) {
	s, ok := spec.(*ast.ValueSpec)
	if !ok {
		return
	}
	for i, id := range s.Names {
		if len(s.Values) == 0 && id.Name != "_" {
			report(id, "has no value where it is declared")
		}
		if i < len(s.Values) {
			value := strings.TrimLeft(types.ExprString(s.Values[i]), "&")
			if strings.HasPrefix(value, "sync.") || strings.HasPrefix(value, "atomic.") {
				report(id, "is of a type that exists to change")
			}
		}
	}
}

// root is the x of x.y, x[i], x[i:j], *x and (x).
func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return nil
}
