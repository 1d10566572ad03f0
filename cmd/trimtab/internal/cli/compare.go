// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/chart"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/corpus"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/itda"
)

// compareVerb is one call of compare.
type compareVerb struct {
	*app
	model  modelFlags
	text   textFlags
	models []string
	anyway bool
	csv    string
	png    string
	json   bool

	layers [2][]*dictionary.Dictionary
}

// comparison is one measure over all pairs of layers.
type comparison struct {
	Measure string      `json:"measure"`
	Values  itda.Matrix `json:"values"`
	Matched float64     `json:"matched"` // share of rows whose largest value is in the column of the same number
}

// compared is what compare prints.
type compared struct {
	A, B    []string     // layers
	Whole   itda.Overlap `json:"model"` // of all layers together
	Results []comparison `json:"results"`
}

func (a *app) compare() *cobra.Command {
	v := &compareVerb{app: a}
	c := &cobra.Command{
		Use:   "compare DIR_A DIR_B",
		Short: "Compare layers and models by the tokens that their ITDA dictionaries took",
		Long: "Prints the Jaccard index of the tokens (sequence, position) that the atoms of two dictionaries come from. Where the folders hold a dictionary for each\n" +
			"layer, as 'fit itda --site resid_post.*' writes them, the index of every layer of A with every layer of B, the best match of each, and that of the\n" +
			"models as a whole. Dictionaries that were not fitted on the same tokens are refused.\n\n" +
			"With --models, the same texts run through both models, and linear CKA, SVCCA, relative representations and linear regression are printed too.",
		Example: "  trimtab compare itda-a/ itda-b/\n" +
			"  trimtab compare layers-a/ layers-b/ --png layers.png --csv layers.csv\n" +
			"  trimtab compare layers-a/ layers-b/ --models a.gguf,b.gguf --text corpus.txt --sequences 20",
		Args: cobra.ExactArgs(2),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args) })
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.csv, "csv", "", "file for the values: measure, layer of A, layer of B, value")
	f.StringVar(&v.png, "png", "", "file for a heat map (.png, .svg or .pdf); of several measures one each")
	f.BoolVar(&v.json, "json", false, "print one JSON object")
	f.StringSliceVar(&v.models, "models", nil, "the two models, to compare activations too")
	v.text.addOptional(c)
	f.IntVar(&v.text.o.Limit, "sequences", 0, "sequences to run at most; 0 is all")
	f.BoolVar(&v.anyway, "anyway", false, "compare dictionaries of different texts; the index means little then")
	v.model.add(c)
	return c
}

func (v *compareVerb) run(ctx context.Context, dirs []string) (err error) {
	if len(v.models) > 0 && (len(v.models) != 2 || len(v.text.files) == 0) {
		return usageError{fmt.Errorf("--models: want two models and --text, found %d and %d files", len(v.models), len(v.text.files))}
	}
	for i, dir := range dirs {
		if v.layers[i], err = openLayers(dir); err != nil {
			return err
		}
	}
	a, b := v.layers[0], v.layers[1]
	if err := v.check(); err != nil {
		return err
	}
	out := compared{A: siteNames(a), B: siteNames(b), Whole: itda.SourcesOf(a...).Overlap(itda.SourcesOf(b...))}
	m, err := itda.Compare(len(a), len(b), func(i, j int) (float64, error) {
		return itda.SourcesOf(a[i]).Overlap(itda.SourcesOf(b[j])).Jaccard, nil
	})
	if err != nil {
		return err
	}
	out.Results = []comparison{{"ITDA Jaccard", m, m.Matched()}}
	if len(v.models) > 0 {
		more, err := v.measure(ctx)
		if err != nil {
			return err
		}
		out.Results = append(out.Results, more...)
	}
	return v.write(&out)
}

// openLayers opens a dictionary, or all those in the folders of a folder, in the order of their sites.
func openLayers(dir string) (out []*dictionary.Dictionary, err error) {
	for _, name := range []string{"itda.json", "itda.safetensors", "atoms.pt"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			d, err := dictionary.Open(dir, dictionary.Options{})
			return []*dictionary.Dictionary{d}, err
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if !e.IsDir() {
			continue
		}
		d, err := dictionary.Open(filepath.Join(dir, e.Name()), dictionary.Options{})
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("compare %s: want an ITDA dictionary or folders of them, found neither", dir)
	}
	slices.SortFunc(out, func(a, b *dictionary.Dictionary) int { return hooks.Compare(a.Address.Site, b.Address.Site) })
	return out, nil
}

// check holds that all dictionaries are of the same tokens.
func (v *compareVerb) check() error {
	if v.anyway {
		return nil
	}
	for _, d := range append(slices.Clone(v.layers[0]), v.layers[1]...) {
		if err := itda.Comparable(v.layers[0][0], d); err != nil {
			return err
		}
	}
	return nil
}

