// SPDX-License-Identifier: Apache-2.0

package pickle

// Value is one of nil, bool, int64, float64, string, []byte (BORROWED from the file), [Tuple], *[List], *[Dict], [Tensor] and *[Array]. Where a checkpoint holds an
// element type such as torch.float32 as a value, that is of a type of this package that nothing can be done with.
type Value any

// Tuple is an immutable sequence, also a torch.Size.
type Tuple []Value

// List is a Python list.
type List struct{ Items []Value }

// Dict is a Python dictionary or an OrderedDict, in the order of its keys' first appearance; or the attributes of an object of a class that holds data alone.
type Dict struct {
	Class  string  // the object's class with its module; "" for a dictionary
	Keys   []Value // string, int64, bool, float64 or nil
	Values []Value

	index map[Value]int
}

// Get returns the value under a string, nil and false where there is none.
func (d *Dict) Get(key string) (Value, bool) {
	i, ok := d.index[key]
	if !ok {
		return nil, false
	}
	return d.Values[i], true
}

// set keeps a key's place when it comes again, as Python does; ok is false for a key that cannot be one here.
func (d *Dict) set(key, value Value) (ok bool) {
	switch key.(type) {
	case string, int64, bool, float64, nil:
	default:
		return false
	}
	if i, again := d.index[key]; again {
		d.Values[i] = value
		return true
	}
	if d.index == nil {
		d.index = map[Value]int{}
	}
	d.index[key] = len(d.Keys)
	d.Keys = append(d.Keys, key)
	d.Values = append(d.Values, value)
	return true
}

// global is a Python name on the stack, from the list in globals.go.
type global struct {
	name   string
	call   func(m *machine, args Tuple) (Value, error) // nil where the name must not be called
	elem   elem                                        // of a storage class
	record bool                                        // a class of which only the attributes are read
}

// storage is a persistent id: bytes in the archive with their element type.
type storage struct {
	data []byte
	elem elem
}
