// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/steer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// trustFlags are those of verbs that generate: a receipt, a guard, and whether steering is tried out first.
type trustFlags struct {
	receipt string
	guard   string
	limits  dose.Limits
}

func (t *trustFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.receipt, "receipt", "", "file for what each answer was made of; trimtab replay makes it again")
	f.Float64Var(&t.limits.KL, "max-kl", 0, "most nats by which steering may move a next-token distribution; the plain model runs beside (0 is no limit)")
	f.Float64Var(&t.limits.Ratio, "max-ratio", 0, "most that an edit may be long, as a share of the activation's length (0 is no limit)")
	f.StringVar(&t.guard, "guard", "hold", "what happens beyond --max-kl and --max-ratio: hold steering back to them, or stop the answer")
}

func (t *trustFlags) check() error {
	t.limits.Stop = t.guard == "stop"
	if err := oneOf("guard", []string{t.guard}, "hold stop"); err != nil {
		return err
	}
	return t.limits.Check()
}

// recorder opens the receipt, where one was asked for.
func (t *trustFlags) recorder(m *runtime.Model) (*receipt.Recorder, error) {
	if t.receipt == "" {
		return nil, nil
	}
	return receipt.New(t.receipt, built(), m)
}

// rigged is a session with steering on it.
type rigged struct {
	*runtime.Session
	steering []receipt.Attached
	guard    *dose.Guard
}

func (r *rigged) Close() {
	r.Session.Close()
	r.guard.Close()
}

// rig opens a session with hooks attached, with a guard around them where there are limits.
func (t *trustFlags) rig(m *runtime.Model, list []hooks.Hook) (*rigged, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	r := &rigged{Session: s}
	if t.limits.On() {
		r.guard, err = dose.NewGuard(m, t.limits)
	}
	if err == nil {
		err = r.attach(list)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *rigged) attach(list []hooks.Hook) error {
	var at []*runtime.Attachment
	if r.guard != nil {
		all, err := r.guard.Attach(r.Session, list...)
		if err != nil {
			return err
		}
		at = all[1:]
	} else {
		all, err := r.AttachAll(list...)
		if err != nil {
			return err
		}
		at = all
	}
	for i, h := range list {
		if l, ok := h.(*steer.Loaded); ok {
			r.steering = append(r.steering, receipt.Attached{Hook: l.Hook, At: at[i]})
		}
	}
	return nil
}

// record appends an answer to a receipt. Log-probabilities that were only asked for it are taken off again.
func (r *rigged) record(to *receipt.Recorder, limits dose.Limits, set *answer.Settings, a *answer.Answer, broken error) error {
	if to == nil {
		return nil
	}
	asked := receipt.Asked{Session: r.Session, Steering: r.steering, Limits: limits, Settings: *set, Broken: broken != nil}
	return to.Add(&asked, a)
}

func (a *app) replay() *cobra.Command {
	var json bool
	c := &cobra.Command{
		Use:   "replay RECEIPT",
		Short: "Make the answers of a receipt again, or say what is different",
		Long: "Compares the files, versions and processor with those of the receipt, runs every answer again, and says whether the tokens are the same. Where they are\n" +
			"not, the first difference is named, and what changed. Paths are those of the receipt: relative ones begin at the working folder.\n\n" +
			"The exit status is 0 where all files and all tokens are the same.",
		Example: "  trimtab generate model.gguf --prompt 'Hello' --steer vector:happy.gguf*4 --receipt run.jsonl\n" +
			"  trimtab replay run.jsonl",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error {
		return a.runReplay(ctx, args[0], json)
	})
	c.Flags().BoolVar(&json, "json", false, "print one JSON object")
	return c
}

// replayedAnswers is what replay prints as JSON.
type replayedAnswers struct {
	Answers    int                 `json:"answers"`
	Tokens     int                 `json:"tokens"`
	Same       bool                `json:"same_tokens"`
	Changes    []receipt.Change    `json:"changes"`
	Difference *receipt.Difference `json:"difference,omitempty"`
}

func (a *app) runReplay(ctx context.Context, path string, json bool) (err error) {
	h, runs, err := receipt.Open(path)
	if err != nil {
		return err
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	m, err := runtime.Open(h.Model.Path, h.Config())
	if err != nil {
		return unreplayable(h, runs, err)
	}
	defer closing(m, &err)
	out := replayedAnswers{Answers: len(runs), Same: true, Changes: receipt.Changes(h, runs, built(), m)}
	p := receipt.NewPlayer(m, runs)
	defer p.Close()
	for i := range runs {
		got, err := p.Play(ctx, &runs[i])
		if err != nil {
			return unreplayable(h, runs, err)
		}
		out.Tokens += len(runs[i].IDs)
		if out.Difference = receipt.Compare(&runs[i], got, pieces(m)); out.Difference != nil && !out.Difference.Same {
			out.Same = false
			break
		}
	}
	return a.printReplay(&out, path, json)
}

// pieces returns the text of tokens, where the model has a tokenizer.
func pieces(m *runtime.Model) func(int32) string {
	if tok, err := m.Tokenizer(); err == nil {
		return tok.Piece
	}
	return func(int32) string { return "" }
}

// unreplayable adds to an error what changed since the receipt.
func unreplayable(h *receipt.Header, runs []receipt.Run, err error) error {
	for _, c := range receipt.Changes(h, runs, "", nil) {
		err = errors.Join(err, errors.New("changed: "+c.String()))
	}
	return err
}

func (a *app) printReplay(out *replayedAnswers, path string, json bool) error {
	changed := 0
	for _, c := range out.Changes {
		if c.Contents {
			changed++
		}
	}
	if json {
		if err := jsonTo(a.out).Encode(out); err != nil {
			return err
		}
	} else {
		for _, c := range out.Changes {
			fmt.Fprintln(a.out, "changed: "+c.String())
		}
		if out.Difference != nil {
			fmt.Fprintln(a.out, out.Difference)
		}
		if out.Same {
			fmt.Fprintf(a.out, "the same %d tokens in %d answers\n", out.Tokens, out.Answers)
		}
	}
	switch {
	case !out.Same:
		return fmt.Errorf("replay %s: %s", path, out.Difference)
	case changed > 0:
		return fmt.Errorf("replay %s: the tokens are the same, but files are not those of the receipt: %d", path, changed)
	}
	return nil
}
