// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// record is a line of --in: a prompt, and fields that are carried over.
type record struct {
	prompt
	others map[string]json.RawMessage
}

// batch answers every line of a file. All lines are read before the first is answered, so that a broken one costs no work.
func (v *generateVerb) batch(ctx context.Context, path string) (err error) {
	records, err := v.readRecords()
	if err != nil {
		return fmt.Errorf("--in %s: %w", v.in, err)
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	list, err := v.steer.load(ctx, m, v.err)
	if err != nil {
		return err
	}
	list, conditions, err := watchConditions(m, list)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			sayUnfired(v.err, conditions)
		}
	}()
	if v.to, err = v.trust.recorder(m); err != nil {
		return err
	}
	defer closing(v.to, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	progress := counting(v.err, "answers")
	lines := jsonTo(v.out)
	for i := range records {
		got, err := v.answer(ctx, m, list, &records[i])
		if err != nil {
			return fmt.Errorf("--in %s: prompt %d: %w", v.in, i+1, err)
		}
		merged, err := records[i].with(got)
		if err != nil {
			return err
		}
		if err := lines.Encode(merged); err != nil {
			return err
		}
		progress(int64(i+1), int64(len(records)))
	}
	return nil
}

func (v *generateVerb) readRecords() ([]record, error) {
	data, err := v.readInput(v.in)
	if err != nil {
		return nil, err
	}
	var out []record
	err = eachLine(bytes.NewReader(data), func() error { return nil }, func(line []byte) error {
		var r record
		if err := json.Unmarshal(line, &r.others); err != nil {
			return err
		}
		if err := json.Unmarshal(line, &r.prompt); err != nil {
			return err
		}
		for _, name := range []string{"messages", "prompt", "ids"} {
			delete(r.others, name)
		}
		out = append(out, r)
		return r.check()
	})
	return out, err
}

// answer runs one record.
func (v *generateVerb) answer(ctx context.Context, m *runtime.Model, list []hooks.Hook, r *record) (*answer.Answer, error) {
	ids, err := r.tokens(m)
	if err != nil {
		return nil, err
	}
	return v.ask(ctx, m, list, ids, func(string) {})
}

// with returns the carried fields and those of the answer as one object.
func (r *record) with(a *answer.Answer) (map[string]json.RawMessage, error) {
	var text bytes.Buffer
	if err := jsonTo(&text).Encode(a); err != nil {
		return nil, err
	}
	if r.others == nil {
		r.others = map[string]json.RawMessage{}
	}
	return r.others, json.Unmarshal(text.Bytes(), &r.others)
}
