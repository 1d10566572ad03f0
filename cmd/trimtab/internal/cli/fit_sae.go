// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/corpus"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/train"
)

// textFlags are the flags of verbs that run texts through a model.
type textFlags struct {
	files []string
	o     corpus.Options
}

func (t *textFlags) add(c *cobra.Command) {
	t.addOptional(c)
	_ = c.MarkFlagRequired("text") // fails for a flag that does not exist
}

func (t *textFlags) addOptional(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&t.files, "text", nil, "files of texts, comma-separated or repeated: .jsonl (a text or dialogue a line), .json (a list), .safetensors (token ids), else one running text")
	f.IntVar(&t.o.Piece, "piece", 128, "tokens of a piece of running text; each piece runs alone")
	f.IntVar(&t.o.Dialogue, "dialogue-tokens", 2048, "tokens after which a dialogue is cut off; each dialogue runs alone")
}

// fitSAEVerb is one call of fit sae.
type fitSAEVerb struct {
	*app
	model  modelFlags
	text   textFlags
	config train.Config
	arch   string
	site   string
	dir    string
	held   []string
	every  time.Duration
	json   bool
	note   string // tells this training from others
	began  time.Time
	last   train.Progress
}

// checkpointFile is the name of the state that an unfinished training leaves in its folder.
const checkpointFile = "unfinished.safetensors"

