// SPDX-License-Identifier: Apache-2.0

// Command experts answers one question twice at the same time: by a model as it is, and by the same model with some experts masked.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: experts MODEL off-drop=LAYER/EXPERT,... QUESTION")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer, path, mask, question string) error {
	model, err := runtime.Open(path, runtime.Config{})
	if err != nil {
		return err
	}
	defer model.Close()
	var plain, masked string
	var plainErr, maskedErr error
	var both sync.WaitGroup
	both.Go(func() { plain, plainErr = answer(ctx, model, question) })
	both.Go(func() { masked, maskedErr = answer(ctx, model, question, "experts:"+mask) })
	both.Wait()
	if err := errors.Join(plainErr, maskedErr); err != nil {
		return err
	}
	fmt.Fprintf(w, "plain   %s\nmasked  %s\n", plain, masked)
	return nil
}

// answer gives one answer on a session of its own: a mask of one session is nothing to another.
func answer(ctx context.Context, model *runtime.Model, question string, specs ...string) (string, error) {
	session, err := model.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	for _, spec := range specs {
		mask, err := steering.Load(spec)
		if err != nil {
			return "", err
		}
		if _, err := session.Attach(mask); err != nil {
			return "", err // more masked than leaves the router its choice, or no such expert
		}
	}
	prompt, err := model.Prompt(chat.Message{Role: "user", Content: question})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for t, err := range session.Generate(ctx, prompt, runtime.Options{MaxTokens: 40}) {
		if err != nil {
			return "", err
		}
		text.WriteString(t.Text)
	}
	return text.String(), nil
}
