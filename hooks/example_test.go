// SPDX-License-Identifier: Apache-2.0

package hooks_test

import (
	"fmt"

	"github.com/trimtab/trimtab/hooks"
)

func ExampleParseSite() {
	for _, name := range []string{"resid_post.10", "blocks.10.hook_resid_post", "logits"} {
		site, err := hooks.ParseSite(name)
		fmt.Println(site, err)
	}
	// Output:
	// resid_post.10 <nil>
	// resid_post.10 <nil>
	// logits <nil>
}

func ExampleShape_Select() {
	sh := &hooks.Shape{Model: "tiny", Layers: 4, Widths: map[hooks.Site]int{}}
	for i := range sh.Layers {
		sh.Widths[hooks.At(hooks.ResidPost, i)] = 8
	}
	sites, err := sh.Select("resid_post.0,resid_post.-2--1")
	fmt.Println(sites, err)
	_, err = sh.Select("resid_post.4")
	fmt.Println(err)
	// Output:
	// [resid_post.0 resid_post.2 resid_post.3] <nil>
	// hooks: site resid_post.4 of tiny: the model has blocks 0 to 3
}

func ExampleEdit_Tap() {
	edit := hooks.Edit{Op: hooks.Project, Site: hooks.At(hooks.ResidPost, 3), Directions: [][]float32{{0, 2}}}
	row := hooks.Activation{Width: 2, Data: []float32{5, 10}, Rows: []bool{true}}
	err := edit.Tap().Func(&row)
	fmt.Println(row.Data, err)
	// Output: [5 0] <nil>
}
