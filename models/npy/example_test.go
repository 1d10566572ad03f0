// SPDX-License-Identifier: Apache-2.0

package npy_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/trimtab/trimtab/models/npy"
)

func Example() {
	dir, err := os.MkdirTemp("", "npy")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "x.npy")
	header := "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n"
	if err := os.WriteFile(path, []byte("\x93NUMPY\x01\x00"+string(rune(len(header)))+"\x00"+header+"\x01\x04\x02\x05\x03\x06"), 0o644); err != nil {
		log.Fatal(err)
	}

	f, err := npy.Open(path) // an .npz archive has several names
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	a, err := f.Array(f.Names[0])
	if err != nil {
		log.Fatal(err)
	}
	values, err := a.AppendInt64(nil)
	fmt.Println(a.Type(), a.Shape, values, err)
	// Output: |u1 [2 3] [1 2 3 4 5 6] <nil>
}
