// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/stimuli"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/fit"
)

// fitVectorVerb is one call of fit vector.
type fitVectorVerb struct {
	*app
	model                      modelFlags
	positive, negative, pairs  string
	heldPositive, heldNegative string
	persona, against           string
	suffixes, template         string
	method, read, sites        string
	output                     string
	folds                      int
	chat, json                 bool
}

func (a *app) fitVector() *cobra.Command {
	v := &fitVectorVerb{app: a}
	c := &cobra.Command{
		Use:   "vector MODEL (--positive FILE --negative FILE | --pairs FILE | --persona TEXT --against TEXT) -o OUT.gguf|OUT.safetensors",
		Short: "Make a steering vector of texts of two kinds",
		Long: "Runs the texts, reads one activation of each at every site, and makes a direction for every block: the difference of means (diffmean, with its own\n" +
			"length), the first principal component of the pairs' differences (pca, as repeng and RepE take it; pca-center, without taking their mean off first),\n" +
			"or the normal of a logistic classifier; those three have length 1.\n\n" +
			"A file of one kind has a text a line, or (.json, .jsonl) strings and objects with one of prompt, messages and ids. Pairs are objects with positive and\n" +
			"negative; with a prompt too they are answers to it, as are those of CAA's data sets (question, answer_matching_behavior,\n" +
			"answer_not_matching_behavior). With --persona pairs are made as in repeng: the template with either persona in place of {persona}, and the beginnings\n" +
			"of answers in --suffixes, a line each.\n\n" +
			"--read says which tokens count: the last; the mean of all but special ones; the answer, which is the last token with a letter or a digit (the A of\n" +
			"(A)); or the suffix, which is the mean over what both texts of a pair end with.\n\n" +
			"For every block all methods are made, and compared by how well they tell texts apart that they were not made of, by their cosines with the difference of\n" +
			"means and from block to block, and by their length against the activation's. Layers to steer at are suggested, with the reason.",
		Example: "  trimtab fit vector model.gguf --pairs pairs.jsonl --method pca -o happy.gguf\n" +
			"  trimtab fit vector model.gguf --persona \"happy, joyful\" --against \"sad, depressed\" -o happy.gguf\n" +
			"  trimtab fit vector model.gguf --pairs generate_dataset.json --read answer -o caa.safetensors",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	v.flags(c)
	c.MarkFlagsMutuallyExclusive("positive", "pairs", "persona")
	c.MarkFlagsOneRequired("positive", "pairs", "persona")
	c.MarkFlagsRequiredTogether("positive", "negative")
	c.MarkFlagsRequiredTogether("persona", "against")
	c.MarkFlagsRequiredTogether("held-positive", "held-negative")
	_ = c.MarkFlagRequired("output") // fails for a flag that does not exist
	v.model.add(c)
	return c
}

func (v *fitVectorVerb) flags(c *cobra.Command) {
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.positive, "positive", "", "texts that the vector is to lead to")
	f.StringVar(&v.negative, "negative", "", "texts that it is to lead away from; for pca the i-th belongs to the i-th positive one")
	f.StringVar(&v.pairs, "pairs", "", "pairs of texts, or prompts with two answers")
	f.StringVar(&v.persona, "persona", "", "persona that the vector is to lead to, such as \"happy, joyful\"")
	f.StringVar(&v.against, "against", "", "persona that it is to lead away from")
	f.StringVar(&v.suffixes, "suffixes", "", "file of beginnings of answers for personas (default: built-in ones)")
	f.StringVar(&v.template, "template", "", "what a user asks a persona for, with {persona} in it (default: a built-in one)")
	f.StringVar(&v.method, "method", string(fit.DiffMean), "diffmean, pca, pca-center or logistic")
	f.StringVar(&v.read, "read", string(stimuli.Last), "last, mean, answer or suffix")
	f.StringVar(&v.sites, "sites", string(hooks.ResidPost)+".*", "where to read, and where the vector acts unless a spec says otherwise")
	f.BoolVar(&v.chat, "chat", false, "plain texts are messages of a user, through the model's template; otherwise they are taken as they stand")
	f.StringVar(&v.heldPositive, "held-positive", "", "other texts to measure on (default: parts of the texts are held out in turn)")
	f.StringVar(&v.heldNegative, "held-negative", "", "the same of the other kind")
	f.IntVar(&v.folds, "folds", 5, "parts that are held out in turn; 0 holds nothing out")
	f.StringVarP(&v.output, "output", "o", "", "vector file to write: .gguf as llama.cpp reads it, or .safetensors")
	f.BoolVar(&v.json, "json", false, "print one JSON object")
}

func (v *fitVectorVerb) check() error {
	ext := filepath.Ext(v.output)
	switch {
	case !slices.Contains(fit.Methods(), fit.Method(v.method)):
		return fmt.Errorf("--method: want one of %v, found %q", fit.Methods(), v.method)
	case !slices.Contains(stimuli.Reads(), stimuli.Read(v.read)):
		return fmt.Errorf("--read: want one of %v, found %q", stimuli.Reads(), v.read)
	case ext != ".gguf" && ext != ".safetensors":
		return fmt.Errorf("--output: want a file that ends in .gguf or .safetensors, found %q", v.output)
	case v.folds < 0 || v.folds == 1:
		return fmt.Errorf("--folds: want 0 or at least 2, found %d", v.folds)
	case v.persona == "" && (v.suffixes != "" || v.template != ""):
		return errors.New("--suffixes, --template: want --persona with them")
	}
	return nil
}

