// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// conceptsVerb is one call of fit concepts.
type conceptsVerb struct {
	*app
	model    modelFlags
	options  concepts.Options
	dict     string
	site     string
	in       string
	file     string
	mark     string
	position int
	factor   float64
	ordinary bool
	json     bool
}

// conceptTexts is what --concepts says about one concept.
type conceptTexts struct {
	Positive []string `json:"positive"`
	Negative []string `json:"negative"`
	Words    []string `json:"words"` // of word mode: what to look for in the positive texts; otherwise what they tag with [[ ]]
}

func (a *app) fitConcepts() *cobra.Command {
	v := &conceptsVerb{app: a, options: concepts.Defaults()}
	c := &cobra.Command{
		Use:   "concepts MODEL --concepts FILE -o concepts.json [--dict DIR] [--site SITE]",
		Short: "Find concepts in activations by texts with them and without",
		Long: "FILE is JSON: {\"concepts\": {NAME: {\"positive\": [TEXT, ...], \"negative\": [TEXT, ...]}, ...}}.\n" +
			"In word mode only words count that stand between [[ and ]] in positive texts, or those that \"words\": [WORD, ...] lists.\n\n" +
			"Of the texts the last three tenths are held out. Each concept's effect as a lever is measured as well: how much a push along it\n" +
			"changes the next token of some prompts, for a unit of strength, beside what random directions do.",
		Example: "  trimtab fit concepts model.gguf --dict sae/ --concepts texts.json -o concepts.json\n" +
			"  trimtab fit concepts model.gguf --site resid_post.14 --reader direction --concepts texts.json -o concepts.json",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, c *cobra.Command, args []string) error { return v.run(ctx, c, args[0]) })
	f, o := c.Flags(), &v.options
	f.SortFlags = false
	f.StringVar(&v.in, "concepts", "", "texts by concept")
	f.StringVarP(&v.file, "output", "o", "", "file to write")
	f.StringVar(&v.dict, "dict", "", "sparse dictionary (SAE or ITDA); without it concepts are directions")
	f.StringVar(&v.site, "site", "", "where to read (default: where the dictionary belongs)")
	f.StringVar((*string)(&o.Kind), "reader", string(o.Kind), "single, multi, tree or direction (default without --dict)")
	f.StringVar((*string)(&o.Mode), "mode", string(o.Mode), "sentence, word or position")
	f.StringVar((*string)(&o.Aggregate), "aggregate", string(o.Aggregate), "max or mean over tokens")
	f.StringVar((*string)(&o.Order), "order", string(o.Order), "of features: original, unique-first or unique-only")
	f.StringVar(&v.mark, "mark", "last", "of a word's tokens in word mode: last or all")
	f.IntVar(&v.position, "position", -1, "token in position mode, counted from 0 with the begin token, or from the end")
	f.IntVar(&o.Candidates, "candidates", o.Candidates, "features that the search keeps, and that count of each token")
	f.IntVar(&o.Features, "features", o.Features, "features of a multi reader")
	f.IntVar(&o.Depth, "depth", o.Depth, "of a tree")
	f.IntVar(&o.Top, "top", o.Top, "only the largest features of each token detect; 0 is all")
	f.Float64Var(&o.Held, "held", o.Held, "share of the texts to hold out")
	f.BoolVar(&v.ordinary, "no-massive", false, "leave out tokens whose activation is more than four times as long as the median, here and when concepts are detected")
	f.Float64Var(&v.factor, "lever", 0.2, "strength at which levers are measured; 0 measures none")
	f.BoolVar(&v.json, "json", false, "print one JSON object: what is written to the file")
	for _, required := range []string{"concepts", "output"} {
		_ = c.MarkFlagRequired(required) // fails for a flag that does not exist
	}
	v.model.add(c)
	return c
}

func (v *conceptsVerb) run(ctx context.Context, c *cobra.Command, path string) (err error) {
	if err := v.check(c); err != nil {
		return usageError{err}
	}
	texts, err := readConceptTexts(v.in)
	if err != nil {
		return err
	}
	d, err := v.dictionary()
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
	set, err := v.fit(ctx, m, d, texts)
	if err != nil {
		return err
	}
	if err := set.Save(v.file); err != nil {
		return err
	}
	if v.json {
		return jsonTo(v.out).Encode(set)
	}
	return v.table(set)
}

