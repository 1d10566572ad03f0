// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/steer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// sideVerb is one call of compare-steer.
type sideVerb struct {
	*app
	model    modelFlags
	trial    trialFlags
	trust    trustFlags
	specs    []string
	unproved bool
	settings answer.Settings
	files    []string
	json     bool

	to *receipt.Recorder
}

// side is what one steering did, or the plain model.
type side struct {
	Name    string        `json:"name"`
	Spec    string        `json:"spec,omitempty"`
	Point   dose.Point    `json:"point"`
	Text    *dose.Reading `json:"text"`
	Verdict string        `json:"verdict,omitempty"`
}

// sides is what compare-steer prints.
type sides struct {
	Model   string   `json:"model"`
	Measure string   `json:"measure,omitempty"`
	Prompts []string `json:"prompts"`
	Sides   []side   `json:"sides"` // the plain model first
}

func (a *app) compareSteer() *cobra.Command {
	v := &sideVerb{app: a, settings: answer.Defaults()}
	v.settings.Temperature, v.settings.MaxTokens = 0, 48
	c := &cobra.Command{
		Use:   "compare-steer MODEL --prompts FILE --steer A --steer B",
		Short: "Answer prompts plainly and under each steering, side by side, and measure both",
		Long: "Each --steer is tried by itself. Printed are the answers beside each other and, for each steering, the mean KL divergence of the next token behind the\n" +
			"prompts, what --measure sees (see calibrate --help), how long the edit is against the activation, and how the plain model likes the answers.\n" +
			"The output is Markdown; -o writes files, .html or .md.",
		Example: "  trimtab compare-steer model.gguf --prompts prompts.txt --steer vector:happy.gguf*4 --steer vector:happy.gguf*-4 -o sides.html",
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&v.specs, "steer", nil, "steering to compare (repeatable)")
	f.StringVar(&v.trial.prompts, "prompts", "", "file of prompts, one a line: a message, or an object with messages, prompt or ids; - is standard input")
	f.StringVar(&v.trial.measure, "measure", "", "JSON file that says what the steering is for: words, a probe or a concept")
	f.StringArrayVarP(&v.files, "output", "o", nil, "file to write, .html or .md (repeatable)")
	f.BoolVar(&v.json, "json", false, "print one JSON object")
	f.BoolVar(&v.unproved, "no-proof", false, "attach steering without trying out first that it does what it says")
	for _, name := range []string{"steer", "prompts"} {
		_ = c.MarkFlagRequired(name) // fails for a flag that does not exist
	}
	f.AddFlagSet(v.settings.Flags())
	v.trust.add(c)
	v.model.add(c)
	return c
}

func (v *sideVerb) check() error {
	for _, path := range v.files {
		if end := filepath.Ext(path); end != ".html" && end != ".md" {
			return fmt.Errorf("--output: want a file that ends in .html or .md, found %q", path)
		}
	}
	return errors.Join(v.trust.check(), v.settings.Check())
}

func (v *sideVerb) run(ctx context.Context, path string) (err error) {
	if err := v.check(); err != nil {
		return usageError{err}
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	if v.to, err = v.trust.recorder(m); err != nil {
		return err
	}
	defer closing(v.to, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	list, err := v.readPrompts(v.trial.prompts, m)
	if err != nil {
		return fmt.Errorf("--prompts %s: %w", v.trial.prompts, err)
	}
	meter, err := v.trial.meterOf(ctx, m, list)
	if err != nil {
		return err
	}
	out := &sides{Model: m.Shape().Model, Measure: meter.Measured()}
	piece := pieces(m)
	for _, ids := range list {
		text := ""
		for _, id := range ids {
			text += piece(id)
		}
		out.Prompts = append(out.Prompts, text)
	}
	progress := counting(v.err, "answering")
	for i := range len(v.specs) + 1 {
		one, err := v.side(ctx, m, meter, list, out.Sides, i)
		if err != nil {
			return err
		}
		out.Sides = append(out.Sides, *one)
		progress(int64(i+1), int64(len(v.specs)+1))
	}
	return v.write(out)
}

// side answers all prompts under the i-th steering, of which the first is none.
func (v *sideVerb) side(ctx context.Context, m *runtime.Model, meter *dose.Meter, prompts [][]int32, before []side, i int) (*side, error) {
	one := &side{Name: "plain", Point: dose.Point{Value: meter.Plain()}}
	var list []hooks.Hook
	if i > 0 {
		flag := steerFlag{specs: v.specs[i-1 : i], unproved: v.unproved}
		var err error
		if list, err = flag.load(ctx, m, v.err); err != nil {
			return nil, err
		}
	}
	if err := v.answers(ctx, m, meter, list, prompts, one); err != nil || i == 0 {
		return one, err
	}
	h := list[0].(*steer.Loaded)
	spec := h.Spec()
	one.Name, one.Spec = h.Name(), spec.String()
	s, err := meter.Steer(h)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	one.Point, err = s.At(ctx, float64(h.Strength().Value()))
	one.Verdict = meter.Verdict(h.Hook, &one.Point, one.Text.Broken(before[0].Text))
	return one, err
}

// answers asks every prompt in a session of its own.
func (v *sideVerb) answers(ctx context.Context, m *runtime.Model, meter *dose.Meter, list []hooks.Hook, prompts [][]int32, one *side) (err error) {
	g := generateVerb{app: v.app, trust: v.trust, settings: v.settings, to: v.to}
	texts := make([]dose.Text, len(prompts))
	for i, ids := range prompts {
		got, err := g.ask(ctx, m, list, ids, func(string) {})
		if err != nil {
			return fmt.Errorf("prompt %d: %w", i+1, err)
		}
		texts[i] = dose.Text{IDs: got.IDs, Text: got.Text}
	}
	one.Text, err = meter.Read(ctx, texts)
	return err
}

func (v *sideVerb) write(out *sides) error {
	for _, path := range v.files {
		write := out.markdown
		if filepath.Ext(path) == ".html" {
			write = out.html
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if v.json {
		return jsonTo(v.out).Encode(out)
	}
	if len(v.files) > 0 {
		return nil
	}
	return out.markdown(io.Writer(v.out))
}
