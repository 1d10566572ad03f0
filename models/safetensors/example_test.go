// SPDX-License-Identifier: Apache-2.0

package safetensors_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/trimtab/trimtab/models/safetensors"
)

func Example() {
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.safetensors")
	decoder := safetensors.Float32Tensor("W_dec", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err := safetensors.Write(path, []safetensors.Tensor{decoder}, map[string]string{"format": "pt"}); err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Open(dir) // a folder: model.safetensors, or the shards of its index
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Println(f.Metadata, f.Tensors[0].DType, f.Tensors[0].Shape)
	values, err := f.Float32("W_dec", -1, 3) // any number of rows of 3
	fmt.Println(values, err)
	// Output:
	// map[format:pt] F32 [2 3]
	// [1 2 3 4 5 6] <nil>
}
