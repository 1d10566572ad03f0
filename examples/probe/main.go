// SPDX-License-Identifier: Apache-2.0

// Command probe watches the length of the residual stream at every layer while a model generates: a tap reads, and changes nothing.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"os"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: probe MODEL TEXT")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// lengths is a hook: it keeps the norm of the newest row at the output of every block.
type lengths []float64

// Bind asks for a tap at every block's output.
func (l lengths) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	var p hooks.Plan
	for i := range sh.Layers {
		p.Taps = append(p.Taps, hooks.Tap{Name: "length", Site: hooks.At(hooks.ResidPost, i), ReadOnly: true, Func: func(a *hooks.Activation) error {
			sum := 0.0
			for _, x := range a.Row(len(a.Rows) - 1) {
				sum += float64(x) * float64(x)
			}
			l[i] = math.Sqrt(sum)
			return nil
		}})
	}
	return p, nil
}

func run(ctx context.Context, w io.Writer, path, text string) error {
	model, err := runtime.Open(path, runtime.Config{})
	if err != nil {
		return err
	}
	defer model.Close()
	tok, err := model.Tokenizer()
	if err != nil {
		return err
	}
	session, err := model.NewSession()
	if err != nil {
		return err
	}
	watch := make(lengths, model.Shape().Layers)
	if _, err := session.Attach(watch); err != nil {
		return err
	}
	for t, err := range session.Generate(ctx, tok.Encode(nil, text, true), runtime.Options{MaxTokens: 8}) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-12q first %6.1f  middle %6.1f  last %6.1f\n", t.Text, watch[0], watch[len(watch)/2], watch[len(watch)-1])
	}
	return nil
}
