// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package mapped

import (
	"os"

	"golang.org/x/sys/unix"
)

func load(f *os.File, size int) ([]byte, func([]byte) error, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	return data, unix.Munmap, err
}
