// SPDX-License-Identifier: Apache-2.0

package pickle_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/trimtab/trimtab/models/pickle"
	"github.com/trimtab/trimtab/models/safetensors"
)

func Example() {
	dir, err := os.MkdirTemp("", "pickle")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "atoms.pt")
	atoms := safetensors.Float32Tensor("", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err := pickle.Write(path, "float32", atoms.Shape, atoms.Data); err != nil {
		log.Fatal(err)
	}

	f, err := pickle.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	t := f.Root.(pickle.Tensor) // of a state_dict it is a *pickle.Dict
	values, err := t.AppendFloat32(nil)
	fmt.Println(t.Type(), t.Shape, values, err)
	// Output: float32 [2 3] [1 2 3 4 5 6] <nil>
}
