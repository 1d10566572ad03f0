// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/bench"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/corpus"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/itda"
)

// fitITDAVerb is one call of fit itda.
type fitITDAVerb struct {
	*app
	model     modelFlags
	text      textFlags
	settings  itda.Settings
	sites     string
	threshold string
	batch     int
	special   bool
	distinct  float64
	seed      int
	dir       string
	original  bool
	every     time.Duration
	json      bool

	m     *runtime.Model
	tok   tokenizer.Tokenizer // nil where the model has none
	texts *corpus.Corpus
	order []int // of the sequences
	fits  []*siteFit
}

// siteFit is the dictionary of one site.
type siteFit struct {
	site hooks.Site
	dir  string
	*itda.Trainer

	rows    []float32 // of the batch
	sources []tokenAt // of these
	seconds float64   // of the fit alone
	cpu     float64
}

// tokenAt is a token by its sequence and position.
type tokenAt struct{ sequence, position int }

func (a *app) fitITDA() *cobra.Command {
	v := &fitITDAVerb{app: a}
	c := &cobra.Command{
		Use:   "itda MODEL --site SITES --text FILES -o DIR",
		Short: "Make dictionaries of real activations in one pass (ITDA)",
		Long: "Runs texts through the model once. An activation that the atoms so far reconstruct badly becomes an atom itself, with the token it is of and the\n" +
			"text before it. Nothing is trained, no activation is written to a file, and memory does not grow with the tokens but for 4 bytes each.\n\n" +
			"The threshold is on the cosine of an activation with its reconstruction (cos:), on the error of the released code (mse:, inert above 4/width), or on\n" +
			"that of the paper (square:). Position 0, massive activations and special tokens are left out. Several sites make a folder each in DIR.\n" +
			"An interrupted fit leaves its state in DIR and goes on from there when the same command is given again.",
		Example: "  trimtab fit itda model.gguf --site resid_post.14 --text corpus.txt -o itda/\n" +
			"  trimtab fit itda model.gguf --site 'resid_post.*' --text chats.jsonl --atoms 1024 --threshold cos:0.8 --dedup -o layers/",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.sites, "site", "", "where to read: resid_post.14, resid_post.10-20, resid_post.*")
	v.text.add(c)
	f.StringVarP(&v.dir, "output", "o", "", "folder to write")
	f.IntVar(&v.settings.Most, "atoms", 4096, "atoms at most")
	f.StringVar(&v.threshold, "threshold", "cos:0.85", "what makes an activation an atom: cos:, mse: or square: and a number")
	f.IntVarP(&v.settings.K, "k", "k", 40, "rounds of the pursuit")
	f.Float64Var(&v.distinct, "dedup", 0, "leave an atom out at the end whose cosine with an earlier one is above this")
	f.Lookup("dedup").NoOptDefVal = "0.95"
	f.IntVar(&v.batch, "batch", 4, "sequences that are judged by the same atoms")
	f.BoolVar(&v.special, "special", false, "take special tokens too")
	f.BoolVar(&v.settings.Massive, "massive", false, "take position 0 and massive activations too")
	f.IntVar(&v.seed, "seed", 0, "of the order of the sequences; 0 is that of the files")
	f.IntVar(&v.text.o.Limit, "sequences", 0, "read so many sequences at most; 0 is all")
	f.BoolVar(&v.text.o.BOS, "bos", false, "begin every piece of text with the begin token")
	f.BoolVar(&v.original, "original", false, "write the layout of the paper's authors too: atoms.pt, atom_indices.pt, metadata.yaml")
	f.DurationVar(&v.every, "save-every", 2*time.Minute, "time between two saves of the state")
	f.BoolVar(&v.json, "json", false, "print the result as JSON")
	for _, required := range []string{"site", "output"} {
		_ = c.MarkFlagRequired(required) // fails for a flag that does not exist
	}
	v.model.add(c)
	return c
}

