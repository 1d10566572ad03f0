// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/experts"
)

// evalExpertsVerb is one call of eval experts.
type evalExpertsVerb struct {
	*app
	model                    modelFlags
	rule                     ruleFlags
	search                   searchFlags
	mask, prompts, benign    string
	random, most             int
	seed                     uint64
	plot                     string
	json                     bool
	judge                    *judge.Rule
	trialPrompts, trialOther []question
}

func (a *app) evalExperts() *cobra.Command {
	v := &evalExpertsVerb{app: a}
	c := &cobra.Command{
		Use:   "experts MODEL (--mask FILE|SPEC | --search) --prompts FILE --benign FILE",
		Short: "Measure what a mask over experts does to refusals, to other answers and to the loss",
		Long: "Answers prompts with and without a mask, greedily, and with random masks of the same modes on as many other experts of the same blocks.\n\n" +
			"A reply is a refusal (has a mark), a fragment (a piece of a refusal's wording without a mark: no refusal by the count of marks, and no answer), right (names the\n" +
			"topics in the line's nouns and all its keywords), partly right (30 % of the keywords) or other. The loss is that of each benign line's reference, or of\n" +
			"the unmasked reply where it has none. Intervals are of 95 %.\n\n" +
			"With --search a mask is grown on training prompts, expert by expert, and then measured on the others like a given one.",
		Example: "  trimtab eval experts model --mask experts.json --prompts refused.jsonl --benign answered.jsonl --random 10\n" +
			"  trimtab eval experts model --mask off-replace=1/7,1/10 --prompts refused.jsonl --benign answered.jsonl --json\n" +
			"  trimtab eval experts model --search --train a.jsonl --train-benign b.jsonl --prompts refused.jsonl --benign answered.jsonl -o found.json",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.mask, "mask", "", "mask: a file, or MODE=LAYER/EXPERT,... with what may follow it in --steer experts:")
	f.StringVar(&v.prompts, "prompts", "", "JSONL file of prompts whose behaviour the mask is to change (messages, prompt or ids; keywords, nouns)")
	f.StringVar(&v.benign, "benign", "", "the same of prompts that it is not to change (and reference)")
	f.IntVar(&v.random, "random", 0, "random masks to compare with")
	f.Uint64Var(&v.seed, "seed", 1, "seed of the random masks")
	f.IntVarP(&v.most, "n-predict", "n", 64, "most tokens of an answer")
	f.StringVar(&v.plot, "plot", "", "chart of the rates to write (.png, .svg, .pdf)")
	f.BoolVar(&v.json, "json", false, "print one JSON object rather than a table")
	_ = c.MarkFlagRequired("prompts") // fails for a flag that does not exist
	_ = c.MarkFlagRequired("benign")
	v.search.add(c)
	c.MarkFlagsOneRequired("mask", "search")
	c.MarkFlagsMutuallyExclusive("mask", "search")
	v.rule.add(c)
	v.model.add(c)
	return c
}

func (v *evalExpertsVerb) run(ctx context.Context, path string) (err error) {
	if v.random < 0 || v.most < 1 {
		return usageError{errors.New("--random and --n-predict: want at least 0 and at least 1")}
	}
	if v.judge, err = v.rule.read(); err != nil {
		return err
	}
	if err := v.search.check(); err != nil {
		return usageError{err}
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	if v.trialPrompts, err = v.readQuestions(v.prompts, m); err != nil {
		return fmt.Errorf("--prompts: %w", err)
	}
	if v.trialOther, err = v.readQuestions(v.benign, m); err != nil {
		return fmt.Errorf("--benign: %w", err)
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	mask, err := v.chosen(ctx, m)
	if err != nil {
		return err
	}
	trials, err := v.trials(ctx, m, mask)
	if err != nil {
		return err
	}
	return v.report(m, trials)
}

// chosen is the mask that is given, or the one that a search finds.
func (v *evalExpertsVerb) chosen(ctx context.Context, m *runtime.Model) (*steering.Masking, error) {
	if v.search.on {
		return v.searched(ctx, m)
	}
	h, err := steering.Load("experts:" + v.mask)
	if err != nil {
		return nil, fmt.Errorf("--mask: %w", err)
	}
	return h.(*steering.Masking), nil // what experts: loads
}

// trials measures no mask, the mask, and random ones.
func (v *evalExpertsVerb) trials(ctx context.Context, m *runtime.Model, mask *steering.Masking) ([]*trial, error) {
	progress := counting(v.err, "trials")
	plain, err := v.measure(ctx, m, "none", nil, nil)
	if err != nil {
		return nil, err
	}
	progress(1, int64(2+v.random))
	masked, err := v.measure(ctx, m, "mask", mask, plain)
	if err != nil {
		return nil, err
	}
	progress(2, int64(2+v.random))
	out := []*trial{plain, masked}
	r := rand.New(rand.NewPCG(v.seed, 0))
	for i := range v.random {
		other, err := mask.Mask().Random(m.Shape(), r)
		if err != nil {
			return nil, err
		}
		t, err := v.measure(ctx, m, fmt.Sprintf("random %d", i+1), mask.With(other), plain)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		progress(int64(3+i), int64(2+v.random))
	}
	return out, nil
}

// searchFlags are those of --search.
type searchFlags struct {
	on                             bool
	train, trainBenign, candidates string
	mode                           string
	factor                         float32
	most, beam, sample             int
	maxLoss                        float64
	output                         string
}

func (s *searchFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&s.on, "search", false, "grow a mask on training prompts")
	f.StringVar(&s.train, "train", "", "training prompts whose behaviour is to change (with --search)")
	f.StringVar(&s.trainBenign, "train-benign", "", "training prompts whose loss is to stay (with --search)")
	f.StringVar(&s.candidates, "candidates", "", "mask file with the experts that may be added (default: all)")
	f.StringVar(&s.mode, "mode", string(experts.OffDrop), "what is done to them: "+modeNames())
	f.Float32Var(&s.factor, "factor", 0, "factor of mode scale")
	f.IntVar(&s.most, "most", 8, "experts of the mask")
	f.IntVar(&s.beam, "beam", 1, "masks of one size that are grown on")
	f.IntVar(&s.sample, "sample", 40, "training prompts of each file that are used")
	f.Float64Var(&s.maxLoss, "max-loss", 0.1, "by how much the loss of benign references may rise, in nats a token")
	f.StringVarP(&s.output, "output", "o", "", "file for the mask that is found")
}

func (s *searchFlags) check() error {
	if !s.on {
		return nil
	}
	if s.train == "" || s.trainBenign == "" {
		return errors.New("--search: want --train and --train-benign, so that what is found is not measured on what it was found on")
	}
	if s.most < 1 || s.beam < 1 || s.sample < 1 || s.factor < 0 {
		return errors.New("--most, --beam and --sample: want at least 1")
	}
	return nil
}
