// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin

package mapped

import (
	"io"
	"os"
)

func load(f *os.File, size int) ([]byte, func([]byte) error, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(f, data)
	return data, nil, err
}
