// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// lockPoll is how often a lock is tried that another holds: the system's own waiting cannot be cancelled.
const lockPoll = 50 * time.Millisecond

// lock takes the lock file at path as Hugging Face's tools take it, so that processes and goroutines keep out of each other's way. The file stays.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	for {
		f, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w: set HF_HUB_CACHE to a folder whose file system has locks", path, err)
		}
		if f != nil {
			return func() { _ = f.Close() }, nil // closing unlocks, whatever it returns
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// tryLock returns the file locked, or nil when another has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	ok, err := lockFile(f)
	if ok && err == nil && !gone(f) { // who had it may have deleted it
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// gone tells whether a file that was just open is no longer the one at its path.
func gone(f *os.File) bool {
	ours, err := f.Stat()
	if err != nil {
		return true
	}
	theirs, err := os.Stat(f.Name())
	return errors.Is(err, fs.ErrNotExist) || (err == nil && !os.SameFile(ours, theirs))
}
