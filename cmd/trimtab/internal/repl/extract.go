// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/stimuli"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
	fitting "github.com/trimtab/trimtab/steering/fit"
)

// nudge is how far an extracted vector moves the residual when it is attached: the sum over all blocks of its share of the activation's length.
const nudge = 0.35

// extract is /extract A vs B [to FILE]: a vector of two personas, made of built-in templates, written to a file and attached.
func (c *Chat) extract(ctx context.Context, arg string) error {
	positive, negative, path, err := readExtract(arg)
	if err != nil {
		return err
	}
	if path == "" {
		if path, err = vectorPath(positive + "-vs-" + negative); err != nil {
			return err
		}
	}
	pairs, err := stimuli.Persona{Positive: positive, Negative: negative}.Pairs()
	if err != nil {
		return err
	}
	spec, notes, err := c.makeVector(ctx, pairs, path)
	if err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	a, err := c.rig.steer(spec)
	if err != nil {
		return err
	}
	c.screen.notes(append(notes, a.notes()...))
	return nil
}

// readExtract takes what stands behind /extract apart.
func readExtract(arg string) (positive, negative, path string, err error) {
	a, b, found := strings.Cut(arg, " vs ")
	if rest, file, to := strings.Cut(b, " to "); to && filepath.Ext(strings.TrimSpace(file)) != "" {
		b, path = rest, strings.TrimSpace(file)
	}
	positive, negative = strings.TrimSpace(a), strings.TrimSpace(b)
	if !found || positive == "" || negative == "" {
		return "", "", "", errors.New("want /extract happy vs sad [to FILE.gguf]")
	}
	return positive, negative, path, nil
}

// vectorPath is where a vector goes that is given no file: a folder of the user's cache.
func vectorPath(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("extract: no folder for vectors: %w (give a file: /extract A vs B to FILE.gguf)", err)
	}
	folder := filepath.Join(cache, "trimtab", "vectors")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("extract: %w", err)
	}
	plain := func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' {
			return unicode.ToLower(r)
		}
		return '-'
	}
	return filepath.Join(folder, strings.Map(plain, name)+".gguf"), nil
}

// makeVector fits the difference of means at every block, writes it and returns the spec that steers with it.
func (c *Chat) makeVector(ctx context.Context, pairs []stimuli.Pair, path string) (spec string, notes []string, err error) {
	sh := c.model.Shape()
	sites, err := stimuli.Sites(sh, string(hooks.ResidPost)+".*")
	if err != nil {
		return "", nil, err
	}
	if len(sites) > 1 {
		sites = sites[1:] // llama.cpp refuses a file with block 0
	}
	coder, err := stimuli.NewCoder(c.model, stimuli.Last, false)
	if err != nil {
		return "", nil, err
	}
	g, err := stimuli.Gather(ctx, c.model, sites, coder, &stimuli.Set{Pairs: pairs}, c.screen.progress())
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	layers, err := fitting.Layers(ctx, g.Samples, fitting.Options{Methods: []fitting.Method{fitting.DiffMean}})
	if err != nil {
		return "", nil, err
	}
	at, reason, r := stimuli.Suggest(sh, sites, layers, fitting.DiffMean)
	if at == "" {
		return "", nil, errors.New(reason)
	}
	v, err := stimuli.Vector(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), sh, sites, layers, fitting.DiffMean)
	if err != nil {
		return "", nil, err
	}
	v.Notes["read"], v.Notes["texts_sha256"], v.Notes["suggested"] = string(stimuli.Last), g.Hash, at+" "+reason
	v.Notes["quant"], v.Notes["pairs"] = string(c.model.Config().Quant), strconv.Itoa(len(pairs))
	if err := v.Save(path); err != nil {
		return "", nil, err
	}
	strength := strengthOf(layers[r.First : r.Last+1])
	s := steering.Spec{Kind: steering.KindVector, Sources: []steering.Source{{Path: path}}, Strength: &strength, Sites: at}
	return s.String(), []string{fmt.Sprintf("written to %s, of %d pairs; %s", path, len(pairs), reason)}, nil
}

// strengthOf is a strength of two digits at which layers are moved by the nudge in all.
func strengthOf(layers []fitting.Layer) float32 {
	share := 0.0
	for _, l := range layers {
		share += l.Of(fitting.DiffMean).Norm / l.Residual
	}
	text := strconv.FormatFloat(nudge/share, 'g', 2, 64)
	f, _ := strconv.ParseFloat(text, 32) // text is a number that was just written
	return float32(f)
}

// progress returns a function that counts texts on a terminal, in one line that goes away.
func (s *screen) progress() func(done, total int64) {
	if !s.terminal {
		return func(int64, int64) {}
	}
	return func(done, total int64) {
		fmt.Fprintf(s.out, "\r%s", s.paint(dim, fmt.Sprintf("reading texts: %d of %d", done, total)))
		if done == total {
			_, _ = io.WriteString(s.out, "\r\x1b[K") // a terminal that cannot be written to shows in the next answer
		}
	}
}
