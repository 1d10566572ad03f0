// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/bench"
	"github.com/trimtab/trimtab/runtime"
)

// quantVerb is one call of eval quant.
type quantVerb struct {
	*app
	model   modelFlags
	config  bench.FidelityConfig
	texts   []string
	ids     []int32
	quants  []string
	kernels []string
	kvs     []string
	json    bool
}

func (a *app) evalQuant() *cobra.Command {
	v := &quantVerb{app: a}
	c := &cobra.Command{
		Use:   "quant MODEL (--text FILE… | --ids LIST)",
		Short: "Measure what forms of the weights, operators and caches lose against exactly expanded weights",
		Long: "Reads the same tokens with every combination of the forms and prints, against f32 on ONNX Runtime's operators, how often the likeliest token\n" +
			"is the same, the mean KL divergence, and the mean negative log-likelihood of the next token (both in nats).",
		Example: "  trimtab eval quant model.gguf --text README.md\n  trimtab eval quant folder/ --text a.txt,b.txt --quants q8,q4 --kernels own --kv f16,int8 --json",
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	f := c.Flags()
	f.SortFlags = false
	f.StringSliceVar(&v.texts, "text", nil, "files of text to read; - is standard input")
	f.Int32SliceVar(&v.ids, "ids", nil, "tokens to read instead, for models without a tokenizer")
	f.IntVar(&v.config.Tokens, "tokens", 512, "most tokens to read")
	f.IntVar(&v.config.Window, "window", 256, "tokens that are read from an empty context each")
	f.StringSliceVar(&v.quants, "quants", []string{"keep", "q8", "q4"}, "forms of the weights: keep, f32, q8, q4")
	f.StringSliceVar(&v.kernels, "kernels", []string{"own", "ort"}, "operators: own, ort")
	f.StringSliceVar(&v.kvs, "kv", []string{"f16", "f32", "int8"}, "keys and values: f16, f32, int8; ort has f32 only")
	f.BoolVar(&v.json, "json", false, "print the rows as JSON")
	c.MarkFlagsOneRequired("text", "ids")
	c.MarkFlagsMutuallyExclusive("text", "ids")
	v.model.addMachine(c)
	return c
}

func (v *quantVerb) run(ctx context.Context, name string) error {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	if err := v.forms(); err != nil {
		return err
	}
	for _, file := range v.texts {
		text, err := v.readInput(file)
		if err != nil {
			return fmt.Errorf("eval quant: %w", err)
		}
		v.config.Texts = append(v.config.Texts, string(text))
	}
	path, err := resolve(ctx, name, v.err)
	if err != nil {
		return err
	}
	if v.config.Model, err = v.model.machine(); err != nil {
		return err
	}
	v.config.IDs = v.ids
	v.config.Progress = counting(v.err, "reading")
	rows, err := bench.MeasureFidelity(ctx, path, v.config)
	if err != nil {
		return err
	}
	if v.json {
		e := json.NewEncoder(v.out)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	return printFidelity(v.out, rows)
}

// forms checks what the flags name, before anything is loaded.
func (v *quantVerb) forms() error {
	if v.config.Tokens < 2 || v.config.Window < 2 {
		return usageError{errors.New("eval quant: want at least 2 for --tokens and --window")}
	}
	for _, q := range v.quants {
		v.config.Quants = append(v.config.Quants, runtime.Quant(q))
	}
	for _, k := range v.kernels {
		v.config.Kernels = append(v.config.Kernels, runtime.Kernels(k))
	}
	for _, kv := range v.kvs {
		v.config.KVs = append(v.config.KVs, runtime.KV(kv))
	}
	return errors.Join(oneOf("quants", v.quants, quants), oneOf("kernels", v.kernels, kernelSets), oneOf("kv", v.kvs, caches))
}

func printFidelity(w io.Writer, rows []bench.Fidelity) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "quant\tkernels\tkv\tpositions\ttop-1\tmean KL\tNLL")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.2f%%\t%.6f\t%.4f\n", r.Quant, r.Kernels, r.KV, r.Positions, 100*r.Agreement, r.KL, r.NLL)
	}
	return t.Flush()
}
