// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// jsonWriter writes JSON as Python's json.dumps does: ", " and ": " between, keys in order, no HTML escapes.
type jsonWriter struct {
	strings.Builder
	indent    string // one level; empty: everything on one line
	item, key string // separators
	ascii     bool   // other characters as \uXXXX
	err       error
}

// maxNested bounds how deep a value may nest: a template can build one that holds itself.
const maxNested = 100

// toJSON is the filter tojson(indent=None, ensure_ascii=False, separators=None), with transformers' defaults.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	w := &jsonWriter{item: ", ", key: ": "}
	w.ascii = params.GetKeywordArgument("ensure_ascii", false).IsTrue()
	indent := params.GetKeywordArgument("indent", nil)
	if len(params.Args) > 0 {
		indent = params.Args[0]
	}
	if indent.IsInteger() {
		w.indent, w.item = strings.Repeat(" ", min(max(indent.Integer(), 0), 16)), ","
	}
	if s := params.GetKeywordArgument("separators", nil); s.IsList() && s.Len() == 2 {
		w.item, w.key = s.Index(0).String(), s.Index(1).String()
	}
	w.value(in, 0)
	if w.err != nil {
		return exec.AsValue(w.err)
	}
	return exec.AsSafeValue(w.String())
}

func (w *jsonWriter) value(v *exec.Value, depth int) {
	for v != nil {
		inner, ok := v.Interface().(*exec.Value)
		if !ok {
			break
		}
		v = inner
	}
	switch {
	case depth > maxNested:
		w.err = errors.New("tojson: the value is nested too deep")
	case v == nil || v.IsNil():
		w.WriteString("null")
	case v.IsBool():
		w.WriteString(strconv.FormatBool(v.Bool()))
	case v.IsInteger():
		w.WriteString(strconv.Itoa(v.Integer()))
	case v.IsFloat():
		w.float(v.Float())
	case v.IsString():
		w.quote(v.String())
	case v.IsDict():
		w.dict(pairsOf(v), depth)
	case v.IsList():
		w.list(v, depth)
	default:
		w.err = fmt.Errorf("tojson: a value of type %T is not JSON", v.Interface())
	}
}

func (w *jsonWriter) list(v *exec.Value, depth int) {
	w.WriteByte('[')
	n := v.Len()
	for i := range n {
		w.open(i, depth)
		w.value(v.Index(i), depth+1)
	}
	w.close(']', n, depth)
}

func (w *jsonWriter) dict(pairs []*exec.Pair, depth int) {
	w.WriteByte('{')
	for i, p := range pairs {
		w.open(i, depth)
		w.quote(p.Key.String())
		w.WriteString(w.key)
		w.value(p.Value, depth+1)
	}
	w.close('}', len(pairs), depth)
}

// open goes before element i, close after the last.
func (w *jsonWriter) open(i, depth int) {
	if i > 0 {
		w.WriteString(w.item)
	}
	w.line(depth + 1)
}

func (w *jsonWriter) close(end byte, n, depth int) {
	if n > 0 {
		w.line(depth)
	}
	w.WriteByte(end)
}

func (w *jsonWriter) line(depth int) {
	if w.indent != "" {
		w.WriteString("\n" + strings.Repeat(w.indent, depth))
	}
}

// float writes the shortest digits, with a point as Python has it.
func (w *jsonWriter) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.err = fmt.Errorf("tojson: %v is not JSON", f)
		return
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		format = 'e'
	}
	s := strconv.FormatFloat(f, format, -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	w.WriteString(s)
}

func (w *jsonWriter) quote(s string) {
	w.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.WriteByte('\\')
			w.WriteRune(r)
		case r == '\n':
			w.WriteString(`\n`)
		case r == '\r':
			w.WriteString(`\r`)
		case r == '\t':
			w.WriteString(`\t`)
		case r == '\b':
			w.WriteString(`\b`)
		case r == '\f':
			w.WriteString(`\f`)
		case r < ' ' || w.ascii && r >= 0x7F && r < firstMark:
			fmt.Fprintf(w, `\u%04x`, r)
		case w.ascii && r >= 0x7F:
			w.escapeHigh(r)
		default:
			w.WriteRune(r)
		}
	}
	w.WriteByte('"')
}

// escapeHigh leaves the characters that Tokens uses as marks, which must still be found after rendering.
func (w *jsonWriter) escapeHigh(r rune) {
	switch {
	case r <= lastMark || r >= firstPrivate && r <= lastPrivate:
		w.WriteRune(r)
	case r <= 0xFFFF && r != utf8.RuneError:
		fmt.Fprintf(w, `\u%04x`, r)
	case r == utf8.RuneError:
		w.WriteString(`\ufffd`)
	default:
		r -= 0x10000
		fmt.Fprintf(w, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
	}
}
