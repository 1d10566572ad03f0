// SPDX-License-Identifier: Apache-2.0

package steering_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
)

// tiny is a model of four blocks of width 3.
func tiny() *hooks.Shape {
	sh := &hooks.Shape{Model: "tiny", Family: "llama", Layers: 4, Width: 3, Widths: map[hooks.Site]int{}}
	for i := range sh.Layers {
		sh.Widths[hooks.At(hooks.ResidPost, i)] = sh.Width
	}
	return sh
}

func ExampleParse() {
	spec, err := steering.Parse("norm:happy.gguf*2.50@resid_post.10-20[decode]")
	fmt.Println(spec, err)
	_, err = steering.Parse("vector:happy.gguf*two")
	fmt.Println(err)
	// Output:
	// norm:happy.gguf*2.5@resid_post.10-20[decode] <nil>
	// steering: spec "vector:happy.gguf*two": column 19: want a number after * (a file name with * stands in quotes), found "two"
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	v, err := steering.NewVector("happy", map[int][]float32{1: {1, 0, 0}, 2: {0, 1, 0}})
	if err != nil {
		log.Fatal(err)
	}
	v.Hint = "llama"
	file := filepath.Join(dir, "happy.gguf")
	if err := v.Save(file); err != nil {
		log.Fatal(err)
	}

	s, err := steering.Load("vector:" + file + "*2.5")
	if err != nil {
		log.Fatal(err)
	}
	places, err := s.Sites(tiny())
	fmt.Println(s.Name(), s.Strength().Value(), places, err)
	// Output: happy 2.5 [direction.1 -> resid_post.1 direction.2 -> resid_post.2] <nil>
}

func ExampleVector_Describe() {
	v, err := steering.NewVector("happy", map[int][]float32{1: {3, 4, 0}, 2: {0, 1, 0}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(v.Describe())
	// Output:
	// happy: add, 2 directions of width 3
	// direction.1 -> resid_post.1  norm 5
	// direction.2 -> resid_post.2  norm 1  cosine to the block before 0.800
}

func ExampleProject() {
	hook := steering.Project(hooks.At(hooks.ResidPost, -1), []float32{0, 0, 2})
	plan, err := hook.Bind(tiny())
	fmt.Println(len(plan.Edits), plan.Edits[0].Site, plan.Edits[0].Op, err)
	hook.Strength().Set(0.5) // from now on half of the component is removed
	// Output: 1 resid_post.3 project <nil>
}

// A refusal is taken out of the residual only where a prompt is like a condition vector at block 2.
func ExampleSteering_When() {
	harm, err := steering.NewVector("harm", map[int][]float32{2: {0, 0, 1}})
	if err != nil {
		log.Fatal(err)
	}
	s, err := steering.Project(hooks.At(hooks.ResidPost, 3), []float32{0, 1, 0}).When(steering.When{
		Terms: []steering.Condition{{Vector: harm, Threshold: 0.04}},
	})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := s.Bind(tiny())
	if err != nil {
		log.Fatal(err)
	}
	for _, tap := range plan.Taps {
		fmt.Println(tap.Name, tap.Site)
	}
	// Output:
	// project when resid_post.2
	// project resid_post.3
}
