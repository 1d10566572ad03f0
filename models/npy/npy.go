// SPDX-License-Identifier: Apache-2.0

// Package npy reads NumPy's array files: one array (.npy) or a zip archive of them (.npz), stored or deflated.
//
// [Open] maps a file and returns a [File]; an [Array]'s values come in C order whatever the file's order is. The format
// is that of https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Arrays of Python objects, which
// only a pickle can hold, are refused. What is wrong is reported as a [*FormatError].
package npy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/internal/zipped"
)

const (
	arrayMagic = "\x93NUMPY"
	zipMagic   = "PK\x03\x04"
)

// FormatError says where a file breaks the format, or what it holds that is not read.
type FormatError struct {
	Path  string
	What  string // the thing that is wrong, such as: array "W_enc"
	Want  string
	Found string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("npy: %s: %s: want %s, found %s", e.Path, e.What, e.Want, e.Found)
}

// File is an open .npy or .npz file. Any number of goroutines may read it until Close.
type File struct {
	Names []string // of the arrays, without .npy; that of a single array is ""

	path   string
	single *mapped.File
	zip    *zipped.File
}

// Open maps a file; which of the two kinds it is, its first bytes say.
func Open(path string) (*File, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	head := m.Bytes()
	if bytes.HasPrefix(head, []byte(arrayMagic)) {
		return &File{Names: []string{""}, path: path, single: m}, nil
	}
	isZip := bytes.HasPrefix(head, []byte(zipMagic))
	start := fmt.Sprintf("%.8q", head[:min(8, len(head))])
	if err := m.Close(); err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	if !isZip {
		return nil, &FormatError{path, "file", "a NumPy array or a zip archive of them", "bytes that begin with " + start}
	}
	return openZip(path)
}

func openZip(path string) (*File, error) {
	z, err := zipped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	f := &File{path: path, zip: z}
	for _, name := range z.Names {
		if array, ok := strings.CutSuffix(name, ".npy"); ok {
			f.Names = append(f.Names, array)
		}
	}
	if len(f.Names) == 0 {
		return nil, errors.Join(&FormatError{path, "archive", "members named *.npy", fmt.Sprintf("%d others", len(z.Names))}, z.Close())
	}
	return f, nil
}

// Array reads one array's header; its data is checked against it. The data of a stored array is BORROWED until Close.
func (f *File) Array(name string) (Array, error) {
	data, err := f.bytes(name)
	if err != nil {
		return Array{}, err
	}
	a := Array{Name: name}
	if err := a.parse(data); err != nil {
		return Array{}, &FormatError{f.path, fmt.Sprintf("array %.80q", name), err.want, err.found}
	}
	return a, nil
}

// Objects returns the pickle that an array of Python objects is, BORROWED until Close; what is in it is for models/pickle to read. ok is false for other arrays.
func (f *File) Objects(name string) (data []byte, ok bool, err error) {
	all, err := f.bytes(name)
	if err != nil {
		return nil, false, err
	}
	text, data, bad := split(all)
	if bad != nil {
		return nil, false, &FormatError{f.path, fmt.Sprintf("array %.80q", name), bad.want, bad.found}
	}
	m := headerPattern.FindStringSubmatch(text)
	return data, m != nil && strings.Trim(m[1], "'<|>=") == "O", nil
}

func (f *File) bytes(name string) ([]byte, error) {
	if f.single != nil {
		if name != "" {
			return nil, &FormatError{f.path, fmt.Sprintf("array %.80q", name), "an archive", "a single array"}
		}
		return f.single.Bytes(), nil
	}
	data, err := f.zip.Bytes(name + ".npy")
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	return data, nil
}

// Close gives the mapping back. Closing nil or closing twice is fine.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.single.Close(), f.zip.Close())
}
