// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab/trimtab/internal/fixture"
)

// open opens a file for the test's length.
func open(tb testing.TB, path string) *File {
	tb.Helper()
	f, err := Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// pack lays values out as a file has them.
func pack(t *testing.T, values any) []byte {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWriteBytes compares with the bytes that the reference library wrote (Python safetensors 0.8.0, numpy.save).
func TestWriteBytes(t *testing.T) {
	want, err := hex.DecodeString("00010000000000007b225f5f6d657461646174615f5f223a7b2261223a22c3bc3c222c227a223a2231227d2c2261223a7b22647479706" +
		"5223a22493634222c227368617065223a5b325d2c22646174615f6f666673657473223a5b302c31365d7d2c2262223a7b226474797065223a22463332222c227368617065223a5b335d2c2" +
		"2646174615f6f666673657473223a5b31362c32385d7d2c2264223a7b226474797065223a22463136222c227368617065223a5b5d2c22646174615f6f666673657473223a5b32382c33305d7d2c2263223a7b226474797065223a225538222c227368617065223a5b352c315d2c22646174615f6f666673657473223a5b33302c33355d7d7d20" +
		"00000000000000000100000000000000000000000000803f00000040003e0001020304")
	if err != nil {
		t.Fatal(err)
	}
	tensors := []Tensor{
		Float32Tensor("b", []float32{0, 1, 2}, 3),
		{Name: "a", DType: I64, Shape: []int{2}, Data: pack(t, []int64{0, 1})},
		{Name: "c", DType: U8, Shape: []int{5, 1}, Data: []byte{0, 1, 2, 3, 4}},
		{Name: "d", DType: F16, Data: pack(t, uint16(0x3e00))},
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Write(path, tensors, map[string]string{"z": "1", "a": "ü<"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("Write = %q, want %q", got, want)
	}
}

// TestRewriteOthers writes every reference file again, all of which Python's safetensors wrote: the same bytes. Files
// with metadata are compared by content, since their writer orders it at random.
func TestRewriteOthers(t *testing.T) {
	root := fixture.Path(t, "")
	count := 0
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".safetensors") {
			return err
		}
		count++
		f := open(t, path)
		copied := filepath.Join(t.TempDir(), "x.safetensors")
		if err := Write(copied, f.Tensors, f.Metadata); err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(copied)
		if err != nil {
			return err
		}
		if f.Metadata == nil && !bytes.Equal(got, want) {
			t.Errorf("%s: written again, the file differs", path)
		}
		if again := open(t, copied); !maps.Equal(again.Metadata, f.Metadata) || !slices.EqualFunc(again.Tensors, f.Tensors, sameTensor) {
			t.Errorf("%s: written and read again, the content differs", path)
		}
		return nil
	})
	if err != nil || count < 100 {
		t.Errorf("%d files, %v: want more than 100", count, err)
	}
}

func sameTensor(a, b Tensor) bool {
	return a.Name == b.Name && a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Data, b.Data)
}

