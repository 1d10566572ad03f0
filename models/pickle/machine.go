// SPDX-License-Identifier: Apache-2.0

package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
)

// machine runs a pickle. It has no way to reach anything but its own stack, the memo and the archive's storages.
type machine struct {
	text    []byte
	at      int
	stack   []Value
	marks   []int // heights of the stack
	memo    map[uint32]Value
	storage func(key string) ([]byte, error)
	cost    int // what the text's bytes have been spent on, so that sharing cannot multiply work
}

// Opcodes of protocols 2 to 5 that torch.save uses, named as in pickletools.
const (
	opProto        = 0x80
	opFrame        = 0x95
	opStop         = '.'
	opMark         = '('
	opPop          = '0'
	opPopMark      = '1'
	opNone         = 'N'
	opTrue         = 0x88
	opFalse        = 0x89
	opBinInt       = 'J'
	opBinInt1      = 'K'
	opBinInt2      = 'M'
	opLong1        = 0x8a
	opBinFloat     = 'G'
	opUnicode      = 'X'
	opShortUnicode = 0x8c
	opBytes        = 'B'
	opShortBytes   = 'C'
	opEmptyList    = ']'
	opAppend       = 'a'
	opAppends      = 'e'
	opEmptyTuple   = ')'
	opTuple        = 't'
	opTuple1       = 0x85
	opTuple2       = 0x86
	opTuple3       = 0x87
	opEmptyDict    = '}'
	opSetItem      = 's'
	opSetItems     = 'u'
	opGlobal       = 'c'
	opStackGlobal  = 0x93
	opReduce       = 'R'
	opBuild        = 'b'
	opNewObject    = 0x81
	opPersistent   = 'Q'
	opPut          = 'q'
	opLongPut      = 'r'
	opMemoize      = 0x94
	opGet          = 'h'
	opLongGet      = 'j'
)

// maxValues bounds what lies on the stack and in the memo; a checkpoint has a few values for each tensor.
const maxValues = 1 << 20

func (m *machine) fail(want, format string, args ...any) error {
	return &Error{What: fmt.Sprintf("pickle at byte %d", m.at), Want: want, Found: fmt.Sprintf(format, args...)}
}

func (m *machine) run() (Value, error) {
	for {
		b, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if b[0] == opStop {
			if len(m.marks) != 0 || len(m.stack) != 1 {
				return nil, m.fail("one value at the end", "%d values and %d marks", len(m.stack), len(m.marks))
			}
			return m.result()
		}
		if err := m.step(b[0]); err != nil {
			return nil, err
		}
		if max(len(m.stack), len(m.marks), len(m.memo)) > maxValues {
			return nil, m.fail(fmt.Sprintf("at most %d values at once", maxValues), "more")
		}
	}
}

// result refuses a pickle whose value is only a name or a storage.
func (m *machine) result() (Value, error) {
	switch v := m.stack[0].(type) {
	case *global:
		return nil, m.fail("data", "the name %s", v.name)
	case storage:
		return nil, m.fail("tensors", "a bare storage")
	case *dtype:
		return nil, m.fail("data", "the type %q", v.kind)
	default:
		return v, nil
	}
}

// step carries out one opcode, by the kind of thing it does.
func (m *machine) step(op byte) error {
	switch op {
	case opProto, opFrame:
		return m.header(op)
	case opNone, opTrue, opFalse, opBinInt, opBinInt1, opBinInt2, opLong1, opBinFloat, opUnicode, opShortUnicode, opBytes, opShortBytes:
		return m.constant(op)
	case opMark, opPop, opPopMark:
		return m.unwind(op)
	case opEmptyList, opAppend, opAppends, opEmptyTuple, opTuple, opTuple1, opTuple2, opTuple3, opEmptyDict, opSetItem, opSetItems:
		return m.container(op)
	case opPut, opLongPut, opMemoize, opGet, opLongGet:
		return m.remember(op)
	case opGlobal, opStackGlobal, opReduce, opBuild, opNewObject, opPersistent:
		return m.object(op)
	}
	return m.fail("an opcode that builds plain data", "opcode %#x (%q)", op, rune(op))
}

func (m *machine) header(op byte) error {
	if op == opFrame {
		_, err := m.take(8)
		return err
	}
	b, err := m.take(1)
	if err == nil && (b[0] < 2 || b[0] > 5) {
		return m.fail("protocol 2 to 5", "%d", b[0])
	}
	return err
}

