// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/models"
)

func (a *app) tokenize() *cobra.Command {
	return &cobra.Command{
		Use:   "tokenize MODEL",
		Short: "Turn lines of text into token ids",
		Long: `Reads lines of {"text":"…"} from standard input and writes {"text":"…","ids":[…]} for each.` + "\n" +
			"Special tokens in a text are parsed; nothing is added.",
		Example: `  echo '{"text":"Hello"}' | trimtab tokenize model.gguf`,
		Args:    cobra.ExactArgs(1),
		RunE: a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error {
			return a.runTokenize(ctx, args[0])
		}),
	}
}

func (a *app) runTokenize(ctx context.Context, name string) (err error) {
	path, err := resolve(ctx, name, a.err)
	if err != nil {
		return err
	}
	m, err := models.Open(path)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	tok, err := m.Tokenizer()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(a.out, 1<<16)
	lines := jsonTo(out)
	err = eachLine(a.in, out.Flush, func(line []byte) error {
		var item struct {
			Text *string `json:"text"`
			IDs  []int32 `json:"ids"`
		}
		if err := json.Unmarshal(line, &item); err != nil {
			return err
		}
		if item.Text == nil {
			return errors.New(`want {"text":"…"}`)
		}
		item.IDs = tok.Encode([]int32{}, *item.Text, true)
		return lines.Encode(item)
	})
	if err != nil {
		return errors.Join(fmt.Errorf("tokenize: %w", err), out.Flush())
	}
	return nil
}
