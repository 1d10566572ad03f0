// SPDX-License-Identifier: Apache-2.0

// Command generate opens a model and streams the answer to one question.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: generate MODEL QUESTION")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer, path, question string) error {
	model, err := runtime.Open(path, runtime.Config{})
	if err != nil {
		return err
	}
	defer model.Close()
	prompt, err := model.Prompt(chat.Message{Role: "user", Content: question})
	if err != nil {
		return err
	}
	session, err := model.NewSession()
	if err != nil {
		return err
	}
	for t, err := range session.Generate(ctx, prompt, runtime.Options{MaxTokens: 100}) {
		if err != nil {
			return err
		}
		fmt.Fprint(w, t.Text)
	}
	fmt.Fprintln(w)
	return nil
}
