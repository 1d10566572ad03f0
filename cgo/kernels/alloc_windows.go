// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Alloc returns n zero bytes outside the Go heap, aligned to a page. A page takes memory when it is first written.
// Free them with Free, or when the process ends.
func Alloc(n int) ([]byte, error) {
	if n <= 0 {
		return nil, fmt.Errorf("kernels: alloc: want a positive size, found %d", n)
	}
	p, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE|windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		return nil, fmt.Errorf("kernels: alloc %d bytes: %w", n, err)
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n), nil // not unsafe.Pointer(p): vet takes every uintptr for a lost Go pointer
}

// Free gives back what Alloc returned, the very slice; nobody may use it any more.
func Free(b []byte) error {
	if b == nil {
		return nil
	}
	return windows.VirtualFree(uintptr(unsafe.Pointer(&b[0])), 0, windows.MEM_RELEASE)
}
