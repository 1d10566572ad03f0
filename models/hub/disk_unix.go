// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package hub

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock of an open file, or tells that another has it.
func lockFile(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return err == nil, err
}

// freeSpace is how many bytes a user may still write to the disk of dir, or -1.
func freeSpace(dir string) int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil || s.Bsize <= 0 {
		return -1
	}
	block := uint64(s.Bsize)
	if uint64(s.Bavail) > math.MaxInt64/block {
		return math.MaxInt64
	}
	return int64(uint64(s.Bavail) * block)
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
