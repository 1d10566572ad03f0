// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package mapped

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Release tells the system that part, a piece of Bytes, will hardly be read again, so that its pages need not stay resident; reading it later is
// still right and reads the file again. What is not a piece of Bytes is left alone.
func (f *File) Release(part []byte) {
	if f == nil || len(f.data) == 0 || len(part) == 0 {
		return
	}
	base, at := uintptr(unsafe.Pointer(&f.data[0])), uintptr(unsafe.Pointer(&part[0]))
	if at < base || at+uintptr(len(part)) > base+uintptr(len(f.data)) {
		return
	}
	page := uintptr(unix.Getpagesize())
	from := (at - base + page - 1) &^ (page - 1) // whole pages only: neighbours may still be in use
	to := (at - base + uintptr(len(part))) &^ (page - 1)
	if from < to {
		_ = unix.Madvise(f.data[from:to], unix.MADV_DONTNEED) // advice: whether it is taken changes nothing
	}
}
