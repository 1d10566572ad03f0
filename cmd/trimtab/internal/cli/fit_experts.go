// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/chart"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/experts"
)

// fitExpertsVerb is one call of fit experts.
type fitExpertsVerb struct {
	*app
	model                   modelFlags
	rule                    ruleFlags
	target, contrast        string
	tokens, by, score, mode string
	factor                  float32
	top, most               int
	output, png             string
	targetMap, contrastMap  experts.Map
}

func (a *app) fitExperts() *cobra.Command {
	v := &fitExpertsVerb{app: a}
	c := &cobra.Command{
		Use:   "experts MODEL --target FILE --contrast FILE -o MASK.json",
		Short: "Find the experts that a class of prompts uses more than another",
		Long: "Counts which experts of each block the tokens of two classes of prompts choose (functional token resonance imaging, MoTE), and ranks experts by the\n" +
			"difference. Writes a mask file for --steer experts:FILE with the best of them, and a heat map of all scores, blocks by experts.\n\n" +
			"With --by response the prompts of both files are answered, and those whose answer is a refusal are the target class.\n" +
			"Scores: share of a prompt's tokens that choose the expert; risk, the same over all tokens of a class (SteerMoE's risk difference);\n" +
			"count of a prompt's tokens that do (MoTE); weight of the expert in a token's output.",
		Example: "  trimtab fit experts model --target refused.jsonl --contrast answered.jsonl --tokens answer -o experts.json\n" +
			"  trimtab chat model --steer experts:experts.json",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.target, "target", "", "JSONL file of prompts of the class whose experts are looked for (lines as in generate --in)")
	f.StringVar(&v.contrast, "contrast", "", "the same of the other class")
	f.StringVar(&v.tokens, "tokens", string(experts.Prompt), "tokens that are counted: prompt, last (of the prompt), answer")
	f.StringVar(&v.by, "by", "file", "what tells the classes apart: file, or response (refusals against all other answers)")
	f.StringVar(&v.score, "score", string(experts.Share), "share, risk, count or weight")
	f.IntVar(&v.top, "top", 10, "experts in the mask")
	f.StringVar(&v.mode, "mode", string(experts.OffDrop), "what the mask does to them: "+modeNames())
	f.Float32Var(&v.factor, "factor", 0, "factor of mode scale")
	f.IntVarP(&v.most, "n-predict", "n", 64, "most tokens of an answer")
	f.StringVarP(&v.output, "output", "o", "", "mask file to write")
	f.StringVar(&v.png, "png", "", "heat map to write (default: beside the mask)")
	for _, name := range []string{"target", "contrast", "output"} {
		_ = c.MarkFlagRequired(name) // fails for a flag that does not exist
	}
	v.rule.add(c)
	v.model.add(c)
	return c
}

func modeNames() string {
	var out []string
	for _, m := range experts.Modes() {
		out = append(out, string(m))
	}
	return strings.Join(out, ", ")
}

// fitting is what the flags ask for, checked.
type fitting struct {
	tokens experts.Tokens
	score  experts.Score
	mode   experts.Mode
}

func (v *fitExpertsVerb) check() (f fitting, err error) {
	f.tokens = experts.Tokens(v.tokens)
	switch f.tokens {
	case experts.Prompt, experts.Last, experts.Answer:
	default:
		return f, fmt.Errorf("--tokens: want prompt, last or answer, found %q", v.tokens)
	}
	if v.by != "file" && v.by != "response" {
		return f, fmt.Errorf("--by: want file or response, found %q", v.by)
	}
	if v.top < 1 {
		return f, fmt.Errorf("--top: want at least 1, found %d", v.top)
	}
	if f.score, err = experts.ParseScore(v.score); err != nil {
		return f, fmt.Errorf("--score: %w", err)
	}
	if f.mode, err = experts.ParseMode(v.mode); err != nil {
		return f, fmt.Errorf("--mode: %w", err)
	}
	if v.factor < 0 || (v.factor != 0 && f.mode != experts.Scale) {
		return f, errors.New("--factor: want a number of at least 0, with --mode scale")
	}
	if v.png == "" {
		v.png = strings.TrimSuffix(v.output, filepath.Ext(v.output)) + ".png"
	}
	return f, nil
}

