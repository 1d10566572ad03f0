// SPDX-License-Identifier: Apache-2.0

package dictionary_test

import (
	"fmt"
	"log"
	"os"

	"github.com/trimtab/trimtab/steering/dictionary"
)

func Example() {
	dir, err := os.MkdirTemp("", "sae")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// An SAE of three features on activations of width 2, as SAELens would have saved it.
	made, err := dictionary.New(&dictionary.Form{
		In: 2, Out: 2, N: 3,
		Enc: []float32{1, 0, 0, 1, -1, 0}, Dec: []float32{1, 0, 0, 1, -1, 0},
		Act: dictionary.Activation{Kind: dictionary.TopK, K: 2},
	})
	if err != nil {
		log.Fatal(err)
	}
	made.Address.Hook = "blocks.14.hook_resid_post"
	if err := dictionary.WriteSAELens(dir, made); err != nil {
		log.Fatal(err)
	}

	d, err := dictionary.Open(dir, dictionary.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Format, d.Form.Act.Kind, d.Form.Act.K, "at", d.Address)
	x := []float32{-3, 5}
	code := d.NewCoder().Encode(nil, x)
	fmt.Println(code)

	edits, err := d.Edits(dictionary.Edit{Feature: 2, Op: dictionary.Set, Value: 10})
	if err != nil {
		log.Fatal(err)
	}
	d.Edit(x, code, x, edits)
	fmt.Println(x)
	// Output:
	// SAELens topk 2 at resid_post.14, begin token first
	// [{1 5} {2 3}]
	// [-10 5]
}

func ExampleParseEdit() {
	for _, text := range []string{"12=0", "12+=3", "12<=1.5", "12"} {
		edit, err := dictionary.ParseEdit(text)
		fmt.Println(edit.Op, edit, err)
	}
	// Output:
	// 0 12=0 <nil>
	// 1 12+=3 <nil>
	// 4 12<=1.5 <nil>
	// 0 0=0 dictionary: edit "12": want FEATURE=V, +=V, *=V, >=V or <=V, found no =
}
