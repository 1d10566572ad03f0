// SPDX-License-Identifier: Apache-2.0

// Command steer makes a steering vector from two sentences and answers a question with it at several strengths, turned on one session.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: steer MODEL")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], []float32{-1, 0, 1}); err != nil {
		log.Fatal(err)
	}
}

const question = "<|im_start|>user\nHow was your day?<|im_end|>\n<|im_start|>assistant\n"

func run(ctx context.Context, w io.Writer, path string, strengths []float32) error {
	model, err := runtime.Open(path, runtime.Config{})
	if err != nil {
		return err
	}
	defer model.Close()
	site := hooks.At(hooks.ResidPost, model.Shape().Layers/2)
	v, err := contrast(ctx, model, site, "I am so happy, what a wonderful day!", "I am so sad, what a terrible day.")
	if err != nil {
		return err
	}
	session, err := model.NewSession()
	if err != nil {
		return err
	}
	vector := steering.Add(site, v, 0)
	if _, err := session.Attach(vector); err != nil {
		return err
	}
	for _, strength := range strengths {
		vector.Strength().Set(strength)
		fmt.Fprintf(w, "%+g: ", strength)
		if err := answer(ctx, w, session); err != nil {
			return err
		}
	}
	return nil
}

// contrast returns the difference of the activations at the last token of two texts.
func contrast(ctx context.Context, model *runtime.Model, site hooks.Site, positive, negative string) ([]float32, error) {
	a, err := lastToken(ctx, model, site, positive)
	if err != nil {
		return nil, err
	}
	b, err := lastToken(ctx, model, site, negative)
	if err != nil {
		return nil, err
	}
	for i := range a {
		a[i] -= b[i]
	}
	return a, nil
}

func lastToken(ctx context.Context, model *runtime.Model, site hooks.Site, text string) ([]float32, error) {
	tok, err := model.Tokenizer()
	if err != nil {
		return nil, err
	}
	ids := tok.Encode(nil, text, false)
	trace, err := model.Trace(ctx, ids, runtime.TraceOptions{Sites: []hooks.Site{site}})
	if err != nil {
		return nil, err
	}
	return trace[0].Data[(len(ids)-1)*trace[0].Width:], nil
}

func answer(ctx context.Context, w io.Writer, session *runtime.Session) error {
	tok, err := session.Model().Tokenizer()
	if err != nil {
		return err
	}
	prompt := tok.Encode(nil, question, true)
	for t, err := range session.Generate(ctx, prompt, runtime.Options{MaxTokens: 40}) {
		if err != nil {
			return err
		}
		fmt.Fprint(w, t.Text)
	}
	fmt.Fprintln(w)
	return nil
}
