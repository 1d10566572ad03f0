// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/proof"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/steer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/hub"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// modelFlags are the flags of every verb that loads a model.
type modelFlags struct {
	config runtime.Config
	quant  string
	kern   string
	kv     string
	on     string
}

func (m *modelFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&m.quant, "quant", string(runtime.Keep), "form of the weights: keep runs them as stored, f32 expands them exactly, q8 and q4 round them")
	f.StringVar(&m.kern, "kernels", "", "operators: own, or ort for ONNX Runtime's products and attention (default: own, but ort for --quant f32)")
	f.StringVar(&m.kv, "kv", "", "keys and values: f16, int8 or f32 (default: f16, but f32 for --kernels ort)")
	m.addMachine(c)
}

// addMachine adds the flags that say where and how large, not in which form.
func (m *modelFlags) addMachine(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&m.on, "provider", string(runtime.CPU), "what computes: cpu, cuda or cuda:N for another device than the first (needs a CUDA build of ONNX Runtime, see --ort-lib)")
	f.IntVar(&m.config.Threads, "threads", 0, "threads of one pass (default: one a processor, at most 8)")
	f.IntVar(&m.config.Context, "ctx", 0, "most tokens of a conversation (default: what the model was made for)")
	f.StringVar(&m.config.Library, "ort-lib", "", "ONNX Runtime's shared library (default: $"+runtime.LibraryVariable+", then .trimtab/lib, then the system's folders)")
}

// machine returns what the flags of addMachine say.
func (m *modelFlags) machine() (runtime.Config, error) {
	config := m.config
	config.Provider = runtime.Provider(m.on)
	if err := config.Provider.Check(); err != nil {
		return config, usageError{fmt.Errorf("--provider: %w", err)}
	}
	return config, nil
}

// settings returns what all flags say.
func (m *modelFlags) settings() (runtime.Config, error) {
	config, err := m.machine()
	if err != nil {
		return config, err
	}
	config.Quant = runtime.Quant(m.quant)
	config.Kernels, config.KV = runtime.Kernels(m.kern), runtime.KV(m.kv)
	return config, errors.Join(oneOf("quant", []string{m.quant}, quants), oneOf("kernels", []string{m.kern}, kernelSets), oneOf("kv", []string{m.kv}, caches))
}

// What flags of forms may say.
const (
	quants     = "keep f32 q8 q4"
	kernelSets = "own ort"
	caches     = "f16 f32 int8"
)

// oneOf refuses a flag's values that are none of the words of want; an empty one is the default.
func oneOf(flag string, values []string, want string) error {
	for _, v := range values {
		if v != "" && !slices.Contains(strings.Fields(want), v) {
			return usageError{fmt.Errorf("--%s: want one of %s, found %q", flag, want, v)}
		}
	}
	return nil
}

// resolve returns the path of a model that is given as one or by its name on the Hub, which may take a download.
func resolve(ctx context.Context, name string, errs io.Writer) (string, error) {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	return hub.Resolve(ctx, name, hub.Options{Progress: counting(errs, "downloading", progressbar.OptionShowBytes(true))})
}

// open loads the model, with a bar on the terminal where that takes long.
func (m *modelFlags) open(ctx context.Context, name string, errs io.Writer) (*runtime.Model, error) {
	config, err := m.settings()
	if err != nil {
		return nil, err
	}
	path, err := resolve(ctx, name, errs)
	if err != nil {
		return nil, err
	}
	if terminal(errs) {
		config.Progress = counting(errs, "loading", progressbar.OptionShowBytes(true))
	}
	return runtime.Open(path, config)
}

// steerFlag is --steer, repeatable, and whether it is tried out.
type steerFlag struct {
	specs    []string
	unproved bool
}

func (s *steerFlag) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.specs, "steer", nil, "steering such as vector:FILE*2.5@resid_post.10-20 (repeatable)")
	c.Flags().BoolVar(&s.unproved, "no-proof", false, "attach steering without trying out first that it does what it says")
}

// load reads every spec, checks what can be checked on the model itself, and prints where it acts.
func (s *steerFlag) load(ctx context.Context, m *runtime.Model, errs io.Writer) ([]hooks.Hook, error) {
	var out []hooks.Hook
	var loaded []steering.Hook
	tester := proof.New(m)
	for _, spec := range s.specs {
		l, err := steer.Load(spec, m.Shape())
		if err != nil {
			return nil, fmt.Errorf("--steer %s: %w", spec, err)
		}
		notes, err := l.Check(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("--steer %s: %w", spec, err)
		}
		if !s.unproved {
			found, err := tester.Check(ctx, l.Hook, loaded...)
			if err != nil {
				return nil, fmt.Errorf("--steer %s: %w", spec, err)
			}
			notes = append(notes, found...)
		}
		for _, note := range append(l.Notes(), notes...) {
			fmt.Fprintln(errs, note)
		}
		out, loaded = append(out, l), append(loaded, l.Hook)
	}
	return out, nil
}

// readInput reads a file, or standard input for "-".
func (a *app) readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(a.in)
	}
	return os.ReadFile(path)
}

// closing adds the error of closing c to the one that a function returns.
func closing(c io.Closer, err *error) { *err = errors.Join(*err, c.Close()) }
