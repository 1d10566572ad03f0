// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kernels

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Alloc returns n zero bytes outside the Go heap, aligned to a page. A page takes memory when it is first written; large ones are asked for.
// Free them with Free, or when the process ends.
func Alloc(n int) ([]byte, error) {
	if n <= 0 {
		return nil, fmt.Errorf("kernels: alloc: want a positive size, found %d", n)
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("kernels: alloc %d bytes: %w", n, err)
	}
	askHugePages(b)
	return b, nil
}

// Free gives back what Alloc returned, the very slice; nobody may use it any more.
func Free(b []byte) error {
	if b == nil {
		return nil
	}
	return unix.Munmap(b)
}
