// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// fitActAddVerb is one call of fit actadd.
type fitActAddVerb struct {
	*app
	model              modelFlags
	positive, negative string
	site, output       string
	json               bool
}

func (a *app) fitActAdd() *cobra.Command {
	v := &fitActAddVerb{app: a}
	c := &cobra.Command{
		Use:   "actadd MODEL --positive TEXT --negative TEXT --site SITE -o OUT.safetensors",
		Short: "Keep the activations of one prompt less those of another, position by position",
		Long: "Runs two prompts and writes the difference of their activations at a site, a row a token, for --steer actadd:FILE (activation addition, arXiv 2308.10248).\n" +
			"The shorter prompt is filled up with spaces on the right. What both begin with, such as the begin token, cancels.",
		Example: "  trimtab fit actadd model.gguf --positive Love --negative Hate --site resid_pre.6 -o love.safetensors\n" +
			"  trimtab generate model.gguf --prompt \"I hate you because\" --steer actadd:love.safetensors*5",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&v.positive, "positive", "", "prompt whose activations are added")
	f.StringVar(&v.negative, "negative", "", "prompt whose activations are taken off; may be empty")
	f.StringVar(&v.site, "site", "", "input of a block to read and add at, such as resid_pre.6")
	f.StringVarP(&v.output, "output", "o", "", "file to write")
	f.BoolVar(&v.json, "json", false, "print one JSON object")
	for _, required := range []string{"positive", "negative", "site", "output"} {
		_ = c.MarkFlagRequired(required) // fails for a flag that does not exist
	}
	v.model.add(c)
	return c
}

func (v *fitActAddVerb) run(ctx context.Context, path string) (err error) {
	site, err := hooks.ParseSite(v.site)
	if err != nil {
		return usageError{fmt.Errorf("--site: %w", err)}
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	if site, err = m.Shape().Resolve(site); err != nil {
		return fmt.Errorf("--site: %w", err)
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	ids, rows, err := v.difference(ctx, m, site)
	if err != nil {
		return err
	}
	if err := steering.SaveActAdd(v.output, map[int][][]float32{site.Layer: rows}); err != nil {
		return err
	}
	if v.json {
		return jsonTo(v.out).Encode(map[string]any{"model": m.Shape().Model, "file": v.output, "site": site.String(), "positive_ids": ids[0], "negative_ids": ids[1]})
	}
	_, err = fmt.Fprintf(v.out, "%d positions at %s: use actadd:%s*STRENGTH\n", len(rows), site, v.output)
	return err
}

// difference runs both prompts and returns their tokens and a row a position.
func (v *fitActAddVerb) difference(ctx context.Context, m *runtime.Model, site hooks.Site) (ids [2][]int32, rows [][]float32, err error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return ids, nil, err
	}
	for i, text := range []string{v.positive, v.negative} {
		if bos := tok.BOS(); bos >= 0 {
			ids[i] = append(ids[i], bos)
		}
		ids[i] = tok.Encode(ids[i], text, false)
	}
	n := max(len(ids[0]), len(ids[1]))
	var data [2][]float32
	for i := range ids {
		ids[i] = append(ids[i], slices.Repeat([]int32{space(tok)}, n-len(ids[i]))...)
		got, err := m.Trace(ctx, ids[i], runtime.TraceOptions{Sites: []hooks.Site{site}})
		if err != nil {
			return ids, nil, err
		}
		data[i] = got[0].Data
	}
	width := m.Shape().Widths[site]
	for i := range n {
		row := slices.Clone(data[0][i*width : (i+1)*width])
		for j, x := range data[1][i*width : (i+1)*width] {
			row[j] -= x
		}
		rows = append(rows, row)
	}
	return ids, rows, nil
}

// space is the token of a space, or what the tokenizer has in its place.
func space(tok tokenizer.Tokenizer) int32 {
	if id, ok := tok.ID(" "); ok {
		return id
	}
	if ids := tok.Encode(nil, " ", false); len(ids) > 0 {
		return ids[len(ids)-1]
	}
	return max(tok.EOS(), 0)
}
