// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/steering"
)

// report is what inspect found in a file.
type report interface {
	text() string
}

func (a *app) inspect() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Tell what a model or a vector file holds",
		Long: "Of a model: family, sizes, quantisation and sites, with the reason for those it lacks.\n" +
			"Of a vector: mode, layers, lengths, and the cosine between neighbouring layers.",
		Example: "  trimtab inspect model.gguf\n" +
			"  trimtab inspect happy.gguf --json",
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.verb(func(ctx context.Context, _ *cobra.Command, args []string) error {
		path, err := resolve(ctx, args[0], a.err)
		if err != nil {
			return err
		}
		r, err := inspectFile(path)
		if err != nil {
			return err
		}
		if asJSON {
			return jsonTo(a.out).Encode(r)
		}
		_, err = io.WriteString(a.out, r.text())
		return err
	})
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// inspectFile asks the file itself what it is; its name does not count.
func inspectFile(path string) (report, error) {
	format, err := sniff(path)
	if err != nil {
		return nil, err
	}
	switch format {
	case formatGGUF:
		return inspectGGUF(path)
	case formatFolder:
		return inspectModel(path)
	case formatSafetensors:
		return inspectSafetensors(path)
	case formatZip, formatNumPy, formatJSON:
		return inspectLoose(path, format)
	}
	return nil, fmt.Errorf("inspect %s: want a GGUF file, a safetensors file or a model's folder, found %s", path, format)
}

// inspectLoose describes the directions of a file of another tool, or the two of a file of planes.
func inspectLoose(path string, format format) (report, error) {
	v, err := steering.ReadVector(steering.Source{Path: path})
	if err == nil {
		return newVectors(v), nil
	}
	first, err1 := steering.ReadVector(steering.Source{Path: path, Family: "first_direction"})
	second, err2 := steering.ReadVector(steering.Source{Path: path, Family: "second_direction"})
	if err1 == nil && err2 == nil {
		return newVectors(first, second), nil
	}
	return nil, fmt.Errorf("inspect %s: want a vector, a GGUF file, a safetensors file or a model's folder, found %s: %w", path, format, err)
}

func inspectGGUF(path string) (report, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	architecture, _, err := gguf.Optional(f.Meta.String("general.architecture"))
	if err != nil {
		return nil, err
	}
	_, model := f.Tensor("token_embd.weight")
	if err := f.Close(); err != nil {
		return nil, err
	}
	if model || (architecture != "" && architecture != "controlvector") {
		return inspectModel(path)
	}
	v, err := steering.ReadVector(steering.Source{Path: path})
	if err != nil {
		return nil, err
	}
	return newVectors(v), nil
}

// inspectSafetensors describes every family of directions in a file; what is no direction is listed by name.
func inspectSafetensors(path string) (report, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := newVectors()
	seen := map[string]bool{}
	var first error
	for _, t := range f.Tensors {
		family := t.Name
		if i := strings.LastIndexByte(family, '.'); i > 0 {
			family = family[:i]
		}
		if seen[family] {
			continue
		}
		seen[family] = true
		v, err := steering.ReadVector(steering.Source{Path: path, Family: family})
		if err != nil {
			out.Others = append(out.Others, family)
			first = firstError(first, err)
			continue
		}
		out.add(v)
	}
	if len(out.Vectors) == 0 {
		return nil, fmt.Errorf("inspect %s: no directions: %w", path, firstError(first, errEmptyFile))
	}
	return out, nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
