// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/safetensors"
)

func (l *loader) plain(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return l.text(string(data))
}

// item is one text of a JSON file.
type item struct {
	text     *string
	messages []chat.Message
}

// UnmarshalJSON accepts a string or an object with text or messages.
func (t *item) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &t.text)
	}
	var o struct {
		Text     *string        `json:"text"`
		Messages []chat.Message `json:"messages"`
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	if (o.Text == nil) == (o.Messages == nil) {
		return errors.New("want a string, or an object with text or messages")
	}
	t.text, t.messages = o.Text, o.Messages
	return nil
}

func (l *loader) item(data []byte) error {
	var t item
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	if t.messages != nil {
		return l.dialogue(t.messages)
	}
	return l.text(*t.text)
}

func (l *loader) list(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var all []json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("want a list of texts: %w", err)
	}
	for i, one := range all {
		if err := l.item(one); err != nil {
			return fmt.Errorf("text %d: %w", i+1, err)
		}
	}
	return nil
}

func (l *loader) lines(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if one := bytes.TrimSpace(line); len(one) > 0 {
			if err := l.item(one); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ids reads sequences that are tokens already.
func (l *loader) ids(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if len(f.Tensors) != 1 || len(f.Tensors[0].Shape) != 2 {
		return fmt.Errorf("want one tensor [sequences, tokens], found %d tensors", len(f.Tensors))
	}
	t := f.Tensors[0]
	all, err := t.AppendInt64(nil)
	if err != nil {
		return err
	}
	for i := range t.Shape[0] {
		var ids []int32
		for _, id := range all[i*t.Shape[1] : (i+1)*t.Shape[1]] {
			if id < 0 {
				break
			}
			if id > 1<<31-1 {
				return fmt.Errorf("sequence %d: want token ids, found %d", i, id)
			}
			ids = append(ids, int32(id))
		}
		l.add(ids)
		l.corpus.Sources++
	}
	return nil
}
