// SPDX-License-Identifier: Apache-2.0

package gguf_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/trimtab/trimtab/models/gguf"
)

// A control vector for llama.cpp: one direction, added to the output of block 8.
func Example() {
	dir, err := os.MkdirTemp("", "gguf")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "calm.gguf")
	err = gguf.Write(path, []gguf.Pair{
		{Key: "general.architecture", Value: "controlvector"},
		{Key: "controlvector.model_hint", Value: "llama"},
		{Key: "controlvector.layer_count", Value: uint32(1)},
	}, []gguf.Tensor{gguf.Float32Tensor("direction.8", []float32{0.6, 0, -0.8}, 3)})
	if err != nil {
		log.Fatal(err)
	}

	f, err := gguf.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for _, t := range f.Tensors {
		values, err := f.Float32(t.Name)
		fmt.Println(t.Name, t.Type, t.Shape, values, err)
	}
	_, err = f.Meta.Int("controlvector.model_hint")
	var wrong *gguf.KeyError
	fmt.Println(errors.As(err, &wrong), wrong.Want, wrong.Found)
	_, there, err := gguf.Optional(f.Meta.Float("controlvector.strength"))
	fmt.Println(there, err)
	// Output:
	// direction.8 F32 [3] [0.6 0 -0.8] <nil>
	// true integer string
	// false <nil>
}
