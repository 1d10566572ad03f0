// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"fmt"
	"io"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// rootName is the one name under which the loader has a template.
const rootName = "/template"

// sourceLoader has the template itself and nothing else: include, import and extends reach no file.
type sourceLoader string

func (l sourceLoader) Read(path string) (io.Reader, error) {
	if path != rootName {
		return nil, fmt.Errorf("chat templates may not read %q", path)
	}
	return strings.NewReader(string(l)), nil
}

func (l sourceLoader) Resolve(path string) (string, error) { return path, nil }

func (l sourceLoader) Inherit(string) (loaders.Loader, error) { return l, nil }

// environment is the library's, with the functions that chat templates expect and the sets copied, since sets are changeable.
func environment(o Options) *exec.Environment {
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters)
	// Replace cannot fail: both names are among the library's own.
	_ = filters.Replace("tojson", toJSON)
	_ = filters.Replace("items", itemsFilter)
	methods := builtins.Methods
	methods.Dict = dictMethods(builtins.Methods.Dict)
	context := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	context.Set("strftime_now", func(format string) string { return strftime(o.Now(), format) })
	context.Set("range", boundedRange)
	return &exec.Environment{
		Context:           context,
		Filters:           filters,
		Tests:             builtins.Tests,
		ControlStructures: builtins.ControlStructures,
		Methods:           methods,
	}
}

// maxRange is the longest range that Jinja's sandbox allows.
const maxRange = 100_000

// boundedRange is range() as a list, which unlike the library's needs no goroutine to be read to its end.
func boundedRange(_ *exec.Evaluator, params *exec.VarArgs) ([]int, error) {
	start, stop, step := 0, 0, 1
	for _, a := range params.Args {
		if !a.IsInteger() {
			return nil, exec.ErrInvalidCall(fmt.Errorf("range wants integers, found %s", a))
		}
	}
	switch a := params.Args; len(a) {
	case 1:
		stop = a[0].Integer()
	case 2:
		start, stop = a[0].Integer(), a[1].Integer()
	case 3:
		start, stop, step = a[0].Integer(), a[1].Integer(), a[2].Integer()
	default:
		return nil, exec.ErrInvalidCall(fmt.Errorf("range wants 1 to 3 arguments, found %d", len(a)))
	}
	if step == 0 {
		return nil, exec.ErrInvalidCall(fmt.Errorf("range: the step may not be 0"))
	}
	list := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(list) == maxRange {
			return nil, exec.ErrInvalidCall(fmt.Errorf("range is longer than %d", maxRange))
		}
		list = append(list, i)
	}
	return list, nil
}

// dictMethods are the library's, except that those which list a dictionary keep its order.
func dictMethods(old *exec.MethodSet[map[string]any]) *exec.MethodSet[map[string]any] {
	set := map[string]exec.Method[map[string]any]{}
	for _, name := range []string{"get", "pop", "setdefault", "update", "copy", "clear"} {
		if m, ok := old.Get(name); ok {
			set[name] = m
		}
	}
	list := func(pick func(p *exec.Pair) any) exec.Method[map[string]any] {
		return func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) { return listed(self, pick), nil }
	}
	set["items"] = list(pairOf)
	set["keys"] = list(func(p *exec.Pair) any { return p.Key })
	set["values"] = list(func(p *exec.Pair) any { return p.Value })
	return exec.NewMethodSet(set)
}

func pairOf(p *exec.Pair) any { return []any{p.Key, p.Value} }

func itemsFilter(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if in.IsNil() {
		return exec.AsValue([]any{})
	}
	if !in.IsDict() {
		return exec.AsValue(exec.ErrInvalidCall(fmt.Errorf("items wants a dictionary, found %s", in)))
	}
	return exec.AsValue(listed(in, pairOf))
}

func listed(self *exec.Value, pick func(p *exec.Pair) any) []any {
	list := []any{}
	for _, p := range pairsOf(self) {
		list = append(list, pick(p))
	}
	return list
}

// pairsOf gives the entries of a dictionary in its own order, or sorted by key where it has none.
func pairsOf(v *exec.Value) []*exec.Pair {
	if d, ok := v.Interface().(*exec.Dict); ok {
		return d.Pairs
	}
	var pairs []*exec.Pair
	for _, k := range v.Keys() {
		x, _ := v.GetItem(k.Interface())
		pairs = append(pairs, &exec.Pair{Key: k, Value: x})
	}
	return pairs
}