func (v *fitITDAVerb) run(ctx context.Context, path string) (err error) {
	if v.settings.Rule, v.settings.Threshold, err = itda.ParseThreshold(v.threshold); err != nil {
		return usageError{err}
	}
	if v.batch < 1 || v.distinct < 0 || v.distinct > 1 {
		return usageError{fmt.Errorf("fit itda: want --batch of at least 1 and --dedup between 0 and 1, found %d and %g", v.batch, v.distinct)}
	}
	if v.m, err = v.model.open(ctx, path, v.err); err != nil {
		return err
	}
	defer closing(v.m, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	if v.tok, err = v.m.Tokenizer(); err != nil {
		v.tok = nil // token ids can be read without
	}
	if v.texts, err = corpus.Load(v.text.files, v.m, v.text.o); err != nil {
		return err
	}
	v.order = v.texts.Order(uint64(v.seed))
	next, err := v.begin()
	if err != nil {
		return err
	}
	began := time.Now()
	if next, err = v.pass(ctx, next); err != nil {
		return err
	}
	return v.finish(next, time.Since(began))
}

// begin makes a trainer for each site, or goes on with those that an interrupted call left, and returns the place in the order of sequences.
func (v *fitITDAVerb) begin() (next int, err error) {
	sites, err := v.m.Shape().Select(v.sites)
	if err != nil {
		return 0, fmt.Errorf("--site: %w", err)
	}
	for _, site := range sites {
		f := &siteFit{site: site, dir: v.dir}
		if len(sites) > 1 {
			f.dir = filepath.Join(v.dir, site.String())
		}
		if err := os.MkdirAll(f.dir, 0o755); err != nil {
			return 0, err
		}
		s := v.settings
		if s.Width, err = v.m.Shape().SiteWidth(site); err != nil {
			return 0, err
		}
		at := 0
		if _, gone := os.Stat(f.unfinished()); gone == nil {
			f.Trainer, at, err = itda.Resume(f.unfinished(), v.note(site), s)
			fmt.Fprintf(v.err, "going on from %s\n", f.unfinished())
		} else {
			f.Trainer, err = itda.New(s)
		}
		if err != nil {
			return 0, err
		}
		if len(v.fits) > 0 && at != next {
			return 0, fmt.Errorf("fit itda: %s: want the state of sequence %d, as the site before has it, found %d; remove the unfinished files to begin anew", f.dir, next, at)
		}
		v.fits, next = append(v.fits, f), at
	}
	return next, nil
}

// unfinished is the file of a fit that was interrupted.
func (f *siteFit) unfinished() string { return filepath.Join(f.dir, checkpointFile) }

// note tells this fit from others.
func (v *fitITDAVerb) note(site hooks.Site) string {
	c := v.m.Config()
	return fmt.Sprintf("%s as %s and %s at %s, batches of %d, special %v, seed %d, tokens %s",
		v.m.Shape().Model, c.Quant, c.KV, site, v.batch, v.special, v.seed, v.texts.Digest(v.order))
}

// pass goes through the sequences from one on and returns the first that was not read.
func (v *fitITDAVerb) pass(ctx context.Context, next int) (int, error) {
	sites := make([]hooks.Site, len(v.fits))
	for i, f := range v.fits {
		sites[i] = f.site
	}
	watch, err := corpus.NewWatch(v.m, sites)
	if err != nil {
		return next, err
	}
	defer watch.Close()
	progress, saved := counting(v.err, "fitting"), time.Now()
	for next < len(v.order) && !v.full() {
		to := min(next+v.batch, len(v.order))
		if err := v.readBatch(ctx, watch, v.order[next:to]); err != nil {
			if errors.Is(err, context.Canceled) {
				err = errors.Join(err, v.save(next))
			}
			return next, err
		}
		for _, f := range v.fits {
			v.step(f)
		}
		next = to
		progress(int64(next), int64(len(v.order)))
		if time.Since(saved) > v.every {
			if err := v.save(next); err != nil {
				return next, err
			}
			saved = time.Now()
		}
	}
	return next, nil
}

func (v *fitITDAVerb) full() bool {
	for _, f := range v.fits {
		if !f.Full() {
			return false
		}
	}
	return true
}

// save writes the state of every site, unless one has not begun to judge yet: then little is lost.
func (v *fitITDAVerb) save(next int) error {
	for _, f := range v.fits {
		if f.Seeding() {
			return nil
		}
	}
	for _, f := range v.fits {
		if err := f.Save(f.unfinished(), next, v.note(f.site)); err != nil {
			return err
		}
	}
	return nil
}

// readBatch runs sequences and keeps the activations that may become atoms.
func (v *fitITDAVerb) readBatch(ctx context.Context, watch *corpus.Watch, sequences []int) error {
	for _, f := range v.fits {
		f.rows, f.sources = f.rows[:0], f.sources[:0]
	}
	for _, s := range sequences {
		ids := v.texts.Sequences[s].IDs
		if err := watch.Run(ctx, ids); err != nil {
			return err
		}
		for p, id := range ids {
			if (p == 0 && !v.settings.Massive) || (!v.special && v.tok != nil && v.tok.Special(id)) {
				continue
			}
			for i, f := range v.fits {
				f.rows = append(f.rows, watch.Row(i, p)...)
				f.sources = append(f.sources, tokenAt{s, p})
			}
		}
	}
	return nil
}

func (v *fitITDAVerb) step(f *siteFit) {
	began, cpu := time.Now(), bench.ProcessorTime()
	f.Step(f.rows, func(row int) dictionary.Atom { return v.atom(f.sources[row]) })
	f.seconds += time.Since(began).Seconds()
	f.cpu += (bench.ProcessorTime() - cpu).Seconds()
}

// contextTokens is how much of the text before a token is kept with its atom.
const contextTokens = 12

func (v *fitITDAVerb) atom(at tokenAt) dictionary.Atom {
	a := dictionary.Atom{Text: at.sequence, Position: at.position}
	if v.tok != nil {
		ids := v.texts.Sequences[at.sequence].IDs
		a.Token = valid(v.tok.Piece(ids[at.position]))
		a.Context = valid(v.tok.Decode(ids[max(0, at.position-contextTokens):at.position]))
	}
	return a
}
