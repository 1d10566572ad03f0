// SPDX-License-Identifier: Apache-2.0

// Package zipped shows the members of a mapped zip archive as memory: npz files and torch checkpoints are such archives.
//
// A stored member is a slice of the file; a deflated one is inflated when it is asked for. What an archive says of its
// sizes is compared with its bytes before anything is allocated.
package zipped

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/trimtab/trimtab/internal/mapped"
)

// deflateRatio is the most that deflate can expand: 258 bytes from two bits (RFC 1951), with room for block headers.
const deflateRatio = 1032

// File is an open archive. Any number of goroutines may read it until Close.
type File struct {
	Names []string // of the members, in the archive's order

	path    string
	data    *mapped.File
	members map[string]*zip.File
}

// Open maps an archive; a name that occurs twice is an error.
func Open(path string) (*File, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, data: m, members: map[string]*zip.File{}}
	if err := f.index(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return f, nil
}

func (f *File) index() error {
	r, err := zip.NewReader(bytes.NewReader(f.data.Bytes()), int64(len(f.data.Bytes())))
	if err != nil {
		return fmt.Errorf("%s: zip archive: %w", f.path, err)
	}
	for _, m := range r.File {
		if f.members[m.Name] != nil {
			return fmt.Errorf("%s: zip archive: want each member once, found %.80q twice", f.path, m.Name)
		}
		f.members[m.Name] = m
		f.Names = append(f.Names, m.Name)
	}
	return nil
}

// Has tells whether the archive has a member of that name.
func (f *File) Has(name string) bool { return f.members[name] != nil }

// Bytes returns a member's content. That of a stored member is BORROWED until Close; that of a deflated one is new memory.
func (f *File) Bytes(name string) ([]byte, error) {
	m := f.members[name]
	if m == nil {
		return nil, fmt.Errorf("%s: want member %.80q, found none of that name", f.path, name)
	}
	switch m.Method {
	case zip.Store:
		return f.stored(m)
	case zip.Deflate:
		return f.inflate(m)
	}
	return nil, f.fault(m, "stored or deflated bytes", fmt.Sprintf("compression method %d", m.Method))
}

func (f *File) stored(m *zip.File) ([]byte, error) {
	begin, err := m.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("%s: member %.80q: %w", f.path, m.Name, err)
	}
	all := uint64(len(f.data.Bytes()))
	if m.CompressedSize64 != m.UncompressedSize64 || begin < 0 || uint64(begin) > all || m.UncompressedSize64 > all-uint64(begin) {
		return nil, f.fault(m, "its bytes inside the file", fmt.Sprintf("%d at %d of %d", m.UncompressedSize64, begin, all))
	}
	end := uint64(begin) + m.UncompressedSize64
	return f.data.Bytes()[begin:end:end], nil
}

func (f *File) inflate(m *zip.File) ([]byte, error) {
	packed := min(m.CompressedSize64, uint64(len(f.data.Bytes())))
	if m.UncompressedSize64 > packed*deflateRatio || m.UncompressedSize64 > math.MaxInt {
		return nil, f.fault(m, "a size that its compressed bytes can have", fmt.Sprintf("%d from %d", m.UncompressedSize64, packed))
	}
	r, err := m.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: member %.80q: %w", f.path, m.Name, err)
	}
	data := make([]byte, m.UncompressedSize64)
	_, err = io.ReadFull(r, data)
	if err == nil {
		// The reader compares length and checksum when it meets the end.
		_, err = io.Copy(io.Discard, r)
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: member %.80q: %w", f.path, m.Name, err)
	}
	return data, nil
}

func (f *File) fault(m *zip.File, want, found string) error {
	return fmt.Errorf("%s: member %.80q: want %s, found %s", f.path, m.Name, want, found)
}

// Close gives the mapping back. Closing nil or closing twice is fine.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	return f.data.Close()
}
