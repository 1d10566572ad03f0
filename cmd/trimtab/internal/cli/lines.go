// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// eachLine calls visit with every line of a JSONL stream that is not blank, and puts the line's number before its error.
// Before it waits for more input, it calls idle.
func eachLine(r io.Reader, idle func() error, visit func(line []byte) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		if in.Buffered() == 0 {
			if err := idle(); err != nil {
				return err
			}
		}
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := visit(line); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return idle()
		}
		if err != nil {
			return err
		}
	}
}

// jsonTo returns an encoder that leaves <, > and & as they are, one value a line.
func jsonTo(w io.Writer) *json.Encoder {
	e := json.NewEncoder(lineKeeper{w})
	e.SetEscapeHTML(false)
	return e
}

// lineKeeper escapes U+0085, at which some readers end a line; of the other characters with that effect the encoder takes care.
type lineKeeper struct{ w io.Writer }

func (k lineKeeper) Write(value []byte) (int, error) {
	if _, err := k.w.Write(bytes.ReplaceAll(value, []byte("\u0085"), []byte(`\u0085`))); err != nil {
		return 0, err
	}
	return len(value), nil
}