func siteNames(list []*dictionary.Dictionary) []string {
	out := make([]string, len(list))
	for i, d := range list {
		out[i] = d.Address.Site.String()
		if d.Address.Site.Point == "" {
			out[i] = d.Name
		}
	}
	return out
}

// measure runs the texts through both models.
func (v *compareVerb) measure(ctx context.Context) ([]comparison, error) {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	var samples [2][]*itda.Samples
	digest := ""
	for i, path := range v.models {
		list, of, err := v.samples(ctx, path, v.layers[i])
		if err != nil {
			return nil, err
		}
		if i > 0 && of != digest {
			return nil, fmt.Errorf("compare %s with %s: want models that cut the texts into the same tokens, found others", v.models[0], v.models[1])
		}
		samples[i], digest = list, of
	}
	a, b := samples[0], samples[1]
	var out []comparison
	done, total := int64(0), int64(len(itda.Measures())*len(a)*len(b))
	progress := counting(v.err, "comparing")
	for _, measure := range itda.Measures() {
		m, err := itda.Compare(len(a), len(b), func(i, j int) (float64, error) {
			done++
			progress(done, total)
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			return measure.Of(a[i], b[j])
		})
		if err != nil {
			return nil, err
		}
		out = append(out, comparison{measure.Name, m, m.Matched()})
	}
	return out, nil
}

// samples returns the activations of one model at the sites of its dictionaries; position 0 is left out.
func (v *compareVerb) samples(ctx context.Context, path string, layers []*dictionary.Dictionary) (out []*itda.Samples, digest string, err error) {
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return nil, "", err
	}
	defer closing(m, &err)
	texts, err := corpus.Load(v.text.files, m, v.text.o)
	if err != nil {
		return nil, "", err
	}
	sites := make([]hooks.Site, len(layers))
	for i, d := range layers {
		sites[i] = d.Address.Site
	}
	watch, err := corpus.NewWatch(m, sites)
	if err != nil {
		return nil, "", err
	}
	defer watch.Close()
	rows := make([][]float32, len(sites))
	progress := counting(v.err, "reading")
	for i, s := range texts.Sequences {
		if err := watch.Run(ctx, s.IDs); err != nil {
			return nil, "", err
		}
		for p := 1; p < len(s.IDs); p++ {
			for k := range sites {
				rows[k] = append(rows[k], watch.Row(k, p)...)
			}
		}
		progress(int64(i+1), int64(len(texts.Sequences)))
	}
	for k := range sites {
		out = append(out, itda.NewSamples(rows[k], watch.Width(k)))
	}
	return out, texts.Digest(texts.Order(0)), nil
}

func (v *compareVerb) write(c *compared) error {
	if v.csv != "" {
		if err := c.writeCSV(v.csv); err != nil {
			return err
		}
	}
	if v.png != "" {
		if err := c.draw(v.png); err != nil {
			return err
		}
	}
	if v.json {
		return jsonTo(v.out).Encode(c)
	}
	for _, r := range c.Results {
		if err := v.print(c, r); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(v.out, "all layers together: Jaccard %.3f (%d of %d tokens in both)\n", c.Whole.Jaccard, c.Whole.Shared, c.Whole.Either)
	return err
}

func (v *compareVerb) print(c *compared, r comparison) error {
	t := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t%s\tbest\t\n", r.Measure, strings.Join(c.B, "\t"))
	for i, best := range r.Values.Best() {
		fmt.Fprintf(t, "%s\t", c.A[i])
		for _, x := range r.Values[i] {
			fmt.Fprintf(t, "%.3f\t", x)
		}
		fmt.Fprintf(t, "%s\t\n", c.B[best])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(v.out, "best match is the layer of the same number: %.0f %%\n\n", 100*r.Matched)
	return err
}

func (c *compared) writeCSV(path string) error {
	rows := [][]string{{"measure", "a", "b", "value"}}
	for _, r := range c.Results {
		for i, row := range r.Values {
			for j, x := range row {
				rows = append(rows, []string{r.Measure, c.A[i], c.B[j], strconv.FormatFloat(x, 'g', 6, 64)})
			}
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		return err
	}
	return f.Close()
}

func (c *compared) draw(path string) error {
	for i, r := range c.Results {
		file := path
		if i > 0 {
			end := filepath.Ext(path)
			file = strings.TrimSuffix(path, end) + "-" + strings.ReplaceAll(r.Measure, " ", "-") + end
		}
		g := &chart.Grid{Title: r.Measure, Across: "layers of B", Rows: c.A, Values: r.Values}
		if err := g.Save(file); err != nil {
			return err
		}
	}
	return nil
}
