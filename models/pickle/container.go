// SPDX-License-Identifier: Apache-2.0

package pickle

import "slices"

// container builds and fills lists, tuples and dictionaries.
func (m *machine) container(op byte) error {
	switch op {
	case opEmptyList:
		return m.push(&List{})
	case opEmptyDict:
		return m.push(&Dict{})
	case opEmptyTuple:
		return m.push(Tuple{})
	case opTuple1, opTuple2, opTuple3:
		return m.shortTuple(int(op-opTuple1) + 1)
	case opTuple:
		items, err := m.sinceMark()
		if err != nil {
			return err
		}
		return m.push(Tuple(slices.Clone(items)))
	case opAppend, opAppends:
		return m.appendTo(op == opAppends)
	}
	return m.setIn(op == opSetItems)
}

func (m *machine) shortTuple(n int) error {
	t := make(Tuple, n)
	for i := n - 1; i >= 0; i-- {
		v, err := m.pop()
		if err != nil {
			return err
		}
		t[i] = v
	}
	return m.push(t)
}

func (m *machine) appendTo(many bool) error {
	items, err := m.items(many, 1)
	if err != nil {
		return err
	}
	list, ok := m.top().(*List)
	if !ok {
		return m.fail("a list to append to", "%T", m.top())
	}
	list.Items = append(list.Items, items...)
	return nil
}

func (m *machine) setIn(many bool) error {
	items, err := m.items(many, 2)
	if err != nil {
		return err
	}
	dict, ok := m.top().(*Dict)
	if !ok || len(items)%2 != 0 {
		return m.fail("a dictionary and pairs for it", "%T and %d values", m.top(), len(items))
	}
	for i := 0; i < len(items); i += 2 {
		if !dict.set(items[i], items[i+1]) {
			return m.fail("keys that are strings or numbers", "%T", items[i])
		}
	}
	return nil
}

// items takes n values, or all above the latest mark.
func (m *machine) items(many bool, n int) ([]Value, error) {
	if many {
		return m.sinceMark()
	}
	out := make([]Value, n)
	for i := n - 1; i >= 0; i-- {
		v, err := m.pop()
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (m *machine) top() Value {
	if len(m.stack) == 0 {
		return nil
	}
	return m.stack[len(m.stack)-1]
}