func TestConversions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	tensors := []Tensor{
		{Name: "f64", DType: F64, Shape: []int{2}, Data: pack(t, []float64{1.5, -2})},
		{Name: "f32", DType: F32, Shape: []int{2}, Data: pack(t, []float32{1.5, -2})},
		{Name: "f16", DType: F16, Shape: []int{2}, Data: pack(t, []uint16{0x3e00, 0xc000})},
		{Name: "bf16", DType: BF16, Shape: []int{2}, Data: pack(t, []uint16{0x3fc0, 0xc000})},
		{Name: "i64", DType: I64, Shape: []int{2}, Data: pack(t, []int64{math.MinInt64, 7})},
		{Name: "i32", DType: I32, Shape: []int{2}, Data: pack(t, []int32{math.MinInt32, 7})},
		{Name: "i16", DType: I16, Shape: []int{2}, Data: pack(t, []int16{-32768, 7})},
		{Name: "i8", DType: I8, Shape: []int{2}, Data: pack(t, []int8{-128, 7})},
		{Name: "u64", DType: U64, Shape: []int{2}, Data: pack(t, []uint64{math.MaxInt64, 7})},
		{Name: "u64.large", DType: U64, Shape: []int{1}, Data: pack(t, []uint64{1 << 63})},
		{Name: "u32", DType: U32, Shape: []int{2}, Data: pack(t, []uint32{math.MaxUint32, 7})},
		{Name: "u16", DType: U16, Shape: []int{2}, Data: pack(t, []uint16{65535, 7})},
		{Name: "u8", DType: U8, Shape: []int{2}, Data: []byte{255, 7}},
		{Name: "bool", DType: Bool, Shape: []int{2}, Data: []byte{1, 0}},
		{Name: "fp8", DType: "F8_E4M3", Shape: []int{2}, Data: []byte{1, 0}},
		{Name: "fp4", DType: "F4", Shape: []int{4}, Data: []byte{1, 0}},
	}
	if err := Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	for _, name := range []string{"f64", "f32", "f16", "bf16"} {
		got, err := f.Float32(name, -1)
		if err != nil || !slices.Equal(got, []float32{1.5, -2}) {
			t.Errorf("Float32(%s) = %v, %v, want [1.5 -2]", name, got, err)
		}
	}
	for name, first := range map[string]int64{"i64": math.MinInt64, "i32": math.MinInt32, "i16": -32768, "i8": -128, "u64": math.MaxInt64, "u32": math.MaxUint32, "u16": 65535, "u8": 255} {
		x, _ := f.Tensor(name)
		if got, err := x.AppendInt64([]int64{1}); err != nil || !slices.Equal(got, []int64{1, first, 7}) {
			t.Errorf("%s: AppendInt64 = %v, %v, want [1 %d 7]", name, got, err, first)
		}
	}
	if x, _ := f.Tensor("bool"); !slices.Equal(first(x.AppendInt64(nil)), []int64{1, 0}) {
		t.Errorf("bool: AppendInt64 = %v", first(x.AppendInt64(nil)))
	}
	if x, _ := f.Tensor("f16"); !slices.Equal(first(x.AppendFloat32([]float32{9})), []float32{9, 1.5, -2}) {
		t.Errorf("f16: AppendFloat32 = %v", first(x.AppendFloat32([]float32{9})))
	}
	for name, want := range map[string]string{
		"i64": `tensor "i64": want F64, F32, F16 or BF16, found I64`, "fp8": "found F8_E4M3", "none": `tensor "none": want it in the file, found 16 others`,
	} {
		if _, err := f.Float32(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Float32(%s) = %v, want an error with %q", name, err, want)
		}
	}
	if _, err := f.Float32("f32", 3); err == nil || !strings.Contains(err.Error(), `tensor "f32": want shape [3], found [2]`) {
		t.Errorf("Float32 of another shape = %v", err)
	}
	for name, want := range map[string]string{"f32": "want a type of whole numbers, found F32", "u64.large": "want numbers below 2^63, found 9223372036854775808"} {
		x, _ := f.Tensor(name)
		if _, err := x.AppendInt64(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: AppendInt64 = %v, want an error with %q", name, err, want)
		}
	}
}

func first[T any](v T, _ error) T { return v }

// TestFixture reads values that the fixtures' own description promises.
func TestFixture(t *testing.T) {
	f := open(t, fixture.Path(t, "fixtures/models/llama/reference.safetensors"))
	ids, ok := f.Tensor("p0.input_ids")
	if !ok || ids.DType != I64 || !slices.Equal(ids.Shape, []int{7}) {
		t.Fatalf("p0.input_ids = %v", ids)
	}
	post, err := f.Float32("p0.resid_post.0", 7, -1)
	if err != nil {
		t.Fatal(err)
	}
	pre, err := f.Float32("p0.resid_pre.1", 7, -1)
	if err != nil || !slices.Equal(post, pre) {
		t.Errorf("resid_post.0 differs from resid_pre.1 (%v), want them bit-equal", err)
	}
	folder := open(t, fixture.Path(t, "fixtures/models/llama"))
	if x, ok := folder.Tensor("model.embed_tokens.weight"); !ok || x.DType != F32 || len(x.Shape) != 2 {
		t.Errorf("model.embed_tokens.weight of the folder = %v %v", x.DType, x.Shape)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		tensors []Tensor
		want    string
	}{
		"twice":        {[]Tensor{Float32Tensor("a", nil, 0), Float32Tensor("a", nil, 0)}, `tensor "a": want a new name`},
		"metadata key": {[]Tensor{Float32Tensor("__metadata__", nil, 0)}, "want a new name"},
		"not UTF-8":    {[]Tensor{Float32Tensor("\xff", nil, 0)}, "want a new name"},
		"wrong shape":  {[]Tensor{Float32Tensor("a", []float32{1}, 2)}, "8 bytes for F32 [2], found 4 bytes"},
		"negative":     {[]Tensor{Float32Tensor("a", []float32{1}, -1, -1)}, "for F32 [-1 -1]"},
		"unknown type": {[]Tensor{{Name: "a", DType: "F7", Data: []byte{1}}}, "F7"},
		"half a byte":  {[]Tensor{{Name: "a", DType: "F4", Shape: []int{3}, Data: []byte{1}}}, "F4 [3]"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := Write(filepath.Join(dir, "x"), c.tensors, nil)
			var format *FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Write = %v, want a FormatError with %q", err, c.want)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("a refused Write left %v", left)
			}
		})
	}
	if err := Write(filepath.Join(t.TempDir(), "no", "x"), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Write into a folder that is not there = %v", err)
	}
}

func TestCloseTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := Write(path, nil, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close(), (*File)(nil).Close()); err != nil {
		t.Error(err)
	}
}

// shards writes a folder of two shards and its index.
func shards(t *testing.T, index string) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range []string{"a", "b"} {
		path := filepath.Join(dir, fmt.Sprintf("model-%05d-of-00002.safetensors", i+1))
		if err := Write(path, []Tensor{Float32Tensor(name, []float32{float32(i)}, 1)}, map[string]string{"shard": name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, indexName), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestShards(t *testing.T) {
	const one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	dir := shards(t, fmt.Sprintf(`{"metadata": {"total_size": 8}, "weight_map": {"b": %q, "a": %q}}`, two, one))
	for name, path := range map[string]string{"folder": dir, "index": filepath.Join(dir, indexName)} {
		t.Run(name, func(t *testing.T) {
			f := open(t, path)
			for i, name := range []string{"a", "b"} {
				if v, err := f.Float32(name, 1); err != nil || v[0] != float32(i) || f.Tensors[i].Name != name {
					t.Errorf("Float32(%s) = %v, %v", name, v, err)
				}
			}
			if diff := cmp.Diff(map[string]string{"shard": "a"}, f.Metadata); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
	for name, c := range map[string]struct{ index, want string }{
		"no JSON":               {`{"weight_map"`, `want JSON with a "weight_map"`},
		"no map":                {`{"metadata": {}}`, `want a "weight_map", found none`},
		"map of numbers":        {`{"weight_map": {"a": 1}}`, `want JSON with a "weight_map" of names`},
		"shard is missing":      {`{"weight_map": {"a": "model-00003-of-00002.safetensors"}}`, "model-00003-of-00002.safetensors"},
		"shard elsewhere":       {`{"weight_map": {"a": "../model.safetensors"}}`, `want names of files in its own folder, found "../model.safetensors"`},
		"shard is a parent":     {`{"weight_map": {"a": ".."}}`, `found ".."`},
		"shard is absolute":     {`{"weight_map": {"a": "/etc/passwd"}}`, "in its own folder"},
		"tensor in wrong shard": {fmt.Sprintf(`{"weight_map": {"a": %q, "b": %q}}`, two, one), `tensor "a": want it in "model-00002-of-00002.safetensors", found it in "model-00001-of-00002.safetensors"`},
		"tensor is missing":     {fmt.Sprintf(`{"weight_map": {"a": %q, "b": %q, "c": %q}}`, one, two, two), `tensor "c": want it in "model-00002-of-00002.safetensors", found no such tensor there`},
		"tensor not mapped":     {fmt.Sprintf(`{"weight_map": {"x": %q}}`, one), `tensor "a": want it in ""`},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(shards(t, c.index))
			if f != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open = %v, want an error with %q", err, c.want)
			}
		})
	}
	t.Run("tensor in two shards", func(t *testing.T) {
		dir := shards(t, fmt.Sprintf(`{"weight_map": {"a": %q, "b": %q}}`, one, two))
		if err := Write(filepath.Join(dir, two), []Tensor{Float32Tensor("a", []float32{1}, 1)}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `tensor "a": want each name in one shard`) {
			t.Errorf("Open = %v, want an error about a", err)
		}
	})
	t.Run("empty folder", func(t *testing.T) {
		if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "want model.safetensors.index.json or model.safetensors, found neither") {
			t.Errorf("Open = %v", err)
		}
	})
}
