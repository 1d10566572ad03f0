// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kernels

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of large pages on amd64, and on arm64 with pages of 4 kB; aligning to it elsewhere does no harm.
const hugePage = 2 << 20

// Alloc returns n zero bytes outside the Go heap, aligned to a page, from 2 MB on to a large one. A page takes memory when it is first written; large ones are asked
// for. Free them with Free, or when the process ends.
func Alloc(n int) ([]byte, error) {
	if n <= 0 {
		return nil, fmt.Errorf("kernels: alloc: want a positive size, found %d", n)
	}
	size, slack := span(n), 0
	if size >= hugePage {
		slack = hugePage
	}
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size+slack), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("kernels: alloc %d bytes: %w", n, err)
	}
	if slack > 0 {
		p = trim(p, size)
	}
	b := unsafe.Slice((*byte)(p), size)
	askHugePages(b)
	return b[:n:n], nil
}

// span is how much is mapped for n bytes: whole large pages where they add an eighth at most, since a last part of one would lie in small ones.
func span(n int) int {
	if up := roundUp(n, hugePage); up-n <= n/8 {
		return up
	}
	return roundUp(n, os.Getpagesize())
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// trim gives back what lies around the first aligned part of size bytes in a mapping that is a large page longer.
func trim(p unsafe.Pointer, size int) unsafe.Pointer {
	before := roundUp(int(uintptr(p)), hugePage) - int(uintptr(p))
	part := unsafe.Add(p, before)
	if before > 0 {
		_ = unix.MunmapPtr(p, uintptr(before)) // what stays mapped was never written
	}
	if after := hugePage - before; after > 0 {
		_ = unix.MunmapPtr(unsafe.Add(part, size), uintptr(after))
	}
	return part
}

// Free gives back what Alloc returned, the very slice; nobody may use it any more.
func Free(b []byte) error {
	if b == nil {
		return nil
	}
	return unix.MunmapPtr(unsafe.Pointer(&b[0]), uintptr(span(len(b))))
}