func (v *conceptsVerb) check(c *cobra.Command) error {
	if v.dict == "" && !c.Flags().Changed("reader") {
		v.options.Kind = concepts.Direction
	}
	switch {
	case v.dict == "" && v.options.Kind != concepts.Direction:
		return fmt.Errorf("--reader %s: want --dict with it", v.options.Kind)
	case v.dict == "" && v.site == "":
		return fmt.Errorf("--site: want one, since there is no --dict to say where")
	case v.mark != "last" && v.mark != "all":
		return fmt.Errorf("--mark: want last or all, found %q", v.mark)
	case v.factor < 0 || math.IsNaN(v.factor) || math.IsInf(v.factor, 0):
		return fmt.Errorf("--lever: want a strength of at least 0, found %g", v.factor)
	}
	return v.options.Check()
}

func readConceptTexts(path string) (map[string]conceptTexts, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--concepts: %w", err)
	}
	var file struct {
		Concepts map[string]conceptTexts `json:"concepts"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("--concepts: %s: %w", path, err)
	}
	if len(file.Concepts) == 0 {
		return nil, fmt.Errorf(`--concepts: %s: want {"concepts": {NAME: {"positive": [...], "negative": [...]}}}, found no concepts`, path)
	}
	return file.Concepts, nil
}

func (v *conceptsVerb) dictionary() (*dictionary.Dictionary, error) {
	if v.dict == "" {
		return nil, nil
	}
	d, err := dictionary.Open(v.dict, dictionary.Options{Site: v.site})
	if err != nil {
		return nil, err
	}
	for _, w := range d.Warnings() {
		fmt.Fprintln(v.err, "trimtab: warning: "+w)
	}
	return d, d.Address.Check()
}

// fit reads all texts, fits and measures.
func (v *conceptsVerb) fit(ctx context.Context, m *runtime.Model, d *dictionary.Dictionary, texts map[string]conceptTexts) (*concepts.Set, error) {
	site, err := v.at(m.Shape(), d)
	if err != nil {
		return nil, err
	}
	set := concepts.NewSet(site, m.Shape().Widths[site])
	set.Model, set.Dictionary = m.Shape().Model, v.dict
	g, err := gather.New(m, site, d, v.options.Kind == concepts.Direction)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	r := newConceptReader(v, g, texts)
	list, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	if set.SkipTokens = g.Specials(); v.ordinary {
		set.Longest = g.Longest()
	}
	if set.Concepts, err = concepts.Fit(list, v.options); err != nil {
		return nil, err
	}
	if err := set.Check(d); err != nil || v.factor == 0 {
		return set, err
	}
	return set, v.levers(ctx, m, site, set, d, r.words)
}

func (v *conceptsVerb) at(sh *hooks.Shape, d *dictionary.Dictionary) (hooks.Site, error) {
	if d != nil {
		return sh.Resolve(d.Address.Site)
	}
	site, err := hooks.ParseSite(v.site)
	if err != nil {
		return site, fmt.Errorf("--site: %w", err)
	}
	return sh.Resolve(site)
}

// conceptReader runs the texts of all concepts, each text once.
type conceptReader struct {
	*conceptsVerb
	g     *gather.Gatherer
	texts map[string]conceptTexts
	words map[string][]int32 // a concept's own
	known map[string]*gather.Text

	progress    func(done, total int64)
	done, total int
}

func newConceptReader(v *conceptsVerb, g *gather.Gatherer, texts map[string]conceptTexts) *conceptReader {
	r := &conceptReader{conceptsVerb: v, g: g, texts: texts, words: map[string][]int32{}, known: map[string]*gather.Text{}, progress: counting(v.err, "texts")}
	for _, t := range texts {
		r.total += len(t.Positive) + len(t.Negative)
	}
	return r
}

func (r *conceptReader) read(ctx context.Context) ([]concepts.Examples, error) {
	names := slices.Sorted(maps.Keys(r.texts))
	positive, negative := make([][]*gather.Text, len(names)), make([][]*gather.Text, len(names))
	var err error
	for i, name := range names {
		if positive[i], err = r.list(ctx, name, r.texts[name].Positive, concepts.Is); err != nil {
			return nil, err
		}
		if negative[i], err = r.list(ctx, name, r.texts[name].Negative, concepts.Not); err != nil {
			return nil, err
		}
		r.words[name] = gather.OwnWords(tokensOf(positive[i]), tokensOf(negative[i]), ownWords)
	}
	out := make([]concepts.Examples, len(names))
	for i, name := range names {
		out[i] = concepts.Examples{Name: name, Positive: r.samples(positive[i]), Negative: r.samples(negative[i])}
	}
	return out, nil
}

// list reads the texts of one side of a concept.
func (r *conceptReader) list(ctx context.Context, name string, texts []string, mark concepts.Mark) ([]*gather.Text, error) {
	var out []*gather.Text
	for _, text := range texts {
		t, err := r.text(ctx, name, text, mark)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		r.done++
		r.progress(int64(r.done), int64(r.total))
	}
	return out, nil
}

// samples are what is fitted on, once the median length of all activations is known.
func (r *conceptReader) samples(list []*gather.Text) (out []concepts.Sample) {
	for _, t := range list {
		if r.ordinary {
			t.Leave(r.g.Longest())
		}
		out = append(out, t.Sample)
	}
	return out
}

// ownWords is how many words stand for a concept when its lever is measured.
const ownWords = 20

func tokensOf(list []*gather.Text) [][]int32 {
	var out [][]int32
	for _, t := range list {
		out = append(out, t.IDs)
	}
	return out
}

// text reads one text and marks its tokens by the mode.
func (r *conceptReader) text(ctx context.Context, name, text string, mark concepts.Mark) (*gather.Text, error) {
	plain, spans := text, []gather.Span(nil)
	if r.options.Mode == concepts.Word {
		plain, spans = gather.Untag(text)
	}
	if r.known[plain] == nil {
		t, err := r.g.Read(ctx, plain)
		if err != nil {
			return nil, fmt.Errorf("concept %s: %w", name, err)
		}
		r.known[plain] = t
	}
	t := r.known[plain].Clone()
	switch {
	case r.options.Mode == concepts.Sentence:
		t.MarkAll(mark)
	case r.options.Mode == concepts.Position:
		t.MarkOnly(r.position, mark)
	case mark == concepts.Is:
		if words := r.texts[name].Words; len(spans) == 0 {
			spans = gather.Find(plain, words)
		}
		if len(spans) == 0 {
			return nil, fmt.Errorf("concept %s: want a word between [[ and ]] or one of \"words\", found %q", name, text)
		}
		r.g.MarkWords(t, spans, r.mark == "all")
	}
	return t, nil
}

// neutral are prompts that have nothing to do with most concepts.
func neutral() []string {
	return []string{
		"Tell me about your morning.", "Write one sentence about your friend.", "What should I do today?",
		"Describe the place where you live.", "Tell me a short story.", "What is on your mind?",
	}
}

// levers measures what each concept's push does.
func (v *conceptsVerb) levers(ctx context.Context, m *runtime.Model, site hooks.Site, set *concepts.Set, d *dictionary.Dictionary, words map[string][]int32) error {
	prompts, err := neutralPrompts(m)
	if err != nil {
		return err
	}
	p, err := gather.NewPusher(ctx, m, site, prompts, v.factor)
	if err != nil {
		return err
	}
	defer p.Close()
	progress := counting(v.err, "levers")
	for i := range set.Concepts {
		c := &set.Concepts[i]
		if c.Lever.Effect, err = p.Measure(ctx, c.Lever.Push(d), words[c.Name]); err != nil {
			return fmt.Errorf("lever of %s: %w", c.Name, err)
		}
		progress(int64(i+1), int64(len(set.Concepts)))
	}
	return nil
}

// neutralPrompts are the neutral prompts through the model's template where it has one.
func neutralPrompts(m *runtime.Model) ([][]int32, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	var out [][]int32
	for _, text := range neutral() {
		ids, err := m.Prompt(chat.Message{Role: "user", Content: text})
		if errors.Is(err, models.ErrNoTemplate) {
			ids, err = tok.Encode(nil, text, false), nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, ids)
	}
	return out, nil
}

func (v *conceptsVerb) table(set *concepts.Set) error {
	w := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "concept\tfeatures\tthreshold\theld AUROC\tbalanced accuracy\tlever: KL\town words\trandom")
	for _, c := range set.Concepts {
		fmt.Fprintf(w, "%s\t%v\t%.4g\t%.3f\t%.3f", c.Name, c.Reader.Reads(), c.Reader.Threshold, c.Held.AUROC, c.Held.Balanced)
		if e := c.Lever.Effect; e != nil {
			weak := ""
			if e.Weak() {
				weak = " weak"
			}
			fmt.Fprintf(w, "\t%.3g\t%+.3g%s\t±%.2g", e.KL, e.Logit, weak, e.Spread)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
