// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"github.com/nikolalohinski/gonja/v2/exec"
)

// value is the message as templates see it: role, content, then the other keys.
func (m Message) value(g guarder) *exec.Dict {
	d := exec.NewDict()
	put(d, "role", g.guardName(m.Role))
	if !m.Extra.has("content") {
		put(d, "content", g.guard(m.Content))
	}
	for _, f := range m.Extra {
		put(d, f.Name, toValue(f.Value, g))
	}
	return d
}

func (o Object) has(name string) bool {
	for _, f := range o {
		if f.Name == name {
			return true
		}
	}
	return false
}

func put(d *exec.Dict, name string, v any) {
	d.Pairs = append(d.Pairs, &exec.Pair{Key: exec.AsValue(name), Value: exec.AsValue(v)})
}

// toValue copies a value, since templates may change what they are given, and guards the text in it.
func toValue(v any, g guarder) any {
	switch v := v.(type) {
	case string:
		return g.guard(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = toValue(v[i], g)
		}
		return list
	case []Object:
		list := make([]any, len(v))
		for i := range v {
			list[i] = toValue(v[i], g)
		}
		return list
	case Object:
		d := exec.NewDict()
		for _, f := range v {
			put(d, g.guardName(f.Name), toValue(f.Value, g))
		}
		return d
	}
	return v
}