func (v *fitExpertsVerb) run(ctx context.Context, path string) (err error) {
	f, err := v.check()
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
	if err := v.count(ctx, m, f.tokens); err != nil {
		return err
	}
	if v.by == "response" {
		fmt.Fprintf(v.err, "%d answers are refusals, %d are not\n", v.targetMap.Prompts, v.contrastMap.Prompts)
	}
	scores, err := f.score.Compare(&v.targetMap, &v.contrastMap)
	if err != nil {
		return err
	}
	return v.write(m, f, scores)
}

// count runs both files and sorts each prompt's map into its class.
func (v *fitExpertsVerb) count(ctx context.Context, m *runtime.Model, tokens experts.Tokens) error {
	rule, err := v.rule.read()
	if err != nil {
		return err
	}
	target, err := v.readQuestions(v.target, m)
	if err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	contrast, err := v.readQuestions(v.contrast, m)
	if err != nil {
		return fmt.Errorf("--contrast: %w", err)
	}
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	counter := experts.NewCounter(tokens)
	if _, err := s.Attach(counter); err != nil {
		return err
	}
	progress := counting(v.err, "prompts")
	all := append(target, contrast...)
	for i, q := range all {
		counter.Begin(len(q.ids))
		isTarget := i < len(target)
		switch {
		case v.by == "response":
			reply, err := greedy(ctx, s, q.ids, v.most)
			if err != nil {
				return fmt.Errorf("prompt %d: %w", i+1, err)
			}
			isTarget = rule.Refuses(reply)
		case tokens == experts.Answer:
			if _, err := greedy(ctx, s, q.ids, v.most); err != nil {
				return fmt.Errorf("prompt %d: %w", i+1, err)
			}
		default:
			s.Forget()
			if err := s.Read(ctx, q.ids, nil); err != nil {
				return fmt.Errorf("prompt %d: %w", i+1, err)
			}
		}
		if isTarget {
			v.targetMap.Add(counter.Map())
		} else {
			v.contrastMap.Add(counter.Map())
		}
		progress(int64(i+1), int64(len(all)))
	}
	return nil
}

// write stores the mask and the heat map, and prints the ranking's head.
func (v *fitExpertsVerb) write(m *runtime.Model, f fitting, scores [][]float64) (err error) {
	layers := v.targetMap.Layers
	ranked := experts.Rank(layers, scores)
	ranked = ranked[:min(v.top, len(ranked))]
	for i := range ranked {
		ranked[i].Mode, ranked[i].Value = f.mode, v.factor
	}
	file := experts.File{
		Model: m.Shape().Model, Tokens: string(f.tokens), Score: string(f.score), Layers: layers, Scores: scores, Experts: ranked,
		Target:   &experts.Class{Prompts: v.targetMap.Prompts, Tokens: v.targetMap.Tokens},
		Contrast: &experts.Class{Prompts: v.contrastMap.Prompts, Tokens: v.contrastMap.Tokens},
	}
	out, err := os.Create(v.output)
	if err != nil {
		return err
	}
	defer closing(out, &err)
	if err := file.Write(out); err != nil {
		return err
	}
	title := fmt.Sprintf("%s: %s of %s tokens, target - contrast", m.Shape().Model, f.score, f.tokens)
	grid := expertGrid(title, layers, scores)
	if err := grid.Save(v.png); err != nil {
		return err
	}
	fmt.Fprintf(v.out, "%s\n%s\n", title, grid.Text(100))
	for _, r := range ranked {
		fmt.Fprintf(v.out, "%-8s %+.4f\n", r.Expert, r.Points)
	}
	fmt.Fprintf(v.err, "mask: %s, heat map: %s\n", v.output, v.png)
	return nil
}

// expertGrid is a map of blocks by experts.
func expertGrid(title string, layers []int, values [][]float64) *chart.Grid {
	g := &chart.Grid{Title: title, Across: "expert", Values: values}
	for _, l := range layers {
		g.Rows = append(g.Rows, fmt.Sprint(l))
	}
	return g
}
