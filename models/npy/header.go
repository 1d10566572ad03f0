// SPDX-License-Identifier: Apache-2.0

package npy

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

const (
	// maxHeader is far above what an array of plain numbers needs; NumPy itself stops at 10,000 bytes.
	maxHeader = 1 << 16
	maxDims   = 64
)

// fault is what a header or an array's data breaks; File.Array adds where.
type fault struct{ want, found string }

// headerPattern is the dictionary that NumPy writes: its keys are sorted, and nothing else is allowed in it.
var headerPattern = regexp.MustCompile(`^\{\s*'descr':\s*('[^']*'|\[.*\])\s*,\s*'fortran_order':\s*(True|False)\s*,\s*'shape':\s*\(([0-9, L]*)\)\s*,?\s*\}\s*$`)

// parse reads header and data of one array.
func (a *Array) parse(file []byte) *fault {
	text, data, bad := split(file)
	if bad != nil {
		return bad
	}
	m := headerPattern.FindStringSubmatch(text)
	if m == nil {
		return &fault{"a header with descr, fortran_order and shape", fmt.Sprintf("%.80q", text)}
	}
	if bad := a.setType(strings.Trim(m[1], "'")); bad != nil {
		return bad
	}
	if bad := a.setShape(m[3]); bad != nil {
		return bad
	}
	a.fortran = m[2] == "True" && len(a.Shape) > 1
	size, ok := a.bytes()
	if !ok || size != uint64(len(data)) {
		return &fault{fmt.Sprintf("%d bytes for %s %v", size, a.descr, a.Shape), fmt.Sprint(len(data))}
	}
	a.data = data
	return nil
}

// split separates the header's text from the data behind it.
func split(file []byte) (text string, data []byte, bad *fault) {
	if len(file) < 10 || string(file[:6]) != arrayMagic {
		return "", nil, &fault{"a NumPy array", fmt.Sprintf("%d bytes that begin with %.8q", len(file), file[:min(8, len(file))])}
	}
	var size, start uint64
	switch version := file[6]; version {
	case 1:
		size, start = uint64(binary.LittleEndian.Uint16(file[8:])), 10
	case 2, 3:
		if len(file) < 12 {
			return "", nil, &fault{"a header", "the end of the file"}
		}
		size, start = uint64(binary.LittleEndian.Uint32(file[8:])), 12
	default:
		return "", nil, &fault{"format version 1, 2 or 3", fmt.Sprint(version)}
	}
	if limit := min(maxHeader, uint64(len(file))-start); size > limit {
		return "", nil, &fault{fmt.Sprintf("a header of at most %d bytes", limit), fmt.Sprint(size)}
	}
	return string(file[start : start+size]), file[start+size:], nil
}

func (a *Array) setType(descr string) *fault {
	a.descr = descr
	if strings.HasPrefix(descr, "[") {
		return &fault{"an array of numbers", "records of several fields"}
	}
	if strings.Contains(descr, "O") {
		return &fault{"an array of numbers", "Python objects, which only a pickle can hold: save the array with a numeric dtype"}
	}
	if len(descr) < 2 || !strings.ContainsRune("<>|=", rune(descr[0])) {
		return &fault{"a type such as '<f4'", fmt.Sprintf("%.20q", descr)}
	}
	a.big = descr[0] == '>'
	a.kind = descr[1:]
	if a.width() == 0 {
		return &fault{"float16, 32 or 64, whole numbers or bools", fmt.Sprintf("type %.20q", descr)}
	}
	return nil
}

func (a *Array) setShape(list string) *fault {
	a.Shape = []int{}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSuffix(strings.TrimSpace(part), "L")
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || len(a.Shape) == maxDims {
			return &fault{fmt.Sprintf("at most %d whole numbers as shape", maxDims), fmt.Sprintf("(%.80s)", list)}
		}
		a.Shape = append(a.Shape, n)
	}
	return nil
}

// bytes is the size of the data that type and shape ask for; ok is false when it does not fit in memory.
func (a *Array) bytes() (n uint64, ok bool) {
	n = uint64(a.width())
	empty := false
	for _, d := range a.Shape {
		empty = empty || d == 0
		// A zero must not hide an overflow beside it.
		hi, lo := bits.Mul64(n, uint64(max(d, 1)))
		if hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = lo
	}
	if empty {
		return 0, true
	}
	return n, true
}
