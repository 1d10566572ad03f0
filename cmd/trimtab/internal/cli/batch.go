// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

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
	m, err := v.openShared(ctx, path)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	list, err := v.steer.load(ctx, m, v.err)
	if err != nil {
		return err
	}
	if v.parallel == 1 {
		var conditions []*condition
		if list, conditions, err = watchConditions(m, list); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				sayUnfired(v.err, conditions)
			}
		}()
	}
	if v.to, err = v.trust.recorder(m); err != nil {
		return err
	}
	defer closing(v.to, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	return v.answerAll(ctx, m, list, records)
}

// openShared opens the model so that answers at the same time share passes, where it can: not on ONNX Runtime's attention, which exact weights run on.
func (v *generateVerb) openShared(ctx context.Context, path string) (*runtime.Model, error) {
	shared := v.model
	if v.parallel > 1 && (v.model.quant != string(runtime.Float32) || v.model.kern == string(runtime.Own)) {
		shared.config.Batch = v.parallel
	}
	m, err := shared.open(ctx, path, v.err)
	if errors.Is(err, runtime.ErrNoBatch) {
		return v.model.open(ctx, path, v.err)
	}
	return m, err
}

// answered is what came of a record.
type answered struct {
	got *answer.Answer
	err error
}

// answerAll answers as many records at a time as --parallel says, and prints them in their order.
func (v *generateVerb) answerAll(ctx context.Context, m *runtime.Model, list []hooks.Hook, records []record) error {
	ctx, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	results := make([]chan answered, len(records))
	for i := range results {
		results[i] = make(chan answered, 1)
	}
	var next atomic.Int64
	for range min(v.parallel, len(records)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(records)); i = next.Add(1) - 1 {
				got, err := (*answer.Answer)(nil), ctx.Err()
				if err == nil {
					got, err = v.answer(ctx, m, list, &records[i])
				}
				results[i] <- answered{got, err}
			}
		})
	}
	progress := counting(v.err, "answers")
	lines := jsonTo(v.out)
	for i := range records {
		r := <-results[i]
		if r.err != nil {
			return fmt.Errorf("--in %s: prompt %d: %w", v.in, i+1, r.err)
		}
		merged, err := records[i].with(r.got)
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
