// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/mapped"
)

// image is a file with a header of that text and n bytes of data.
func image(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

const validHeader = `{"__metadata__":{"format":"pt"},"b":{"dtype":"I64","shape":[2],"data_offsets":[12,28]},` +
	`"a":{"dtype":"F32","shape":[3,1],"data_offsets":[0,12]},"none":{"dtype":"F16","shape":[0,7],"data_offsets":[12,12]},` +
	`"one":{"dtype":"BOOL","shape":[],"data_offsets":[28,29]}}  `

const validData = 29

// hostile is a table of files that must be refused, with a part of the message.
func hostile() map[string]struct {
	file []byte
	want string
} {
	size := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	one := func(fields string, n int) []byte { return image(`{"t":{`+fields+`}}`, n) }
	two := func(a, b string, n int) []byte {
		return image(fmt.Sprintf(`{"a":{"dtype":"U8","shape":[4],"data_offsets":%s},"b":{"dtype":"U8","shape":[4],"data_offsets":%s}}`, a, b), n)
	}
	return map[string]struct {
		file []byte
		want string
	}{
		"empty":               {nil, "header size: want 8 bytes, found the end of the file after 0"},
		"seven bytes":         {make([]byte, 7), "found the end of the file after 7"},
		"no header":           {size(0), "header: want an object that starts with {"},
		"huge header":         {append(size(math.MaxUint64), make([]byte, 100)...), "header size: want at most 100, found 18446744073709551615"},
		"header past the end": {append(size(101), make([]byte, 100)...), "want at most 100, found 101"},
		"space first":         {image(` {}`, 0), "want an object that starts with {"},
		"a list":              {image(`[]`, 0), "want an object that starts with {"},
		"not UTF-8":           {image("{\"\xff\":{}}", 0), "header: want UTF-8"},
		"not JSON":            {image(`{"a":}`, 0), `tensor "a": want an object, found "}"`},
		"unfinished":          {image(`{"t":{"dtype":"F32"`, 0), `tensor "t": want a comma or the object's end, found the end of the header`},
		"something behind":    {image(`{} {}`, 0), "want spaces behind the object"},
		"rubbish behind":      {image(`{}x`, 0), "want spaces behind the object"},
		"metadata of numbers": {image(`{"__metadata__":{"a":1}}`, 0), `__metadata__: want a string, found "1}}"`},
		"metadata a string":   {image(`{"__metadata__":"a"}`, 0), `__metadata__: want an object, found "\"a\"}"`},
		"metadata twice":      {image(`{"__metadata__":{},"__metadata__":{}}`, 0), `header: want each key once, found "__metadata__" twice`},
		"metadata key twice":  {image(`{"__metadata__":{"a":"1","a":"2"}}`, 0), `__metadata__: want each key once, found "a" twice`},
		"tensor twice":        {image(`{"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), `want each key once, found "t" twice`},
		"tensor a number":     {image(`{"t":1}`, 0), `tensor "t": want an object, found "1}"`},
		"tensor null":         {image(`{"t":null}`, 0), `tensor "t": want an object`},
		"field twice":         {one(`"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]`, 1), `found "dtype" twice`},
		"field missing":       {one(`"dtype":"U8","data_offsets":[0,1]`, 1), "want dtype, shape and two data_offsets, found fewer"},
		"field unknown":       {one(`"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1`, 1), `want dtype, shape and data_offsets, found key "x"`},
		"dtype unknown":       {one(`"dtype":"F31","shape":[],"data_offsets":[0,1]`, 1), `want a dtype of the format, found "F31"`},
		"dtype in small":      {one(`"dtype":"u8","shape":[],"data_offsets":[0,1]`, 1), `found "u8"`},
		"dtype a number":      {one(`"dtype":8,"shape":[],"data_offsets":[0,1]`, 1), `tensor "t": want a dtype in quotes, found "8,`},
		"shape a number":      {one(`"dtype":"U8","shape":1,"data_offsets":[0,1]`, 1), `tensor "t": want an array, found "1,`},
		"shape of strings":    {one(`"dtype":"U8","shape":["1"],"data_offsets":[0,1]`, 1), `want whole numbers up to 9223372036854775807, found "\"1`},
		"shape nested":        {one(`"dtype":"U8","shape":[[1]],"data_offsets":[0,1]`, 1), "want whole numbers up to"},
		"shape negative":      {one(`"dtype":"U8","shape":[-1,-1],"data_offsets":[0,1]`, 1), `found "-1,-1]`},
		"shape a fraction":    {one(`"dtype":"U8","shape":[1.0],"data_offsets":[0,1]`, 1), `want a comma or the array's end, found ".0]`},
		"shape an exponent":   {one(`"dtype":"U8","shape":[1e0],"data_offsets":[0,1]`, 1), `want a comma or the array's end, found "e0]`},
		"shape too large":     {one(`"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]`, 1), `found "9223372036854775808]`},
		"shape overflows":     {one(`"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]`, 0), "want a shape of whole bytes that fits in memory"},
		"overflow by a zero":  {one(`"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]`, 0), "fits in memory"},
		"bytes overflow":      {one(`"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]`, 0), "fits in memory"},
		"shape too long":      {one(`"dtype":"U8","shape":[`+strings.Repeat("1,", 200)+`1],"data_offsets":[0,1]`, 1), "want at most 64 numbers, found more"},
		"half a byte":         {one(`"dtype":"F4","shape":[3],"data_offsets":[0,1]`, 1), "want a shape of whole bytes"},
		"offsets backwards":   {one(`"dtype":"U8","shape":[1],"data_offsets":[1,0]`, 1), "found offsets 1 to 0"},
		"three offsets":       {one(`"dtype":"U8","shape":[1],"data_offsets":[0,1,1]`, 1), "want at most 2 numbers"},
		"one offset":          {one(`"dtype":"U8","shape":[1],"data_offsets":[0]`, 1), "found fewer"},
		"size disagrees":      {one(`"dtype":"F32","shape":[1],"data_offsets":[0,3]`, 3), "want data of 4 bytes for F32 [1], found offsets 0 to 3"},
		"beyond the file":     {one(`"dtype":"F32","shape":[1],"data_offsets":[0,4]`, 3), "want data from offset 0 on, inside 3 bytes, found offsets 0 to 4"},
		"offset near the top": {one(`"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]`, 1), "found offsets 9223372036854775806"},
		"bytes behind":        {one(`"dtype":"F32","shape":[1],"data_offsets":[0,4]`, 5), "data: want 4 bytes, as the header says, found 5"},
		"bytes of nothing":    {image(`{}`, 1), "data: want 0 bytes"},
		"hole at the start":   {one(`"dtype":"U8","shape":[1],"data_offsets":[1,2]`, 2), "want data from offset 0 on"},
		"hole between":        {two("[0,4]", "[5,9]", 9), `tensor "b": want data from offset 4 on`},
		"overlapping":         {two("[0,4]", "[3,7]", 7), `tensor "b": want data from offset 4 on`},
		"same data twice":     {two("[0,4]", "[0,4]", 4), `tensor "b": want data from offset 4 on`},
		"shape without comma": {one(`"dtype":"U8","shape":[1 1],"data_offsets":[0,1]`, 1), "want a comma or the array's end"},
		"shape ends in comma": {one(`"dtype":"U8","shape":[1,],"data_offsets":[0,1]`, 1), "want whole numbers"},
		"shape starts in one": {one(`"dtype":"U8","shape":[,1],"data_offsets":[0,1]`, 1), "want whole numbers"},
		"leading zero":        {one(`"dtype":"U8","shape":[01],"data_offsets":[0,1]`, 1), `found "01]`},
		"number at the end":   {image(`{"t":{"shape":[1`, 0), "want a comma or the array's end, found the end"},
		"comma at the end":    {image(`{"__metadata__":{},}`, 0), "header: want a key"},
		"no comma":            {image(`{"__metadata__":{} "a":{}}`, 0), "header: want a comma or the object's end"},
		"no colon":            {image(`{"__metadata__" {}}`, 0), "header: want a colon"},
		"key a number":        {image(`{1:{}}`, 0), "header: want a key"},
		"open string":         {image(`{"a`, 0), "header: want the end of a string"},
		"open escape":         {image(`{"a\`, 0), "header: want the end of a string"},
		"bad escape":          {image(`{"\x":{}}`, 0), "header: want a string of JSON"},
		"control character":   {image("{\"\n\":{}}", 0), "header: want a string of JSON"},
		"NUL behind":          {image("{}\x00", 0), "want spaces behind the object"},
		"same name, escaped":  {image(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0061":{}}`, 0), `found "a" twice`},
		"deep nesting":        {image(`{"t":`+strings.Repeat("[", 20000), 0), `want an object, found "[`},
		"deep nesting in it":  {one(`"shape":`+strings.Repeat("[", 20000), 0), "want whole numbers"},
	}
}

// typed reports whether err is the package's own.
func typed(err error) bool {
	var format *FormatError
	return errors.As(err, &format)
}

// bound is what parsing n bytes may allocate: error text, and what bookkeeping costs for
// the smallest entries, which TestBookkeeping measures at up to 17 times their size, growing maps included.
func bound(n int) uint64 { return 16<<10 + 20*uint64(n) }

// allocated measures all memory that f asks for, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostile(t *testing.T) {
	for name, c := range hostile() {
		t.Run(name, func(t *testing.T) {
			var err error
			spent := allocated(func() { _, _, err = parse("x.safetensors", c.file) })
			// Where int has 32 bits, numbers are too large sooner, with another message.
			if err == nil || strconv.IntSize == 64 && !strings.Contains(err.Error(), c.want) {
				t.Errorf("parse = %v, want an error with %q", err, c.want)
			}
			if !typed(err) || !strings.Contains(err.Error(), "safetensors: x.safetensors: ") {
				t.Errorf("parse = %T %v, want a FormatError that names the file", err, err)
			}
			if limit := bound(len(c.file)); spent > limit {
				t.Errorf("parse of %d bytes allocated %d, want at most %d", len(c.file), spent, limit)
			}
		})
	}
}

// TestBookkeeping fills headers with the smallest entries there are: the dearest a file can be for its size.
func TestBookkeeping(t *testing.T) {
	var tensors, metadata, shapes strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&tensors, `%c"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, ",{"[min(1, 1/(i+1))], i)
		fmt.Fprintf(&metadata, `%c"%x":""`, ",{"[min(1, 1/(i+1))], i)
		fmt.Fprintf(&shapes, `%c"%x":{"dtype":"U8","shape":[%s0],"data_offsets":[0,0]}`, ",{"[min(1, 1/(i+1))], i, strings.Repeat("1,", 63))
	}
	for name, file := range map[string][]byte{
		"tensors":  image(tensors.String()+"}", 0),
		"metadata": image(`{"__metadata__":`+metadata.String()+"}}", 0),
		"shapes":   image(shapes.String()+"}", 0),
	} {
		var err error
		spent := allocated(func() { _, _, err = parse("x.safetensors", file) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d bytes in the file, %d allocated (%.1f times)", name, len(file), spent, float64(spent)/float64(len(file)))
		if limit := bound(len(file)); spent > limit {
			t.Errorf("%s: parse of %d bytes allocated %d, want at most %d", name, len(file), spent, limit)
		}
	}
}

// TestHeaderLimit needs a file that is mostly hole: 100 MB of header are refused unread.
func TestHeaderLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, binary.LittleEndian.AppendUint64(nil, maxHeader+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxHeader+100); err != nil {
		t.Fatal(err)
	}
	m, err := mapped.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	spent := allocated(func() { _, _, err = parse(path, m.Bytes()) })
	if err == nil || !typed(err) || !strings.Contains(err.Error(), "header size: want at most 100000000, found 100000001") {
		t.Errorf("parse = %v", err)
	}
	if spent > bound(0) {
		t.Errorf("parse allocated %d", spent)
	}
}

// TestTruncated cuts a valid file at every byte: only the whole file is one.
func TestTruncated(t *testing.T) {
	whole := image(validHeader, validData)
	metadata, tensors, err := parse("x", whole)
	if err != nil || metadata["format"] != "pt" || len(tensors) != 4 || tensors[0].Name != "a" || len(tensors[3].Data) != 1 {
		t.Fatalf("parse = %v, %v, %v", metadata, tensors, err)
	}
	for n := range whole {
		if _, _, err := parse("x", whole[:n]); err == nil || !typed(err) {
			t.Errorf("parse of %d bytes of %d = %v, want a FormatError", n, len(whole), err)
		}
	}
}

// TestFlipped sets every byte of a valid file to several values: a file or an error, never a panic or a large allocation.
func TestFlipped(t *testing.T) {
	whole := image(validHeader, validData)
	for i := range whole {
		for _, v := range []byte{0, 1, '"', '{', '9', '-', '\\', 0x7f, 0xff, whole[i] + 1} {
			bad := slices.Clone(whole)
			bad[i] = v
			spent := allocated(func() { check(t, bad) })
			if limit := 4 * bound(len(bad)); spent > limit { // check writes the file again, too
				t.Errorf("byte %d = %#x: allocated %d, want at most %d", i, v, spent, limit)
			}
		}
	}
}

// check parses data; a refusal must be typed, and what is accepted must be consistent, and equal when written and read again.
func check(t *testing.T, data []byte) {
	t.Helper()
	metadata, tensors, err := parse("x", data)
	if err != nil {
		if !typed(err) {
			t.Fatalf("parse = %T %v, want a FormatError", err, err)
		}
		return
	}
	text, err := encodeHeader("y", tensors, metadata)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	var again bytes.Buffer
	again.Write(text)
	for _, x := range tensors {
		if x.DType.Bits() >= 8 && x.Len()*x.DType.Bits()/8 != len(x.Data) {
			t.Fatalf("tensor %q %s %v has %d bytes", x.Name, x.DType, x.Shape, len(x.Data))
		}
		again.Write(x.Data)
	}
	metadata2, tensors2, err := parse("y", again.Bytes())
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	byName := func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(tensors, byName)
	slices.SortFunc(tensors2, byName)
	if !maps.Equal(metadata, metadata2) || !slices.EqualFunc(tensors, tensors2, sameTensor) {
		t.Fatalf("written and read again, the file differs")
	}
}

func FuzzSafetensors(f *testing.F) {
	f.Add(image(validHeader, validData))
	f.Add(image(`{}`, 0))
	f.Add(image(`{"\u00e9":{"data_offsets":[0,2],"shape":[4],"dtype":"F4"}}`, 2))
	for _, c := range hostile() {
		if len(c.file) < 4096 {
			f.Add(c.file)
		}
	}
	f.Fuzz(check)
}
