// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // system, user, assistant, tool ...
	Content string
	// Extra are the message's other keys, such as tool_calls. One named content replaces Content, for templates that take
	// a list of parts or null there.
	Extra Object
}

// Object is a JSON object whose keys keep their order, as templates print it.
type Object []Field

// Field is one key of an Object. Value is nil, a bool, string, int, float64, []any of these, or an Object.
type Field struct {
	Name  string
	Value any
}

// UnmarshalJSON reads an object with its keys in the order of the text.
func (o *Object) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return fmt.Errorf("chat: read JSON: %w", err)
	}
	obj, ok := v.(Object)
	if !ok {
		return fmt.Errorf("chat: want a JSON object, found %.40q", data)
	}
	*o = obj
	return nil
}

// UnmarshalJSON reads {"role": ..., "content": ...} and keeps every other key in Extra.
func (m *Message) UnmarshalJSON(data []byte) error {
	var o Object
	if err := o.UnmarshalJSON(data); err != nil {
		return err
	}
	*m = Message{}
	for _, f := range o {
		s, text := f.Value.(string)
		switch {
		case f.Name == "role" && text:
			m.Role = s
		case f.Name == "role":
			return fmt.Errorf("chat: message: want a string as role, found %v", f.Value)
		case f.Name == "content" && text:
			m.Content = s
		default:
			m.Extra = append(m.Extra, f)
		}
	}
	return nil
}

// readValue reads the next value, which lies in depth others.
func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxNested {
		return nil, fmt.Errorf("want values nested at most %d deep, found more", maxNested)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return readObject(d, depth)
	case json.Delim('['):
		return readList(d, depth)
	}
	if n, ok := t.(json.Number); ok {
		return number(n)
	}
	return t, nil
}

func readObject(d *json.Decoder, depth int) (any, error) {
	o := Object{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		o = append(o, Field{key.(string), v})
	}
	_, err := d.Token()
	return o, err
}

func readList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil && i >= math.MinInt && i <= math.MaxInt {
		return int(i), nil
	}
	return n.Float64()
}
