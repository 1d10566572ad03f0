// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"math"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/chart"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// calibrateVerb is one call of calibrate.
type calibrateVerb struct {
	*app
	model  modelFlags
	trial  trialFlags
	spec   string
	sites  []string
	budget float64
	png    string
	json   bool
}

// calibrated is what calibrate prints as JSON.
type calibrated struct {
	Budget  float64       `json:"budget"`
	Prompts int           `json:"prompts"`
	Measure string        `json:"measure,omitempty"`
	Plain   float64       `json:"plain"` // the measure without steering
	Text    *dose.Reading `json:"plain_text,omitempty"`
	Doses   []*dose.Dose  `json:"doses"`
}

func (a *app) calibrate() *cobra.Command {
	v := &calibrateVerb{app: a}
	c := &cobra.Command{
		Use:   "calibrate MODEL --steer SPEC --prompts FILE",
		Short: "Find the strength at which steering moves next tokens by a budget, and say what it does there",
		Long: "Looks for the strength at which the mean KL divergence between the plain and the steered next-token distributions behind the prompts meets a budget, and\n" +
			"prints for it: what --measure sees, how long the edit is against the activation, and how the plain model likes the steered text. Where directions stand at\n" +
			"many blocks, the first, the middle and the last third of them are tried too; --sites tries other ranges.\n\n" +
			"A line of --prompts is a message, or a JSON object as of generate --in. --measure is a JSON file: {\"positive\": [\"happy\"], \"negative\": [\"sad\"]} for\n" +
			"the difference of the mean logits of words, {\"probe\": \"vector:FILE@SITE\"} for the length along a direction, {\"concept\": \"FILE\", \"name\": \"NAME\"}\n" +
			"for what fit concepts reads. The knee is the strength behind which more divergence buys little more of the measure.",
		Example: "  trimtab calibrate model.gguf --steer vector:happy.gguf --prompts prompts.txt --measure happy.json\n" +
			"  trimtab calibrate model.gguf --steer vector:happy.gguf --prompts prompts.txt --sites resid_post.10-14 --sites resid_post.18-22 --kl 0.2 --png dose.png",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.spec, "steer", "", "steering whose strength is looked for; the sign of its strength is kept")
	v.trial.add(c)
	f.Float64Var(&v.budget, "kl", 0.5, "mean KL divergence to reach, in nats")
	f.StringArrayVar(&v.sites, "sites", nil, "sites to try the directions at, instead of the steering's own (repeatable)")
	f.StringVar(&v.png, "png", "", "file for the curves (.png, .svg or .pdf)")
	f.BoolVar(&v.json, "json", false, "print one JSON object, with everything that was measured")
	_ = c.MarkFlagRequired("steer") // fails for a flag that does not exist
	v.model.add(c)
	return c
}

