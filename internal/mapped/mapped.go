// SPDX-License-Identifier: Apache-2.0

// Package mapped shows whole files as read-only memory and replaces whole files at once.
//
// The two belong together: a file that someone has mapped must never be shortened in place, because touching a page
// beyond its new end kills the process. Replace therefore writes beside the file and renames.
package mapped

import (
	"fmt"
	"math"
	"os"
	"sync"
)

// File is a file seen as memory. It may be read from any number of goroutines until Close.
type File struct {
	data  []byte
	unmap func([]byte) error
	once  sync.Once
	err   error
}

// Open maps the file at path, or reads it whole on systems without mmap. An empty file has no bytes and is no error.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // asked before opening: opening a pipe waits for its writer
		return nil, &os.PathError{Op: "map", Path: path, Err: fmt.Errorf("want a regular file, found %s", info.Mode())}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // a mapping outlives its descriptor
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return &File{}, nil
	}
	if info.Size() > math.MaxInt {
		return nil, &os.PathError{Op: "map", Path: path, Err: fmt.Errorf("want at most %d bytes on this platform, found %d", math.MaxInt, info.Size())}
	}
	data, unmap, err := load(f, int(info.Size()))
	if err != nil {
		return nil, &os.PathError{Op: "map", Path: path, Err: err}
	}
	return &File{data: data, unmap: unmap}, nil
}

// Bytes returns the file's content. It is BORROWED: using it after Close, or writing to it, faults.
func (f *File) Bytes() []byte { return f.data }

// Close gives the memory back. Closing nil or closing twice is fine and repeats the first answer.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	f.once.Do(func() {
		if f.unmap != nil {
			f.err = f.unmap(f.data)
		}
		f.data = nil
	})
	return f.err
}
