// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/runtime"
)

// traceVerb is one call of trace.
type traceVerb struct {
	*app
	model  modelFlags
	prompt promptFlags
	steer  steerFlag
	sites  string
	before bool
	file   string
}

func (a *app) trace() *cobra.Command {
	v := &traceVerb{app: a}
	c := &cobra.Command{
		Use:   "trace MODEL (--prompt TEXT | --messages FILE | --ids IDS) -o OUT.safetensors",
		Short: "Write activations of one pass to a safetensors file",
		Long: "Runs a prompt once and writes input_ids [tokens], and each selected site [tokens, width] under its name.\n" +
			"Values are those that the steering of a site leaves behind, with --before those that it finds.",
		Example: "  trimtab trace model.gguf --prompt 'Hello' -o out.safetensors\n" +
			"  trimtab trace model.gguf --prompt 'Hello' --sites 'resid_post.*,logits' --steer vector:happy.gguf*4 -o out.safetensors",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, c *cobra.Command, args []string) error { return v.run(ctx, c, args[0]) })
	c.Flags().SortFlags = false
	v.prompt.add(c)
	c.MarkFlagsOneRequired(v.prompt.names()...)
	c.MarkFlagsMutuallyExclusive(v.prompt.names()...)
	c.Flags().StringVar(&v.sites, "sites", "logits", "sites to write: names, ranges such as resid_post.10-20, globs such as resid_post.*")
	c.Flags().BoolVar(&v.before, "before", false, "write values as steering finds them")
	c.Flags().StringVarP(&v.file, "output", "o", "", "file to write")
	_ = c.MarkFlagRequired("output") // fails for a flag that does not exist
	v.steer.add(c)
	v.model.add(c)
	return c
}

func (v *traceVerb) run(ctx context.Context, c *cobra.Command, path string) (err error) {
	p, err := v.prompt.read(v.app, c)
	if err != nil {
		return err
	}
	m, err := v.model.open(ctx, path, v.err)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	ids, err := p.tokens(m)
	if err != nil {
		return err
	}
	o := runtime.TraceOptions{Before: v.before}
	if o.Sites, err = m.Shape().Select(v.sites); err != nil {
		return fmt.Errorf("--sites: %w", err)
	}
	if o.Hooks, err = v.steer.load(ctx, m, v.err); err != nil {
		return err
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	found, err := m.Trace(ctx, ids, o)
	if err != nil {
		return err
	}
	tensors := []safetensors.Tensor{int64Tensor("input_ids", ids, len(ids))}
	for i := range found {
		tensors = append(tensors, captured(&found[i], len(ids)))
	}
	return safetensors.Write(v.file, tensors, map[string]string{"model": m.Shape().Model})
}

// captured packs one site; expert numbers are written as whole numbers.
func captured(c *runtime.Captured, tokens int) safetensors.Tensor {
	if c.Site.Point == hooks.ExpertIDs {
		return int64Tensor(c.Site.String(), c.Data, tokens, c.Width)
	}
	return safetensors.Float32Tensor(c.Site.String(), c.Data, tokens, c.Width)
}

func int64Tensor[T int32 | float32](name string, values []T, shape ...int) safetensors.Tensor {
	data := make([]byte, 0, 8*len(values))
	for _, x := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(int64(x)))
	}
	return safetensors.Tensor{Name: name, DType: safetensors.I64, Shape: shape, Data: data}
}