func (v *calibrateVerb) run(ctx context.Context, path string) (err error) {
	if !(v.budget > 0) || math.IsInf(v.budget, 0) {
		return usageError{fmt.Errorf("--kl: want a budget above 0, found %g", v.budget)}
	}
	spec, err := steering.Parse(v.spec)
	if err != nil {
		return usageError{err}
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	meter, err := v.trial.meter(ctx, v.app, m)
	if err != nil {
		return err
	}
	specs, err := v.ranges(spec, m)
	if err != nil {
		return err
	}
	out := &calibrated{Budget: v.budget, Prompts: meter.Prompts(), Measure: meter.Measured(), Plain: meter.Plain()}
	if v.trial.tokens > 0 {
		if out.Text, err = meter.Write(ctx, v.trial.tokens); err != nil {
			return err
		}
	}
	progress := counting(v.err, "calibrating")
	for i, s := range specs {
		h, err := steering.Open(s)
		if err != nil {
			return err
		}
		d, err := meter.Find(ctx, h, v.budget, v.trial.tokens, out.Text)
		if err != nil {
			return err
		}
		out.Doses = append(out.Doses, d)
		progress(int64(i+1), int64(len(specs)))
	}
	return v.write(out)
}

// ranges are the spec at every range of sites that is tried.
func (v *calibrateVerb) ranges(spec *steering.Spec, m *runtime.Model) ([]*steering.Spec, error) {
	h, err := steering.Open(spec)
	if err != nil {
		return nil, err
	}
	if len(v.sites) == 0 {
		return dose.Ranges(spec, h, m.Shape())
	}
	var out []*steering.Spec
	for _, list := range v.sites {
		if _, err := m.Shape().Select(list); err != nil {
			return nil, fmt.Errorf("--sites: %w", err)
		}
		one := *spec
		one.Sites = list
		out = append(out, &one)
	}
	return out, nil
}

func (v *calibrateVerb) write(out *calibrated) error {
	if v.png != "" {
		if err := out.draw(v.png); err != nil {
			return err
		}
	}
	if v.json {
		return jsonTo(v.out).Encode(out)
	}
	return out.print(v.app)
}

func (o *calibrated) print(a *app) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	head := "sites\tstrength\tKL\tedit/activation"
	if o.Measure != "" {
		head += "\t" + o.Measure + "\teffect"
	}
	if o.Text != nil {
		head += "\tperplexity\tnew pairs"
	}
	fmt.Fprintln(w, head)
	plain := dose.Point{Value: o.Plain}
	o.line(w, "plain", &plain, o.Text)
	for _, d := range o.Doses {
		o.line(w, d.Sites, &d.Result.At, d.Text)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, d := range o.Doses {
		fmt.Fprintf(a.out, "\n%s\n", d.Spec)
		if d.Verdict != "" {
			fmt.Fprintln(a.out, "  "+d.Verdict)
		}
		if k := d.Result.Knee; k >= 0 && d.Works != nil && *d.Works {
			p := &d.Result.Points[k]
			fmt.Fprintf(a.out, "  knee: strength %.3g, KL %.3g, effect %+.3g\n", p.Strength, p.KL, p.Effect)
		}
		o.curve(a, d)
	}
	return nil
}

func (o *calibrated) line(w *tabwriter.Writer, name string, p *dose.Point, text *dose.Reading) {
	fmt.Fprintf(w, "%s\t%.4g\t%.3f\t%.3f", name, p.Strength, p.KL, p.Ratio)
	if o.Measure != "" {
		fmt.Fprintf(w, "\t%.3f\t%+.3f", p.Value, p.Effect)
	}
	if text != nil {
		fmt.Fprintf(w, "\t%.3g\t%.0f %%", text.Perplexity, 100*text.Distinct)
	}
	fmt.Fprintln(w)
}

// curve prints what was measured on the way.
func (o *calibrated) curve(a *app, d *dose.Dose) {
	for _, p := range d.Result.Points {
		fmt.Fprintf(a.out, "  %10.4g  KL %.4f", p.Strength, p.KL)
		if o.Measure != "" {
			fmt.Fprintf(a.out, "  effect %+.3f", p.Effect)
		}
		fmt.Fprintln(a.out)
	}
}

// draw shows divergence over strength and, with a measure, effect over divergence. Points far beyond the budget, from the search's first steps, are left out.
func (o *calibrated) draw(path string) error {
	kl := chart.Panel{Title: "how far next tokens move", X: "strength", Y: "mean KL (nats)", Level: o.Budget}
	effect := chart.Panel{Title: "what that buys", X: "mean KL (nats)", Y: "effect on " + o.Measure}
	for _, d := range o.Doses {
		a := chart.Curve{Name: d.Sites, X: []float64{0}, Y: []float64{0}, Mark: -1}
		b := a
		for i, p := range d.Result.Points {
			if !(p.KL < 5*o.Budget) {
				continue
			}
			if i == d.Result.Knee && d.Works != nil && *d.Works {
				b.Mark = len(b.X)
			}
			if p.Strength == d.Result.At.Strength {
				a.Mark = len(a.X)
			}
			a.X, a.Y = append(a.X, p.Strength), append(a.Y, p.KL)
			b.X, b.Y = append(b.X, p.KL), append(b.Y, p.Effect)
		}
		kl.Curves, effect.Curves = append(kl.Curves, a), append(effect.Curves, b)
	}
	if o.Measure == "" {
		return chart.Panels(path, kl)
	}
	return chart.Panels(path, kl, effect)
}

// trialFlags are those of verbs that try steering out on prompts.
type trialFlags struct {
	prompts string
	measure string
	tokens  int
}

func (t *trialFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.prompts, "prompts", "", "file of prompts, one a line: a message, or an object with messages, prompt or ids; - is standard input")
	f.StringVar(&t.measure, "measure", "", "JSON file that says what the steering is for: words, a probe or a concept")
	f.IntVarP(&t.tokens, "n-predict", "n", 24, "tokens of text behind every prompt, for its perplexity; 0 is none")
	_ = c.MarkFlagRequired("prompts") // fails for a flag that does not exist
}

// meter runs the plain model over the prompts.
func (t *trialFlags) meter(ctx context.Context, a *app, m *runtime.Model) (*dose.Meter, error) {
	if t.tokens < 0 {
		return nil, usageError{fmt.Errorf("-n: want at least 0, found %d", t.tokens)}
	}
	list, err := a.readPrompts(t.prompts, m)
	if err != nil {
		return nil, fmt.Errorf("--prompts %s: %w", t.prompts, err)
	}
	return t.meterOf(ctx, m, list)
}

func (t *trialFlags) meterOf(ctx context.Context, m *runtime.Model, list [][]int32) (*dose.Meter, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("--prompts %s: want one line or more, found none", t.prompts)
	}
	var measure *dose.Measure
	if t.measure != "" {
		var err error
		if measure, err = dose.ReadMeasure(t.measure, m); err != nil {
			return nil, err
		}
	}
	return dose.NewMeter(ctx, m, list, measure)
}