func (a *app) fitSAE() *cobra.Command {
	v := &fitSAEVerb{app: a}
	c := &cobra.Command{
		Use:   "sae MODEL --site SITE --text FILES --width N --k K -o DIR",
		Short: "Train a sparse autoencoder on a model's activations",
		Long: "Runs texts through the model and trains a sparse autoencoder on the activations of one site, in memory; no activation is written to a file.\n" +
			"DIR gets the SAELens layout. Position 0 and massive activations are left out. An interrupted training leaves its state in DIR and goes\n" +
			"on from there when the same command is given again, with the same result as if it had not been interrupted.",
		Example: "  trimtab fit sae model.gguf --site resid_post.14 --text corpus.txt --width 4608 --k 32 -o sae/\n" +
			"  trimtab fit sae model.gguf --site resid_post.14 --text chats.jsonl --arch matryoshka --width 2304 --k 32 --held other.txt -o sae/",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	v.text.add(c)
	f.StringVar(&v.site, "site", "", "where to read, such as resid_post.14")
	f.StringVar(&v.arch, "arch", string(train.TopK), "architecture: topk, batchtopk, jumprelu, matryoshka or abstopk")
	f.IntVar(&v.config.Width, "width", 0, "features")
	f.IntVar(&v.config.K, "k", 0, "active features of a token, for batchtopk, jumprelu and matryoshka on average")
	f.StringVarP(&v.dir, "output", "o", "", "folder to write")
	f.StringSliceVar(&v.held, "held", nil, "files of texts to measure the result on")
	f.IntVar(&v.config.Passes, "passes", 5, "times that the texts are gone through")
	f.IntVar(&v.config.Batch, "batch", 256, "tokens of a step")
	f.Float64Var(&v.config.Rate, "rate", 1e-3, "learning rate")
	f.IntVar(&v.config.Buffer, "buffer", 1<<17, "tokens whose activations are held and mixed; texts that fit are run once for all passes")
	f.IntSliceVar(&v.config.Groups, "groups", nil, "matryoshka: rising numbers of features that must do by themselves (default: width/16, width/4, width)")
	f.Uint64Var(&v.config.Seed, "seed", 1, "of the first weights and of the order")
	f.DurationVar(&v.every, "save-every", 2*time.Minute, "time between two saves of the state")
	f.BoolVar(&v.text.o.BOS, "bos", false, "begin every piece of text with the begin token")
	f.BoolVar(&v.json, "json", false, "print the result as JSON")
	for _, required := range []string{"site", "width", "k", "output"} {
		_ = c.MarkFlagRequired(required) // fails for a flag that does not exist
	}
	v.model.add(c)
	return c
}

func (v *fitSAEVerb) run(ctx context.Context, path string) (err error) {
	v.config.Arch = train.Arch(v.arch)
	site, err := hooks.ParseSite(v.site)
	if err != nil {
		return usageError{fmt.Errorf("--site: %w", err)}
	}
	if err := os.MkdirAll(v.dir, 0o755); err != nil {
		return err
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	if site, err = m.Shape().Resolve(site); err != nil {
		return fmt.Errorf("--site: %w", err)
	}
	texts, err := corpus.Load(v.text.files, m, v.text.o)
	if err != nil {
		return err
	}
	reader, err := corpus.NewReader(m, site)
	if err != nil {
		return err
	}
	defer reader.Close()
	v.describe(m, site, texts)
	d, err := v.train(ctx, m, &corpus.Source{Corpus: texts, Reader: reader})
	if err != nil {
		return err
	}
	v.place(d, m, site)
	if err := v.write(d); err != nil {
		return err
	}
	return v.report(ctx, m, reader, d)
}

// describe makes the note by which a checkpoint is known to belong to this training.
func (v *fitSAEVerb) describe(m *runtime.Model, site hooks.Site, texts *corpus.Corpus) {
	sum := fnv.New64a()
	for _, s := range texts.Sequences {
		for _, id := range s.IDs {
			sum.Write([]byte{byte(id), byte(id >> 8), byte(id >> 16), 0})
		}
		sum.Write([]byte{255})
	}
	c := m.Config()
	v.note = fmt.Sprintf("%s as %s by %s kernels with keys in %s at %s, tokens %x", m.Shape().Model, c.Quant, c.Kernels, c.KV, site, sum.Sum64())
	fmt.Fprintf(v.err, "%d texts, of these %d dialogues: %d sequences, %d tokens\n", texts.Sources, texts.Dialogues, len(texts.Sequences), texts.Tokens)
}

// train runs to the end, or saves the state where it was interrupted.
func (v *fitSAEVerb) train(ctx context.Context, m *runtime.Model, src *corpus.Source) (_ *dictionary.Dictionary, err error) {
	products, err := runtime.NewProducts(m.Config().Threads)
	if err != nil {
		return nil, err
	}
	defer closing(products, &err)
	v.began = time.Now()
	v.config.In, v.config.Threads = src.Reader.Width(), m.Config().Threads
	if src.Corpus.Tokens <= v.config.Buffer {
		src.Progress = counting(v.err, "reading")
	}
	t, err := v.begin(ctx, src, products)
	if err != nil {
		return nil, err
	}
	progress, saved := counting(v.err, "training"), time.Now()
	for {
		p, done, err := t.Step(ctx)
		if err == nil && !done {
			err = ctx.Err()
			v.last = p
		}
		if errors.Is(err, context.Canceled) && v.last.Step > 0 {
			return nil, errors.Join(err, t.Save(v.checkpoint(), v.note))
		}
		if err != nil {
			return nil, err
		}
		progress(p.Step, p.Planned)
		if done {
			return t.Dictionary()
		}
		if time.Since(saved) < v.every {
			continue
		}
		if err := t.Save(v.checkpoint(), v.note); err != nil {
			return nil, err
		}
		saved = time.Now()
	}
}

func (v *fitSAEVerb) checkpoint() string { return filepath.Join(v.dir, checkpointFile) }

// begin starts anew, or where an interrupted training stopped.
func (v *fitSAEVerb) begin(ctx context.Context, src *corpus.Source, products train.Products) (*train.Trainer, error) {
	if _, err := os.Stat(v.checkpoint()); errors.Is(err, fs.ErrNotExist) {
		return train.New(v.config, src, products)
	}
	t, err := train.Resume(ctx, v.checkpoint(), v.note, v.config, src, products)
	if err != nil {
		return nil, fmt.Errorf("%w; delete the file to start anew", err)
	}
	fmt.Fprintf(v.err, "going on from %s\n", v.checkpoint())
	return t, nil
}

func (v *fitSAEVerb) place(d *dictionary.Dictionary, m *runtime.Model, site hooks.Site) {
	a := &d.Address
	a.Site, a.Out, a.Hook, a.Model = site, site, site.String(), m.Shape().Model
	a.SkipFirst, a.Context, a.PrependBOS = true, v.text.o.Piece, dictionary.No
	if v.text.o.BOS {
		a.PrependBOS = dictionary.Yes
	}
}

func (v *fitSAEVerb) write(d *dictionary.Dictionary) error {
	if err := dictionary.WriteSAELens(v.dir, d); err != nil {
		return err
	}
	if err := os.Remove(v.checkpoint()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fitted is the verb's JSON.
type fitted struct {
	Site    string              `json:"site"`
	Arch    string              `json:"arch"`
	Width   int                 `json:"width"`
	K       int                 `json:"k"`
	Steps   int64               `json:"steps"`
	Massive int                 `json:"massive"` // rows left out of a pass
	Dead    int                 `json:"dead"`    // features, when training ended
	FVU     float64             `json:"fvu"`     // of the last step
	L0      float64             `json:"l0"`      // of the last step
	Seconds float64             `json:"seconds"`
	Held    *dictionary.Quality `json:"held,omitempty"`
}

func (v *fitSAEVerb) report(ctx context.Context, m *runtime.Model, r *corpus.Reader, d *dictionary.Dictionary) error {
	out := fitted{
		Site: d.Address.Site.String(), Arch: v.arch, Width: v.config.Width, K: v.config.K, Steps: v.last.Step, Massive: v.last.Massive,
		Dead: v.last.Dead, FVU: v.last.FVU, L0: v.last.L0, Seconds: time.Since(v.began).Seconds(),
	}
	if len(v.held) > 0 {
		q, err := v.measure(ctx, m, r, d)
		if err != nil {
			return fmt.Errorf("--held %s: %w", strings.Join(v.held, ","), err)
		}
		out.Held = &q
	}
	if v.json {
		return jsonTo(v.out).Encode(out)
	}
	fmt.Fprintf(v.out, "%s: %s of %d features at %s, %d steps in %.0f s; last step: FVU %.3f, L0 %.1f, %d dead\n",
		v.dir, out.Arch, out.Width, out.Site, out.Steps, out.Seconds, out.FVU, out.L0, out.Dead)
	if q := out.Held; q != nil {
		fmt.Fprintf(v.out, "held out: FVU %.3f, L0 %.1f, cosine %.3f, %d of %d features silent on %d tokens\n", q.FVU, q.L0, q.Cosine, q.Dead, out.Width, q.Rows)
	}
	return nil
}

// measure runs the held-out texts.
func (v *fitSAEVerb) measure(ctx context.Context, m *runtime.Model, r *corpus.Reader, d *dictionary.Dictionary) (q dictionary.Quality, err error) {
	texts, err := corpus.Load(v.held, m, v.text.o)
	if err != nil {
		return q, err
	}
	s, coder, width := d.NewFidelity(), d.NewCoder(), r.Width()
	var massive dictionary.Massive
	var rows []float32
	var code []dictionary.Feature
	for _, t := range texts.Sequences {
		if rows, err = r.Rows(ctx, rows[:0], t.IDs); err != nil {
			return q, err
		}
		massive.Learn(rows, width, 0)
		for i := range t.IDs {
			x := rows[i*width : (i+1)*width]
			if massive.Is(i, x) {
				continue
			}
			code = coder.Encode(code[:0], x)
			s.Add(code, x, x)
		}
	}
	return s.Quality(), nil
}
