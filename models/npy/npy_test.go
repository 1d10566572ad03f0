// SPDX-License-Identifier: Apache-2.0

package npy

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

// array is a .npy file with that header's fields.
func array(descr, order, shape string, data []byte) []byte {
	head := fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape)
	return file(1, head, data)
}

func file(version byte, head string, data []byte) []byte {
	b := []byte{0x93, 'N', 'U', 'M', 'P', 'Y', version, 0}
	if version == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(head)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(head)))
	}
	return append(append(b, head...), data...)
}

func floats(v ...float32) (out []byte) {
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

func save(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.npz")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func packed(t testing.TB, method uint16, members map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range members {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArrays(t *testing.T) {
	for _, tc := range []struct {
		name  string
		data  []byte
		shape []int
		want  []float32
		ints  bool
	}{
		{"matrix", array("'<f4'", "False", "(2, 3)", floats(1, 2, 3, 4, 5, 6)), []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}, false},
		{"column-major", array("'<f4'", "True", "(2, 3)", floats(1, 4, 2, 5, 3, 6)), []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}, false},
		{"column-major, three dimensions", array("'<f4'", "True", "(2, 1, 2)", floats(1, 3, 2, 4)), []int{2, 1, 2}, []float32{1, 2, 3, 4}, false},
		{"vector", array("'<f4'", "True", "(2,)", floats(1, 2)), []int{2}, []float32{1, 2}, false},
		{"one number", array("'<f4'", "False", "()", floats(7)), []int{}, []float32{7}, false},
		{"nothing", array("'<f4'", "False", "(0, 3)", nil), []int{0, 3}, nil, false},
		{"half", array("'<f2'", "False", "(2,)", []byte{0, 0x3c, 0, 0xc0}), []int{2}, []float32{1, -2}, false},
		{"double", array("'<f8'", "False", "(1,)", binary.LittleEndian.AppendUint64(nil, math.Float64bits(2.5))), []int{1}, []float32{2.5}, false},
		{"big-endian", array("'>f4'", "False", "(1,)", binary.BigEndian.AppendUint32(nil, math.Float32bits(2.5))), []int{1}, []float32{2.5}, false},
		{"version 2", file(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", floats(3)), []int{1}, []float32{3}, false},
		{"whole", array("'<i8'", "False", "(2,)", []byte{255, 255, 255, 255, 255, 255, 255, 255, 3, 0, 0, 0, 0, 0, 0, 0}), []int{2}, []float32{-1, 3}, true},
		{"short", array("'<i2'", "False", "(1,)", []byte{254, 255}), []int{1}, []float32{-2}, true},
		{"bytes", array("'|u1'", "False", "(2,)", []byte{255, 1}), []int{2}, []float32{255, 1}, true},
		{"bools", array("'|b1'", "False", "(2,)", []byte{0, 1}), []int{2}, []float32{0, 1}, true},
	} {
		for kind, data := range map[string][]byte{
			"":   tc.data,
			"in": packed(t, zip.Store, map[string][]byte{"w.npy": tc.data, "readme": nil}),
			"de": packed(t, zip.Deflate, map[string][]byte{"w.npy": tc.data}),
		} {
			f, err := Open(save(t, data))
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			a, err := f.Array(f.Names[0])
			if err != nil || !slices.Equal(a.Shape, tc.shape) {
				t.Fatalf("%s: shape %v, %v, want %v", tc.name, a.Shape, err, tc.shape)
			}
			got, err := a.AppendFloat32(nil)
			if tc.ints {
				var whole []int64
				whole, err = a.AppendInt64(nil)
				for _, n := range whole {
					got = append(got, float32(n))
				}
			} else if _, err := a.AppendInt64(nil); err == nil {
				t.Errorf("%s: AppendInt64 of floats = nil, want an error", tc.name)
			}
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("%s%s: %v, %v, want %v", kind, tc.name, got, err, tc.want)
			}
			if err := errors.Join(f.Close(), f.Close()); err != nil {
				t.Error(err)
			}
		}
	}
}