func (m *machine) constant(op byte) error {
	switch op {
	case opNone:
		return m.push(nil)
	case opTrue, opFalse:
		return m.push(op == opTrue)
	case opUnicode, opShortUnicode, opBytes, opShortBytes:
		return m.text32(op)
	case opLong1:
		return m.long()
	}
	width := map[byte]int{opBinInt: 4, opBinInt1: 1, opBinInt2: 2, opBinFloat: 8}[op]
	b, err := m.take(width)
	if err != nil {
		return err
	}
	switch op {
	case opBinInt:
		return m.push(int64(int32(binary.LittleEndian.Uint32(b))))
	case opBinInt1:
		return m.push(int64(b[0]))
	case opBinInt2:
		return m.push(int64(binary.LittleEndian.Uint16(b)))
	}
	return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// text32 reads a string or bytes behind their length.
func (m *machine) text32(op byte) error {
	width := 4
	if op == opShortUnicode || op == opShortBytes {
		width = 1
	}
	b, err := m.take(width)
	if err != nil {
		return err
	}
	n := int(b[0])
	if width == 4 {
		n = int(binary.LittleEndian.Uint32(b))
	}
	s, err := m.take(n)
	if err != nil {
		return err
	}
	if op == opBytes || op == opShortBytes {
		return m.push(s)
	}
	return m.push(string(s))
}

// long reads a whole number of up to 8 bytes, two's complement and little-endian.
func (m *machine) long() error {
	b, err := m.take(1)
	if err != nil {
		return err
	}
	n := int(b[0])
	if n > 8 {
		return m.fail("whole numbers of at most 8 bytes", "%d bytes", n)
	}
	if b, err = m.take(n); err != nil {
		return err
	}
	var wide [8]byte
	if n > 0 && b[n-1] >= 0x80 {
		wide = [8]byte{255, 255, 255, 255, 255, 255, 255, 255}
	}
	copy(wide[:], b)
	return m.push(int64(binary.LittleEndian.Uint64(wide[:])))
}

func (m *machine) unwind(op byte) error {
	switch op {
	case opMark:
		m.marks = append(m.marks, len(m.stack))
		return nil
	case opPop:
		_, err := m.pop()
		return err
	}
	_, err := m.sinceMark()
	return err
}

func (m *machine) remember(op byte) error {
	n := uint32(len(m.memo))
	if op != opMemoize {
		width := 1
		if op == opLongPut || op == opLongGet {
			width = 4
		}
		b, err := m.take(width)
		if err != nil {
			return err
		}
		n = uint32(b[0])
		if width == 4 {
			n = binary.LittleEndian.Uint32(b)
		}
	}
	if op == opGet || op == opLongGet {
		v, ok := m.memo[n]
		if !ok {
			return m.fail("a value put there before", "nothing under %d", n)
		}
		return m.push(v)
	}
	if len(m.stack) == 0 {
		return m.fail("a value to put away", "an empty stack")
	}
	m.memo[n] = m.stack[len(m.stack)-1]
	return nil
}

// take returns the next n bytes of the text.
func (m *machine) take(n int) ([]byte, error) {
	if n < 0 || n > len(m.text)-m.at {
		return nil, m.fail(fmt.Sprintf("%d bytes", n), "the end after %d", len(m.text)-m.at)
	}
	b := m.text[m.at : m.at+n]
	m.at += n
	return b, nil
}

func (m *machine) push(v Value) error {
	m.stack = append(m.stack, v)
	return nil
}

// pop takes the topmost value; what lies below a mark is out of reach.
func (m *machine) pop() (Value, error) {
	floor := 0
	if n := len(m.marks); n > 0 {
		floor = m.marks[n-1]
	}
	if len(m.stack) <= floor {
		return nil, m.fail("a value on the stack", "none")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// sinceMark takes all values above the latest mark, and the mark. They are BORROWED from the stack.
func (m *machine) sinceMark() ([]Value, error) {
	if len(m.marks) == 0 {
		return nil, m.fail("a mark", "none")
	}
	from := m.marks[len(m.marks)-1]
	m.marks = m.marks[:len(m.marks)-1]
	items := m.stack[from:]
	m.stack = m.stack[:from]
	return items, nil
}
