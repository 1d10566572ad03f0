// SPDX-License-Identifier: Apache-2.0

package pickle

import (
	"bytes"
	"fmt"
)

// object looks names up, calls the few that may be called, and finds storages.
func (m *machine) object(op byte) error {
	switch op {
	case opGlobal:
		return m.global()
	case opStackGlobal:
		return m.stackGlobal()
	case opReduce:
		return m.reduce()
	case opBuild:
		return m.build()
	case opNewObject:
		return m.newObject()
	}
	id, err := m.pop()
	if err != nil {
		return err
	}
	return m.persistent(id)
}

// global reads module and name, a line each.
func (m *machine) global() error {
	var parts [2]string
	for i := range parts {
		n := bytes.IndexByte(m.text[m.at:], '\n')
		if n < 0 {
			return m.fail("a line with a name", "the end")
		}
		parts[i] = string(m.text[m.at : m.at+n])
		m.at += n + 1
	}
	return m.lookUp(parts[0], parts[1])
}

func (m *machine) stackGlobal() error {
	pair, err := m.items(false, 2)
	if err != nil {
		return err
	}
	module, ok1 := pair[0].(string)
	name, ok2 := pair[1].(string)
	if !ok1 || !ok2 {
		return m.fail("two strings as a name", "%T and %T", pair[0], pair[1])
	}
	return m.lookUp(module, name)
}

func (m *machine) lookUp(module, name string) error {
	g, ok := find(module, name)
	if !ok {
		full := fmt.Sprintf("%.80s.%.80s", module, name)
		return &Error{
			Global: full, What: fmt.Sprintf("pickle at byte %d", m.at),
			Want:  "tensors and plain containers only",
			Found: fmt.Sprintf("%q, which is never called here (save the model's state_dict, or convert the file to safetensors)", full),
		}
	}
	return m.push(g)
}

func (m *machine) reduce() error {
	pair, err := m.items(false, 2)
	if err != nil {
		return err
	}
	g, ok1 := pair[0].(*global)
	args, ok2 := pair[1].(Tuple)
	if !ok1 || !ok2 || g.call == nil {
		return m.fail("a call of a known function", "a call of %s", describe(pair[0]))
	}
	v, err := g.call(m, args)
	if err != nil {
		return err
	}
	return m.push(v)
}

func describe(v Value) string {
	if g, ok := v.(*global); ok {
		return g.name
	}
	return fmt.Sprintf("%T", v)
}

// newObject is an object of a class whose attributes BUILD will bring.
func (m *machine) newObject() error {
	pair, err := m.items(false, 2)
	if err != nil {
		return err
	}
	g, ok := pair[0].(*global)
	args, none := pair[1].(Tuple)
	if !ok || !none || !g.record || len(args) != 0 {
		return m.fail("an object of a class that holds data alone", "one of %s", describe(pair[0]))
	}
	return m.push(&Dict{Class: g.name})
}

// build fills in arrays and objects, and drops the attributes of an OrderedDict or a tensor: torch keeps version numbers of modules there.
func (m *machine) build() error {
	state, err := m.pop()
	if err != nil {
		return err
	}
	switch v := m.top().(type) {
	case *Array:
		return m.fill(v, state)
	case *dtype:
		return m.order(v, state)
	case *Dict:
		return m.attributes(v, state)
	case Tensor:
		return nil
	}
	return m.fail("attributes of a dictionary or a tensor", "those of %s", describe(m.top()))
}

func (m *machine) attributes(d *Dict, state Value) error {
	if d.Class == "" {
		return nil
	}
	from, ok := state.(*Dict)
	if !ok {
		return m.fail("attributes of a "+d.Class, "%s", describe(state))
	}
	if err := m.spend(len(from.Keys)); err != nil {
		return err
	}
	for i, key := range from.Keys {
		d.set(key, from.Values[i])
	}
	return nil
}

// persistent finds what torch calls a persistent id: ("storage", class, key, location, number of elements).
func (m *machine) persistent(id Value) error {
	t, ok := id.(Tuple)
	if !ok || len(t) < 5 || t[0] != "storage" {
		return m.fail(`a persistent id ("storage", class, key, location, size)`, "%s", describe(id))
	}
	class, ok1 := t[1].(*global)
	key, ok2 := t[2].(string)
	if !ok1 || !ok2 || class.elem.width == 0 {
		return m.fail("a storage class and a key", "%s and %s", describe(t[1]), describe(t[2]))
	}
	data, err := m.storage(key)
	if err != nil {
		return err
	}
	return m.push(storage{data, class.elem})
}
