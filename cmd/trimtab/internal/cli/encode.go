// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// encodeVerb is one call of encode.
type encodeVerb struct {
	*app
	in     string
	file   string
	set    []string
	scale  float64
	k      int
	dense  bool
	dict   *dictionary.Dictionary
	edits  dictionary.Edits
	codes  [][]dictionary.Feature
	recon  []float32
	edited []float32
}

func (a *app) encode() *cobra.Command {
	v := &encodeVerb{app: a}
	c := &cobra.Command{
		Use:   "encode DICT --in X.safetensors[:TENSOR] -o OUT.safetensors",
		Short: "Encode activations with a sparse dictionary",
		Long: "DICT is a sparse autoencoder, a transcoder or an ITDA dictionary in any published format. Of X [rows, width] it writes\n" +
			"indices [rows, L0max], padded with -1, values [rows, L0max] and reconstruction [rows, width]; with --dense codes\n" +
			"[rows, features]; with --set edited [rows, width]: X plus the change, for a transcoder its reconstruction plus the change.",
		Example: "  trimtab encode sae/ --in x.safetensors:X -o out.safetensors\n" +
			"  trimtab encode itda/ --in x.safetensors --k 20 --set 12=0 --set 40+=3 -o out.safetensors",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error { return v.run(ctx, args[0]) })
	c.Flags().SortFlags = false
	c.Flags().StringVar(&v.in, "in", "", "activations: a file and, where it holds several, the tensor's name")
	c.Flags().StringVarP(&v.file, "output", "o", "", "file to write")
	c.Flags().StringArrayVar(&v.set, "set", nil, "change a feature: F=V, F+=V, F*=V, F>=V (at least) or F<=V (at most); may be repeated")
	c.Flags().Float64Var(&v.scale, "activation-scale", 0, "constant that expected_average_only_in needs and the files lack")
	c.Flags().IntVar(&v.k, "k", 0, "features to keep, or rounds of a pursuit (default: the files')")
	c.Flags().BoolVar(&v.dense, "dense", false, "write codes of all features too")
	for _, required := range []string{"in", "output"} {
		_ = c.MarkFlagRequired(required) // fails for a flag that does not exist
	}
	return c
}

func (v *encodeVerb) run(ctx context.Context, path string) (err error) {
	if v.scale < 0 || v.k < 0 {
		return usageError{fmt.Errorf("encode: want --activation-scale and --k above 0, found %g and %d", v.scale, v.k)}
	}
	if v.dict, err = dictionary.Open(path, dictionary.Options{ActivationScale: v.scale, K: v.k}); err != nil {
		return err
	}
	for _, w := range v.dict.Warnings() {
		fmt.Fprintln(v.err, "trimtab: warning: "+w)
	}
	if v.edits, err = v.parseEdits(); err != nil {
		return err
	}
	x, rows, err := readRows(v.in, v.dict.Form.In)
	if err != nil {
		return err
	}
	if err := v.encodeRows(ctx, x, rows); err != nil {
		return err
	}
	return safetensors.Write(v.file, v.tensors(rows), nil)
}

func (v *encodeVerb) parseEdits() (dictionary.Edits, error) {
	list := make([]dictionary.Edit, 0, len(v.set))
	for _, s := range v.set {
		e, err := dictionary.ParseEdit(s)
		if err != nil {
			return nil, usageError{err}
		}
		list = append(list, e)
	}
	return v.dict.Edits(list...)
}

// readRows reads a tensor whose last dimension is width.
func readRows(in string, width int) (x []float32, rows int, err error) {
	path, name := in, ""
	if i := strings.LastIndex(in, ".safetensors:"); i >= 0 {
		path, name = in[:i+len(".safetensors")], in[i+len(".safetensors:"):]
	}
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer closing(f, &err)
	if name == "" && len(f.Tensors) == 1 {
		name = f.Tensors[0].Name
	}
	t, ok := f.Tensor(name)
	if !ok {
		return nil, 0, fmt.Errorf("encode: %s: want the name of one of its %d tensors behind a colon, found %q", path, len(f.Tensors), name)
	}
	if !endsIn(t.Shape, width) {
		return nil, 0, fmt.Errorf("encode: %s: tensor %q: want rows of %d, the dictionary's width, found shape %v", path, name, width, t.Shape)
	}
	if x, err = t.AppendFloat32(nil); err != nil {
		return nil, 0, fmt.Errorf("encode: %s: %w", path, err)
	}
	return x, len(x) / width, nil
}

// endsIn tells whether the last dimensions make up width: attention heads may stand side by side or in a dimension of their own.
func endsIn(shape []int, width int) bool {
	n := 1
	for i := len(shape) - 1; i >= 0 && n < width; i-- {
		n *= shape[i]
	}
	return len(shape) > 0 && n == width
}

func (v *encodeVerb) encodeRows(ctx context.Context, x []float32, rows int) error {
	f := v.dict.Form
	coder := v.dict.NewCoder()
	v.codes = make([][]dictionary.Feature, rows)
	v.recon = make([]float32, rows*f.Out)
	if v.edits != nil {
		v.edited = make([]float32, rows*f.Out)
	}
	for i := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := x[i*f.In : (i+1)*f.In]
		v.codes[i] = coder.Encode(nil, row)
		out := v.recon[i*f.Out : (i+1)*f.Out]
		v.dict.Decode(out, v.codes[i], row)
		if v.edits == nil {
			continue
		}
		h := v.edited[i*f.Out : (i+1)*f.Out]
		copy(h, row)
		if v.dict.Transcodes() {
			copy(h, out)
		}
		v.dict.Edit(h, v.codes[i], row, v.edits)
	}
	return nil
}

func (v *encodeVerb) tensors(rows int) []safetensors.Tensor {
	longest := 0
	for _, code := range v.codes {
		longest = max(longest, len(code))
	}
	var indices []byte
	values := make([]float32, rows*longest)
	for i, code := range v.codes {
		for j := range longest {
			index := int32(-1)
			if j < len(code) {
				index, values[i*longest+j] = code[j].Index, code[j].Value
			}
			indices = binary.LittleEndian.AppendUint32(indices, uint32(index))
		}
	}
	f := v.dict.Form
	out := []safetensors.Tensor{
		{Name: "indices", DType: safetensors.I32, Shape: []int{rows, longest}, Data: indices},
		safetensors.Float32Tensor("values", values, rows, longest),
		safetensors.Float32Tensor("reconstruction", v.recon, rows, f.Out),
	}
	if v.edits != nil {
		out = append(out, safetensors.Float32Tensor("edited", v.edited, rows, f.Out))
	}
	if v.dense {
		out = append(out, safetensors.Float32Tensor("codes", v.denseCodes(rows), rows, f.N))
	}
	return out
}

func (v *encodeVerb) denseCodes(rows int) []float32 {
	n := v.dict.Form.N
	out := make([]float32, rows*n)
	for i, code := range v.codes {
		for _, f := range code {
			out[i*n+int(f.Index)] = f.Value
		}
	}
	return out
}
