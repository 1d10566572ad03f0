// SPDX-License-Identifier: Apache-2.0

// Command rules answers under a program of rules over the features of a dictionary, and says which rules fired at each token.
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
		log.Fatal("usage: rules MODEL RULES.txt QUESTION")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer, path, program, question string) error {
	model, err := runtime.Open(path, runtime.Config{})
	if err != nil {
		return err
	}
	defer model.Close()
	session, err := model.NewSession()
	if err != nil {
		return err
	}
	rules, err := steering.Load("rules:" + program)
	if err != nil {
		return err
	}
	if _, err := session.Attach(rules); err != nil {
		return err
	}
	prompt, err := model.Prompt(chat.Message{Role: "user", Content: question})
	if err != nil {
		return err
	}
	for t, err := range session.Generate(ctx, prompt, runtime.Options{MaxTokens: 30}) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-12q %s\n", t.Text, fired(t.Readings))
	}
	return nil
}

// fired lists the rules that fired since the token before, each once.
func fired(readings []hooks.Reading) string {
	var titles []string
	seen := map[int32]bool{}
	for _, r := range readings {
		if r.Kind == hooks.Rule && !seen[r.Index] {
			seen[r.Index] = true
			titles = append(titles, r.Label)
		}
	}
	return strings.Join(titles, "; ")
}