func (v *fitVectorVerb) run(ctx context.Context, path string) (err error) {
	if err := v.check(); err != nil {
		return usageError{err}
	}
	set, held, err := v.texts()
	if err != nil {
		return err
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	made, err := v.fit(ctx, m, set, held)
	if err != nil {
		return err
	}
	if err := made.save(v); err != nil {
		return err
	}
	if v.json {
		return jsonTo(v.out).Encode(made.report())
	}
	return made.table(v.out)
}

// texts reads all files.
func (v *fitVectorVerb) texts() (set, held *stimuli.Set, err error) {
	set = &stimuli.Set{}
	var bad [5]error
	switch {
	case v.pairs != "":
		set.Pairs, bad[0] = stimuli.Pairs(v.pairs)
	case v.persona != "":
		set.Pairs, bad[0] = v.personas()
	default:
		set.Positive, bad[1] = stimuli.Texts(v.positive)
		set.Negative, bad[2] = stimuli.Texts(v.negative)
	}
	if v.heldPositive != "" {
		held = &stimuli.Set{}
		held.Positive, bad[3] = stimuli.Texts(v.heldPositive)
		held.Negative, bad[4] = stimuli.Texts(v.heldNegative)
	}
	for i, flag := range []string{"--pairs", "--positive", "--negative", "--held-positive", "--held-negative"} {
		if bad[i] != nil {
			return nil, nil, fmt.Errorf("%s: %w", flag, bad[i])
		}
	}
	return set, held, nil
}

func (v *fitVectorVerb) personas() ([]stimuli.Pair, error) {
	p := stimuli.Persona{Positive: v.persona, Negative: v.against, Template: v.template}
	if v.suffixes != "" {
		list, err := stimuli.Texts(v.suffixes)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if t.Plain == nil {
				return nil, errors.New("--suffixes: want texts")
			}
			p.Suffixes = append(p.Suffixes, *t.Plain)
		}
	}
	return p.Pairs()
}

// fit reads the texts, and fits and measures every method.
func (v *fitVectorVerb) fit(ctx context.Context, m *runtime.Model, set, held *stimuli.Set) (_ *madeVector, err error) {
	out := &madeVector{shape: m.Shape(), method: fit.Method(v.method), read: v.read, quant: string(m.Config().Quant)}
	if out.sites, err = stimuli.Sites(m.Shape(), v.sites); err != nil {
		return nil, fmt.Errorf("--sites: %w", err)
	}
	inGGUF := []hooks.Point{hooks.ResidPost, hooks.MLPPost, hooks.AttnPost}
	if p := out.sites[0].Point; filepath.Ext(v.output) == ".gguf" && !slices.Contains(inGGUF, p) {
		return nil, fmt.Errorf("--output: want .safetensors for %s, since GGUF has names for %v alone, found %s", p, inGGUF, v.output)
	}
	coder, err := stimuli.NewCoder(m, stimuli.Read(v.read), v.chat)
	if err != nil {
		return nil, err
	}
	g, err := stimuli.Gather(ctx, m, out.sites, coder, set, counting(v.err, "texts"))
	if err != nil {
		return nil, err
	}
	defer closing(g, &err)
	out.positive, out.negative, out.hash = g.Len(fit.Positive), g.Len(fit.Negative), g.Hash
	o := fit.Options{Folds: v.folds, Progress: counting(v.err, "layers")}
	out.measured = "parts of the texts held out in turn"
	if v.folds == 0 {
		o.Folds, out.measured = -1, "nothing held out"
	}
	if held != nil {
		h, err := stimuli.Gather(ctx, m, out.sites, v.alone(coder), held, counting(v.err, "held-out texts"))
		if err != nil {
			return nil, fmt.Errorf("held out: %w", err)
		}
		defer closing(h, &err)
		o.Held, out.measured = h.Samples, "other texts"
	}
	if out.layers, err = fit.Layers(ctx, g.Samples, o); err != nil {
		return nil, err
	}
	if len(out.layers[0].Found) == 0 || out.layers[0].Of(out.method) == nil {
		return nil, fmt.Errorf("--method %s: want texts in pairs, found %d positive and %d negative", out.method, out.positive, out.negative)
	}
	out.at, out.reason, out.suggested = stimuli.Suggest(out.shape, out.sites, out.layers, out.method)
	return out, nil
}

// alone reads texts that have no partner: what of a pair would be the suffix is then the last token.
func (v *fitVectorVerb) alone(c *stimuli.Coder) *stimuli.Coder {
	other := *c
	if other.Read == stimuli.Suffix {
		other.Read = stimuli.Last
	}
	return &other
}

// notes is where the vector comes from, for its file.
func (d *madeVector) notes() map[string]string {
	return map[string]string{
		"made_by": "trimtab " + built(), "read": d.read, "quant": d.quant, "texts_sha256": d.hash, "measured_on": d.measured,
		"positive": strconv.Itoa(d.positive), "negative": strconv.Itoa(d.negative),
		"sites": firstAndLast(d.sites), "suggested": strings.TrimSpace(d.at + " " + d.reason),
	}
}