func hostile() map[string]struct {
	data []byte
	want string
} {
	big := "'<f4'"
	return map[string]struct {
		data []byte
		want string
	}{
		"objects":            {array("'|O'", "False", "(1,)", make([]byte, 8)), "Python objects"},
		"records":            {array("[('a', '<f4')]", "False", "(1,)", make([]byte, 4)), "records of several fields"},
		"text":               {array("'<U3'", "False", "(1,)", make([]byte, 12)), `type "<U3"`},
		"void":               {array("'|V2'", "False", "(1,)", make([]byte, 2)), `type "|V2"`},
		"complex":            {array("'<c8'", "False", "(1,)", make([]byte, 8)), `type "<c8"`},
		"short data":         {array(big, "False", "(2,)", floats(1)), "want 8 bytes for <f4 [2], found 4"},
		"long data":          {array(big, "False", "(1,)", floats(1, 2)), "want 4 bytes for <f4 [1], found 8"},
		"huge":               {array(big, "False", "(1000000, 1000000)", nil), "found 0"},
		"overflow":           {array(big, "False", "(4294967296, 4294967296)", nil), "found 0"},
		"overflow by a zero": {array(big, "False", "(0, 4294967296, 4294967296)", nil), "found 0"},
		"beyond int":         {array(big, "False", "(99999999999999999999,)", nil), "whole numbers as shape"},
		"negative":           {array(big, "False", "(-1,)", nil), "descr, fortran_order and shape"},
		"many dimensions":    {array(big, "False", "("+strings.Repeat("1,", 65)+")", floats(1)), "at most 64"},
		"no header":          {[]byte("\x93NUMPY\x01\x00"), "8 bytes that begin"},
		"version 9":          {file(9, "{}", nil), "version 1, 2 or 3, found 9"},
		"long header":        {[]byte("\x93NUMPY\x01\x00\xff\xff{}"), "header of at most 2 bytes, found 65535"},
		"huge header":        {append([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), make([]byte, 100)...), "header of at most 100"},
		"cut header":         {[]byte("\x93NUMPY\x02\x00\xff\xff"), "a header, found the end"},
		"code":               {file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': __import__('os')}", floats(1)), "descr, fortran_order and shape"},
		"no quotes":          {array("<f4", "False", "(1,)", floats(1)), "descr, fortran_order and shape"},
		"nothing of a type":  {array("''", "False", "(1,)", floats(1)), "a type such as"},
	}
}

func TestHostile(t *testing.T) {
	for name, c := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var a Array
		bad := a.parse(c.data)
		runtime.ReadMemStats(&after)
		if bad == nil || !strings.Contains("want "+bad.want+", found "+bad.found, c.want) {
			t.Errorf("%s: parse = %+v, want a fault with %q", name, bad, c.want)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 64<<10 {
			t.Errorf("%s: %d bytes of file allocated %d", name, len(c.data), spent)
		}
		f, err := Open(save(t, packed(t, zip.Deflate, map[string][]byte{"w.npy": c.data})))
		if err != nil {
			t.Fatal(err)
		}
		var format *FormatError
		if _, err := f.Array("w"); !errors.As(err, &format) || format.What != `array "w"` {
			t.Errorf("%s: Array = %v, want a *FormatError that names the array", name, err)
		}
		if _, err := f.Array("v"); err == nil {
			t.Error("an array that is not there: nil, want an error")
		}
		_ = f.Close()
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":       {nil, `begin with ""`},
		"text":        {[]byte("hello"), `begin with "hello"`},
		"no arrays":   {packed(t, zip.Store, map[string][]byte{"x": nil}), "members named *.npy"},
		"cut archive": {packed(t, zip.Store, map[string][]byte{"x.npy": array("'<f4'", "False", "(1,)", floats(1))})[:60], "zip"},
	} {
		if _, err := Open(save(t, c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Open = %v, want an error with %q", name, err, c.want)
		}
	}
}

// TestBomb claims sizes in an archive that its bytes cannot have.
func TestBomb(t *testing.T) {
	good := packed(t, zip.Deflate, map[string][]byte{"w.npy": array("'<f4'", "False", "(2,)", floats(1, 2))})
	at := bytes.LastIndex(good, []byte("PK\x01\x02")) // the central directory: uncompressed size at 24, compressed at 20
	for _, claim := range []struct{ place, size uint32 }{{24, 1 << 31}, {24, 1 << 20}, {24, 3}, {20, 1 << 31}} {
		bad := slices.Clone(good)
		binary.LittleEndian.PutUint32(bad[at+int(claim.place):], claim.size)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Open(save(t, bad))
		if err == nil {
			_, err = f.Array("w")
			_ = f.Close()
		}
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("size %d at %d: nil, want an error", claim.size, claim.place)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 1<<20 {
			t.Errorf("size %d at %d: allocated %d", claim.size, claim.place, spent)
		}
	}
}

// TestGemmaScopeFile reads what NumPy itself wrote.
func TestGemmaScopeFile(t *testing.T) {
	f, err := Open(fixture.Path(t, "fixtures-dictionaries/formats/gemma-scope/layer_1/width_tiny/average_l0_9/params.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	slices.Sort(f.Names)
	if want := []string{"W_dec", "W_enc", "b_dec", "b_enc", "threshold"}; !slices.Equal(f.Names, want) {
		t.Errorf("arrays %v, want %v", f.Names, want)
	}
	a, err := f.Array("W_enc")
	if err != nil || !slices.Equal(a.Shape, []int{32, 96}) || a.Type() != "<f4" {
		t.Errorf("W_enc: %v %s, %v", a.Shape, a.Type(), err)
	}
}

func FuzzNpy(f *testing.F) {
	f.Add(array("'<f4'", "True", "(2, 3)", floats(1, 4, 2, 5, 3, 6)))
	f.Add(array("'>i2'", "False", "(2,)", []byte{1, 2, 3, 4}))
	for _, c := range hostile() {
		f.Add(c.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var a Array
		if a.parse(data) != nil {
			return
		}
		if a.Len()*a.width() != len(a.data) {
			t.Fatalf("%v of %s has %d bytes", a.Shape, a.descr, len(a.data))
		}
		v, err1 := a.AppendFloat32(nil)
		n, err2 := a.AppendInt64(nil)
		if err1 == nil && len(v) != a.Len() || err2 == nil && len(n) != a.Len() {
			t.Fatalf("%v: %d floats, %d numbers", a.Shape, len(v), len(n))
		}
	})
}
