// SPDX-License-Identifier: Apache-2.0

package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/internal/mapped"
)

// Write puts one row-major tensor into a file that torch.load reads, also with weights_only; dtype is float32 or int64,
// data its little-endian bytes.
func Write(path, dtype string, shape []int, data []byte) error {
	classes := map[string]string{"float32": "FloatStorage", "int64": "LongStorage"}
	e, ok := dtypes(dtype)
	n := e.width
	for _, d := range shape {
		n *= d
	}
	if !ok || classes[dtype] == "" || n != len(data) {
		return &Error{Path: path, What: "tensor to write", Want: "float32 or int64 with as many bytes as its shape", Found: fmt.Sprintf("%s %v and %d bytes", dtype, shape, len(data))}
	}
	root := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	members := []struct {
		name string
		data []byte
	}{
		{"data.pkl", program(classes[dtype], shape, len(data)/e.width)},
		{"byteorder", []byte("little")},
		{"data/0", data},
		{"version", []byte("3\n")},
	}
	err := mapped.Replace(path, func(w io.Writer) error {
		z := zip.NewWriter(w)
		at := int64(0)
		for _, m := range members {
			head := stored(root+"/"+m.name, m.data, at)
			at += 30 + int64(len(head.Name)+len(head.Extra)+len(m.data))
			if err := member(z, head, m.data); err != nil {
				return err
			}
		}
		return z.Close()
	})
	if err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	return nil
}

// stored describes an uncompressed member whose data begins at a multiple of 64 bytes, as torch's own do (it maps them).
func stored(name string, data []byte, at int64) *zip.FileHeader {
	const local, extra = 30, 4
	pad := (64 - (at+local+int64(len(name))+extra)%64) % 64
	filler := make([]byte, extra+pad)
	copy(filler, "FB")
	binary.LittleEndian.PutUint16(filler[2:], uint16(pad))
	n := uint64(len(data))
	return &zip.FileHeader{Name: name, Method: zip.Store, Extra: filler, CRC32: crc32.ChecksumIEEE(data), CompressedSize64: n, UncompressedSize64: n}
}

func member(z *zip.Writer, head *zip.FileHeader, data []byte) error {
	w, err := z.CreateRaw(head)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// program is the pickle of one tensor: _rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict()).
func program(class string, shape []int, n int) []byte {
	var b bytes.Buffer
	b.WriteString("\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((")
	text(&b, "storage")
	b.WriteString("ctorch\n" + class + "\n")
	text(&b, "0")
	text(&b, "cpu")
	number(&b, n)
	b.WriteString("tQ")
	number(&b, 0)
	b.WriteByte(opMark)
	for _, d := range shape {
		number(&b, d)
	}
	b.WriteString("t(")
	step := n
	for _, d := range shape {
		step /= max(d, 1)
		number(&b, max(step, 1))
	}
	b.WriteString("t\x89ccollections\nOrderedDict\n)RtR.")
	return b.Bytes()
}

func text(b *bytes.Buffer, s string) {
	b.WriteByte(opUnicode)
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	b.WriteString(s)
}

// number writes a whole number of up to 8 bytes.
func number(b *bytes.Buffer, n int) {
	b.Write([]byte{opLong1, 8})
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}
