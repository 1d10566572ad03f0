// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// partial is a blob that is being written, with the sum of what it holds.
type partial struct {
	file *os.File
	sum  hash.Hash
	size int64
}

// openPartial opens a file for appending and sums what an earlier download left there.
func openPartial(path string) (*partial, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	p := &partial{file: f, sum: sha256.New()}
	if p.size, err = io.Copy(p.sum, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// Write implements io.Writer.
func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	return n, err
}

// reset empties the file.
func (p *partial) reset() error {
	p.sum.Reset()
	p.size = 0
	_, err := p.file.Seek(0, io.SeekStart)
	return errors.Join(err, p.file.Truncate(0))
}

// check compares the whole file with what the server promised.
func (p *partial) check(f remote) error {
	if f.size >= 0 && p.size != f.size {
		return &ChecksumError{File: f.name, Want: fmt.Sprintf("%d bytes", f.size), Found: fmt.Sprintf("%d", p.size)}
	}
	found := hex.EncodeToString(p.sum.Sum(nil))
	if digestPattern.MatchString(f.etag) && found != f.etag {
		return &ChecksumError{File: f.name, Want: "SHA-256 " + f.etag, Found: found}
	}
	return nil
}
