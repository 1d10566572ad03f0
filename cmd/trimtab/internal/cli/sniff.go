// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// format is what a file looks like by its first bytes, in words.
type format string

const (
	formatGGUF        format = "GGUF"
	formatSafetensors format = "safetensors"
	formatFolder      format = "a folder"
	formatZip         format = "a zip archive, such as PyTorch or NumPy write"
	formatNumPy       format = "a NumPy array"
	formatJSON        format = "JSON"
)

// signatures are the first bytes of files that people have beside models.
func signatures() []struct {
	start string
	found format
} {
	return []struct {
		start string
		found format
	}{
		{"GGUF", formatGGUF},
		{"PK\x03\x04", formatZip},
		{"\x80\x02", "a Python pickle"},
		{"\x80\x04", "a Python pickle"},
		{"\x93NUMPY", formatNumPy},
		{"\x89HDF\r\n", "an HDF5 file"},
		{"\x1f\x8b", "gzip"},
		{"ggml", "a file of the format before GGUF"},
		{"ggjt", "a file of the format before GGUF"},
		{"\x08", "what may be an ONNX graph"},
		{"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched"},
	}
}

// sniff tells a file's format.
func sniff(path string) (format, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("inspect: %w", err)
	}
	if info.IsDir() {
		return formatFolder, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("inspect: %w", err)
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("inspect: %w", err)
	}
	return guess(head[:n], info.Size()), nil
}

func guess(head []byte, size int64) format {
	for _, s := range signatures() {
		if bytes.HasPrefix(head, []byte(s.start)) {
			return s.found
		}
	}
	switch {
	case len(head) == 0:
		return "an empty file"
	case len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= uint64(size):
		return formatSafetensors
	case utf8.Valid(head) && (head[0] == '{' || head[0] == '['):
		return formatJSON
	case utf8.Valid(head) && bytes.IndexByte(head, 0) < 0:
		return "text"
	}
	return format(fmt.Sprintf("bytes that begin with %q", head[:min(8, len(head))]))
}
