// SPDX-License-Identifier: Apache-2.0

package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
)

// archive is a torch zip file with that pickle and one storage of float32 numbers 0, 1, 2, ...
func archive(t testing.TB, program string, method uint16) []byte {
	t.Helper()
	var data []byte
	for i := range 12 {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range []struct {
		name string
		data []byte
	}{{"x/data.pkl", []byte(program)}, {"x/byteorder", []byte("little")}, {"x/data/0", data}, {"x/version", []byte("3\n")}} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		if err == nil {
			_, err = w.Write(m.data)
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

func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pt")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	store     = "((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x0ctQ"
	rebuild   = "ctorch._utils\n_rebuild_tensor_v2\n" + store
	hooksNone = "\x89ccollections\nOrderedDict\n)RtR"
	whole     = rebuild + "K\x00(K\x03K\x04t(K\x04K\x01t" + hooksNone // 3 x 4
)

func TestTensors(t *testing.T) {
	for _, tc := range []struct {
		name, program string
		shape         []int
		want          []float32
	}{
		{"contiguous", whole, []int{3, 4}, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"transposed view", rebuild + "K\x00(K\x04K\x03t(K\x01K\x04t" + hooksNone, []int{4, 3}, []float32{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}},
		{"slice", rebuild + "K\x05(K\x02K\x02t(K\x04K\x01t" + hooksNone, []int{2, 2}, []float32{5, 6, 9, 10}},
		{"scalar", rebuild + "K\x07))" + hooksNone, nil, []float32{7}},
		{"empty", rebuild + "K\x00(K\x00K\x04t(K\x04K\x01t" + hooksNone, []int{0, 4}, nil},
		{"parameter", "ctorch._utils\n_rebuild_parameter\n(" + whole + "\x88ccollections\nOrderedDict\n)RtR", []int{3, 4}, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"named type", "ctorch._utils\n_rebuild_tensor_v3\n" + strings.Replace(store, "ctorch\nFloatStorage", "ctorch.storage\nUntypedStorage", 1) +
			"K\x02(K\x02t(K\x01t\x89ccollections\nOrderedDict\n)Rctorch\nfloat32\ntR", []int{2}, []float32{2, 3}},
	} {
		for _, method := range []uint16{zip.Store, zip.Deflate} {
			f, err := Open(write(t, archive(t, "\x80\x02"+tc.program+".", method)))
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			tensor, ok := f.Root.(Tensor)
			if !ok {
				t.Fatalf("%s: %T", tc.name, f.Root)
			}
			got, err := tensor.AppendFloat32(nil)
			if err != nil || !slices.Equal(got, tc.want) || !slices.Equal(tensor.Shape, tc.shape) {
				t.Errorf("%s: %v %v, %v, want %v %v", tc.name, tensor.Shape, got, err, tc.shape, tc.want)
			}
			if _, err := tensor.AppendInt64(nil); err == nil {
				t.Errorf("%s: AppendInt64 of floats = nil, want an error", tc.name)
			}
			if err := errors.Join(f.Close(), f.Close()); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestContainers holds a state_dict with the attributes that torch gives it, and every plain value.
func TestContainers(t *testing.T) {
	program := "\x80\x02ccollections\nOrderedDict\n)R(" +
		"X\x01\x00\x00\x00w" + whole +
		"X\x01\x00\x00\x00kJ\xff\xff\xff\xff" + // -1
		"X\x01\x00\x00\x00l\x8a\x05\x00\x00\x00\x00\x01" + // 2^32
		"X\x01\x00\x00\x00fG\x3f\xf8\x00\x00\x00\x00\x00\x00" + // 1.5
		"X\x01\x00\x00\x00sX\x02\x00\x00\x00hiq\x01" +
		"X\x01\x00\x00\x00nN" +
		"X\x01\x00\x00\x00b\x88" +
		"X\x01\x00\x00\x00e](K\x01h\x01e" +
		"X\x01\x00\x00\x00d}(K\x01K\x02u" +
		"X\x01\x00\x00\x00tctorch\nSize\n(K\x03K\x04t\x85R" +
		"u}X\x09\x00\x00\x00_metadata}sb."
	f, err := Open(write(t, archive(t, program, zip.Store)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := f.Root.(*Dict)
	for key, want := range map[string]Value{"k": int64(-1), "l": int64(1) << 32, "f": 1.5, "s": "hi", "n": nil, "b": true} {
		if got, ok := d.Get(key); !ok || got != want {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
	if got, _ := d.Get("e"); !slices.Equal(got.(*List).Items, []Value{int64(1), "hi"}) {
		t.Errorf("list = %v", got)
	}
	if got, _ := d.Get("t"); !slices.Equal(got.(Tuple), Tuple{int64(3), int64(4)}) {
		t.Errorf("size = %v", got)
	}
	if got, _ := d.Get("d"); len(got.(*Dict).Keys) != 1 || got.(*Dict).Values[0] != int64(2) {
		t.Errorf("dictionary = %v", got)
	}
	if _, ok := d.Get("_metadata"); ok || len(d.Keys) != 10 {
		t.Errorf("keys = %v", d.Keys)
	}
}

// hostile are pickles that must be refused, with a part of the message.
func hostile() map[string]struct{ program, want string } {
	return map[string]struct{ program, want string }{
		"os.system":            {"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", `"posix.system", which is never called`},
		"eval":                 {"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", `"__builtin__.eval"`},
		"stack global":         {"\x80\x04\x8c\x02os\x8c\x06system\x93.", `"os.system"`},
		"a module":             {"\x80\x02c__main__\nSAE\n)\x81}b.", `"__main__.SAE"`},
		"load from bytes":      {"\x80\x02ctorch.storage\n_load_from_bytes\nX\x01\x00\x00\x00a\x85R.", `"torch.storage._load_from_bytes"`},
		"numpy":                {"\x80\x02cnumpy\nload\n.", `"numpy.load"`},
		"torch's own":          {"\x80\x02ctorch\nload\n.", `"torch.load"`},
		"an odd storage":       {"\x80\x02ctorch\nEvilStorage\n.", `"torch.EvilStorage"`},
		"instance":             {"\x80\x02(i__main__\nX\n.", "opcode 0x69"},
		"new object":           {"\x80\x02ccollections\nOrderedDict\n)\x81.", "holds data alone"},
		"extension":            {"\x80\x02\x82\x01.", "opcode 0x82"},
		"text integer":         {"I1\n.", "opcode 0x49"},
		"old protocol":         {"\x80\x01N.", "protocol 2 to 5, found 1"},
		"empty":                {"", "want 1 bytes, found the end after 0"},
		"no stop":              {"\x80\x02N", "the end after 0"},
		"nothing left":         {"\x80\x02.", "found 0 values"},
		"two values":           {"\x80\x02NN.", "found 2 values"},
		"an open mark":         {"\x80\x02(N.", "1 marks"},
		"a name alone":         {"\x80\x02ctorch\nFloatStorage\n.", "the name torch.FloatStorage"},
		"a storage alone":      {"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x0ctQ.", "bare storage"},
		"pop beyond":           {"\x80\x020.", "a value on the stack"},
		"pop beyond a mark":    {"\x80\x02N(0.", "a value on the stack"},
		"no mark":              {"\x80\x02t.", "a mark, found none"},
		"memo unknown":         {"\x80\x02h\x05.", "nothing under 5"},
		"memo of nothing":      {"\x80\x02q\x05.", "empty stack"},
		"long string":          {"\x80\x02X\xff\xff\xff\x7fab.", "want 2147483647 bytes"},
		"long number":          {"\x80\x02\x8a\x09000000000.", "at most 8 bytes"},
		"key a list":           {"\x80\x02}(]Nu.", "keys that are strings or numbers"},
		"odd pairs":            {"\x80\x02}(Nu.", "pairs for it"},
		"append to nothing":    {"\x80\x02Na.", "a list to append to"},
		"storage unknown":      {"\x80\x02" + strings.Replace(whole, "\x01\x00\x00\x000", "\x01\x00\x00\x009", 1) + ".", `want member "x/data/9"`},
		"storage elsewhere":    {"\x80\x02" + strings.Replace(whole, "\x01\x00\x00\x000", "\x0b\x00\x00\x00../data.pkl", 1) + ".", "none of that name"},
		"too long":             {"\x80\x02" + rebuild + "K\x00(K\x0dt(K\x01t" + hooksNone + ".", "lie in its storage of 12"},
		"beyond the end":       {"\x80\x02" + rebuild + "K\x01(K\x03K\x04t(K\x04K\x01t" + hooksNone + ".", "an element at 12"},
		"stride beyond":        {"\x80\x02" + rebuild + "K\x00(K\x02t(K\x0ct" + hooksNone + ".", "an element at 12"},
		"spread by stride 0":   {"\x80\x02" + rebuild + "K\x00(JA\x42\x0f\x00t(K\x00t" + hooksNone + ".", "lie in its storage of 12"},
		"overflow":             {"\x80\x02" + rebuild + "K\x00(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x04t(K\x04K\x01t" + hooksNone + ".", "lie in its storage"},
		"negative size":        {"\x80\x02" + rebuild + "K\x00(J\xff\xff\xff\xfft(K\x01t" + hooksNone + ".", "offset, size and stride"},
		"negative offset":      {"\x80\x02" + rebuild + "J\xff\xff\xff\xff(K\x01t(K\x01t" + hooksNone + ".", "offset, size and stride"},
		"stride missing":       {"\x80\x02" + rebuild + "K\x00(K\x01t)" + hooksNone + ".", "offset, size and stride"},
		"few arguments":        {"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "0 arguments"},
		"tensor of a string":   {"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.", "a tensor's storage"},
		"call of a string":     {"\x80\x02X\x01\x00\x00\x00a)R.", "a known function"},
		"call of a class":      {"\x80\x02ctorch\nFloatStorage\n)R.", "a call of torch.FloatStorage"},
		"ids of another kind":  {"\x80\x02NQ.", "persistent id"},
		"attributes of a list": {"\x80\x02]}b.", "attributes of a dictionary or a tensor"},
		"pairs of a string":    {"\x80\x02ccollections\nOrderedDict\nN\x85R.", "pairs for an OrderedDict"},
	}
}

func TestHostile(t *testing.T) {
	for name, c := range hostile() {
		_, err := Open(write(t, archive(t, c.program, zip.Store)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Open = %v, want an error with %q", name, err, c.want)
		}
		var e *Error
		if strings.Contains(c.want, "never called") && (!errors.As(err, &e) || e.Global != "posix.system" || e.Path == "") {
			t.Errorf("%s: %#v, want an *Error that names the global", name, err)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty file":      {nil, "an empty file"},
		"bare pickle":     {[]byte("\x80\x02}."), "a bare pickle"},
		"tar":             {append(make([]byte, 257), "ustar\x0000"...), "tar archive"},
		"LFS pointer":     {[]byte("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"},
		"text":            {[]byte("hello"), `begin with "hello"`},
		"cut archive":     {archive(t, "\x80\x02N.", zip.Store)[:200], "zip"},
		"another archive": {emptyZip(t), "a member data.pkl"},
	} {
		if name == "tar" {
			c.data[0] = 'x'
		}
		if _, err := Open(write(t, c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Open = %v, want an error with %q", name, err, c.want)
		}
	}
}

func emptyZip(t *testing.T) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("other")
	if err == nil {
		_, err = w.Write([]byte("x"))
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWorkIsBounded runs programs that ask for much with few bytes.
func TestWorkIsBounded(t *testing.T) {
	for name, program := range map[string]string{
		"marks":    "\x80\x02" + strings.Repeat("(", 1<<20) + ".",
		"lists":    "\x80\x02" + strings.Repeat("]", 1<<20) + ".",
		"memo":     "\x80\x02N" + strings.Repeat("\x94", 1<<20) + ".",
		"doubling": "\x80\x02]q\x00" + strings.Repeat("](h\x00h\x00eq\x00", 1<<16) + ".",
		"copies":   "\x80\x02](" + strings.Repeat("N\x8c\x01a\x86", 1<<10) + "e0ccollections\nOrderedDict\nq\x010" + strings.Repeat("h\x01)R0", 1<<16) + "N.",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Open(write(t, archive(t, program, zip.Store)))
		runtime.ReadMemStats(&after)
		// The dearest opcode is one byte for an empty list: 24 bytes, an interface of 16, and the growing stack.
		if spent, limit := after.TotalAlloc-before.TotalAlloc, uint64(160*len(program)+1<<20); spent > limit {
			t.Errorf("%s: %d bytes of pickle allocated %d, want at most %d (%v)", name, len(program), spent, limit, err)
		}
		if f != nil {
			_ = f.Close()
		}
	}
}

// TestTruncated cuts and spoils a valid pickle at every byte: values or an error, never a panic.
func TestTruncated(t *testing.T) {
	program := "\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00w" + whole + "u."
	for i := range program {
		check(t, []byte(program[:i]))
		for _, v := range []byte{0, 1, '.', '(', 'R', 'Q', 0x7f, 0xff} {
			bad := []byte(program)
			bad[i] = v
			check(t, bad)
		}
	}
}

// check runs a program and reads what it gives; a refusal must be typed.
func check(t *testing.T, program []byte) {
	t.Helper()
	m := machine{text: program, memo: map[uint32]Value{}, storage: func(key string) ([]byte, error) {
		if key != "0" {
			return nil, &Error{}
		}
		return make([]byte, 48), nil
	}}
	v, err := m.run()
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("run(%q) = %T, want an *Error", program, err)
	}
	visit(t, v, 4)
}

func visit(t *testing.T, v Value, depth int) {
	switch v := v.(type) {
	case Tensor:
		if n := v.Len(); n > 48/v.elem.width {
			t.Fatalf("a tensor of %d elements from 48 bytes", n)
		}
		_, _ = v.AppendFloat32(nil)
		_, _ = v.AppendInt64(nil)
	case *Dict:
		for i := 0; i < len(v.Values) && depth > 0; i++ {
			visit(t, v.Values[i], depth-1)
		}
	}
}

func FuzzPickle(f *testing.F) {
	f.Add([]byte("\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00w" + whole + "u}X\x09\x00\x00\x00_metadata}sb."))
	for _, c := range hostile() {
		f.Add([]byte(c.program))
	}
	f.Fuzz(check)
}

// TestWritten reads what Write makes, and what torch itself wrote beside the same tensors in safetensors.
func TestWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "atoms.pt")
	x := safetensors.Float32Tensor("", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err := Write(path, "float32", x.Shape, x.Data); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := f.Root.(Tensor).AppendFloat32(nil)
	if err != nil || !slices.Equal(got, []float32{1, 2, 3, 4, 5, 6}) || !slices.Equal(f.Root.(Tensor).Shape, []int{2, 3}) {
		t.Errorf("%v, %v", got, err)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, m := range z.File {
		if at, err := m.DataOffset(); err != nil || at%64 != 0 {
			t.Errorf("%s lies at %d, %v, want a multiple of 64", m.Name, at, err)
		}
	}
	if err := Write(path, "float16", []int{1}, []byte{0, 0}); err == nil {
		t.Error("Write of float16 = nil, want an error")
	}
	if err := Write(path, "int64", []int{2}, []byte{0, 0}); err == nil {
		t.Error("Write of two bytes = nil, want an error")
	}
}

func TestFilesOfTorch(t *testing.T) {
	root := fixture.Path(t, "fixtures-dictionaries/formats")
	files, err := filepath.Glob(filepath.Join(root, "*", "ae.pt"))
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		twin, err := safetensors.Open(strings.TrimSuffix(path, ".pt") + ".safetensors")
		if err != nil {
			t.Fatal(err)
		}
		defer twin.Close()
		d := f.Root.(*Dict)
		if len(d.Keys) != len(twin.Tensors) {
			t.Errorf("%s: %d tensors, want %d", path, len(d.Keys), len(twin.Tensors))
		}
		for _, want := range twin.Tensors {
			v, _ := d.Get(want.Name)
			got, ok := v.(Tensor)
			if !ok || !slices.Equal(got.Shape, want.Shape) || !slices.Equal(values(t, got), values(t, want)) {
				t.Errorf("%s: %s differs", path, want.Name)
			}
		}
	}
}

type reader interface {
	AppendFloat32([]float32) ([]float32, error)
	AppendInt64([]int64) ([]int64, error)
}

func values(t *testing.T, x reader) []float32 {
	t.Helper()
	if v, err := x.AppendFloat32(nil); err == nil {
		return v
	}
	ints, err := x.AppendInt64(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v []float32
	for _, i := range ints {
		v = append(v, float32(i))
	}
	return v
}
