// SPDX-License-Identifier: Apache-2.0

// Command features shows the features of a sparse autoencoder beside the text, and answers once more with one of them turned up.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: features MODEL SAE 'FEATURE+=VALUE'")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer, path, sae, edit string) error {
	model, err := runtime.Open(path, runtime.Config{})
	if err != nil {
		return err
	}
	defer model.Close()
	for _, spec := range []string{"sae:" + sae, "sae:" + sae + "#" + edit} {
		fmt.Fprintln(w, spec)
		hook, err := steering.Load(spec)
		if err != nil {
			return err
		}
		if err := answer(ctx, w, model, hook); err != nil {
			return err
		}
	}
	return nil
}

// answer prints a line for each token: its text, and the strongest features at the position behind which it was chosen.
func answer(ctx context.Context, w io.Writer, model *runtime.Model, hook hooks.Hook) error {
	session, err := model.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := session.Attach(hook); err != nil {
		return err
	}
	prompt, err := model.Prompt(chat.Message{Role: "user", Content: "Tell me about your morning."})
	if err != nil {
		return err
	}
	behind := len(prompt) - 1
	for t, err := range session.Generate(ctx, prompt, runtime.Options{MaxTokens: 16}) {
		if err != nil {
			return err
		}
		var features []string
		for _, r := range t.Readings {
			if r.Kind == hooks.Feature && r.Position == behind {
				features = append(features, fmt.Sprintf("%d %.0f", r.Index, r.Value))
			}
		}
		fmt.Fprintf(w, "  %-12q %s\n", t.Text, strings.Join(features, ", "))
		behind++
	}
	return nil
}
