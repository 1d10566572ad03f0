// SPDX-License-Identifier: Apache-2.0

// Package pickle reads PyTorch checkpoints (.pt, .pth, .bin in torch's zip format) without executing anything.
//
// A checkpoint is a Python pickle beside the bytes of its tensors. The pickle language can call any function of the
// machine that loads it; [Open] knows only the opcodes that build numbers, strings, lists, tuples and dictionaries, and
// a fixed list of names that stand for tensors and their element types. Everything else is refused with an [*Error] that
// names it. [Write] makes a file of one tensor that torch.load reads.
//
// The layout is that of torch/serialization.py; the opcodes are those of Python's pickletools.
package pickle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/internal/zipped"
)

// maxPickle bounds the pickle itself, which holds names and shapes; the tensors' bytes lie beside it.
const maxPickle = 16 << 20

// Error says why a checkpoint is not read.
type Error struct {
	Path   string
	Global string // the Python name that the file wants called, where that is the reason; else ""
	What   string // the thing that is wrong
	Want   string
	Found  string
}

func (e *Error) Error() string {
	return fmt.Sprintf("pickle: %s: %s: want %s, found %s", e.Path, e.What, e.Want, e.Found)
}

// File is an open checkpoint. Any number of goroutines may read it until Close.
type File struct {
	Root Value // what torch.load would return

	path    string
	zip     *zipped.File
	prefix  string // of the members that belong to the checkpoint, with its slash
	storage map[string][]byte
}

// Open maps a checkpoint and reads its pickle; tensors are read when they are asked for.
func Open(path string) (*File, error) {
	if err := checkMagic(path); err != nil {
		return nil, err
	}
	z, err := zipped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("pickle: %w", err)
	}
	f := &File{path: path, zip: z, storage: map[string][]byte{}}
	if err := f.read(); err != nil {
		return nil, errors.Join(err, z.Close())
	}
	return f, nil
}

// checkMagic tells the older layouts apart, for which there is a way out.
func checkMagic(path string) error {
	m, err := mapped.Open(path)
	if err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	head := string(m.Bytes()[:min(262, len(m.Bytes()))])
	if err := m.Close(); err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	const want = "torch's zip format (save it again with torch.save of PyTorch 1.6 or later)"
	switch {
	case strings.HasPrefix(head, "PK\x03\x04"):
		return nil
	case len(head) == 0:
		return &Error{Path: path, What: "file", Want: want, Found: "an empty file"}
	case head[0] == '\x80':
		return &Error{Path: path, What: "file", Want: want, Found: "a bare pickle, as older versions of torch or joblib write it"}
	case strings.HasSuffix(head, "ustar"):
		return &Error{Path: path, What: "file", Want: want, Found: "a tar archive, as the first versions of torch wrote it"}
	case strings.HasPrefix(head, "version https://git-lfs"):
		return &Error{Path: path, What: "file", Want: want, Found: "a Git LFS pointer: the file itself was not fetched"}
	}
	return &Error{Path: path, What: "file", Want: want, Found: fmt.Sprintf("bytes that begin with %.8q", head)}
}

func (f *File) read() error {
	for _, name := range f.zip.Names {
		if prefix, ok := strings.CutSuffix(name, "data.pkl"); ok && strings.Count(prefix, "/") <= 1 && (prefix == "" || strings.HasSuffix(prefix, "/")) {
			f.prefix = prefix
			return f.readPickle(name)
		}
	}
	return &Error{Path: f.path, What: "archive", Want: "a member data.pkl, as torch.save writes it", Found: fmt.Sprintf("%d others", len(f.zip.Names))}
}

func (f *File) readPickle(name string) error {
	if order := f.prefix + "byteorder"; f.zip.Has(order) {
		b, err := f.zip.Bytes(order)
		if err != nil {
			return fmt.Errorf("pickle: %w", err)
		}
		if string(b) != "little" {
			return &Error{Path: f.path, What: "byteorder", Want: "little", Found: fmt.Sprintf("%.20q", b)}
		}
	}
	text, err := f.zip.Bytes(name)
	if err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	if len(text) > maxPickle {
		return &Error{Path: f.path, What: name, Want: fmt.Sprintf("at most %d bytes", maxPickle), Found: fmt.Sprint(len(text))}
	}
	m := machine{text: text, storage: f.find, memo: map[uint32]Value{}}
	f.Root, err = m.run()
	var e *Error
	if errors.As(err, &e) {
		e.Path = f.path
	}
	return err
}

// Decode reads a pickle that has everything in itself, such as the one in a NumPy file of Python objects, by the same rules as [Open]; path is for errors.
// What it returns is BORROWED from data.
func Decode(path string, data []byte) (Value, error) {
	m := machine{text: data, memo: map[uint32]Value{}}
	m.storage = func(string) ([]byte, error) { return nil, m.fail("values in the pickle itself", "a storage beside it") }
	v, err := m.run()
	var e *Error
	if errors.As(err, &e) {
		e.Path = path
	}
	return v, err
}

// find returns the bytes of a storage, once read for all tensors that share it.
func (f *File) find(key string) ([]byte, error) {
	if data, ok := f.storage[key]; ok {
		return data, nil
	}
	data, err := f.zip.Bytes(f.prefix + "data/" + key)
	if err != nil {
		return nil, fmt.Errorf("pickle: %w", err)
	}
	f.storage[key] = data
	return data, nil
}

// Close gives the mapping back. Closing nil or closing twice is fine.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	return f.zip.Close()
}
