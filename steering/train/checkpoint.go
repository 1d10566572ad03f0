// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// state is what a checkpoint holds beside tensors. Activations are not kept: they are read again.
type state struct {
	Config   Config  `json:"config"`
	Texts    int     `json:"texts"`
	Tokens   int     `json:"tokens"`
	Steps    int64   `json:"steps"`
	Pass     int     `json:"pass"`
	Round    int64   `json:"round"`
	From     int     `json:"from"`
	Used     int     `json:"used"`
	LeftOld  int     `json:"left"`
	Median   float64 `json:"median"`
	Scale    float64 `json:"scale"`
	Variance float64 `json:"variance"`
	Cut      float64 `json:"cut"`
	Silent   []int64 `json:"silent"`
	Note     string  `json:"note"`
}

// stateKey names the state in the file's metadata.
const stateKey = "trimtab-train-1"

// tensors lists everything that is learnt, in the memory in which it is used.
func (t *Trainer) tensors() map[string][]float32 {
	all := map[string][]float32{"enc": t.w.enc, "dec": t.w.dec, "enc_bias": t.w.encBias, "dec_bias": t.w.decBias}
	moment := map[string]moments{"enc": t.m.enc, "dec": t.m.dec, "enc_bias": t.m.encBias, "dec_bias": t.m.decBias}
	if t.c.Arch == JumpReLU {
		all["threshold"], moment["threshold"] = t.w.threshold, t.m.threshold
	}
	for name, m := range moment {
		all[name+".first"], all[name+".second"] = m.first, m.second
	}
	return all
}

// Save writes a checkpoint, from which Resume goes on as if nothing had happened. note is for the caller, who gets it back.
func (t *Trainer) Save(path, note string) error {
	s := state{
		Config: t.c, Texts: t.src.Texts(), Tokens: t.tokens, Steps: t.steps, Pass: t.pass, Round: t.round, From: t.from, Used: t.used,
		LeftOld: t.leftOld, Median: t.massive.Median(), Scale: t.scale, Variance: t.variance, Cut: t.w.cut, Silent: t.silent, Note: note,
	}
	text, err := json.Marshal(&s)
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	var list []safetensors.Tensor
	all := t.tensors()
	for _, name := range sortedNames(all) {
		list = append(list, safetensors.Float32Tensor(name, all[name], len(all[name])))
	}
	return safetensors.Write(path, list, map[string]string{stateKey: string(text)})
}

func sortedNames(all map[string][]float32) []string {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Resume returns a trainer where a checkpoint left it. The configuration, the texts and the caller's note must be those it was saved with.
func Resume(ctx context.Context, path, note string, c Config, src Source, products Products) (*Trainer, error) {
	t, err := New(c, src, products)
	if err != nil {
		return nil, err
	}
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var s state
	if err := json.Unmarshal([]byte(f.Metadata[stateKey]), &s); err != nil {
		return nil, fmt.Errorf("train: %s: want a checkpoint, found a file without one: %w", path, err)
	}
	threads := t.c.Threads
	t.c.Threads = 0
	if s.Config.Threads = 0; !reflect.DeepEqual(s.Config, t.c) || s.Texts != src.Texts() || s.Tokens != t.tokens || s.Note != note {
		return nil, fmt.Errorf("train: %s: want a checkpoint of the same training (%+v on %d texts of %d tokens, %s), found %+v on %d texts of %d tokens, %s",
			path, t.c, src.Texts(), t.tokens, note, s.Config, s.Texts, s.Tokens, s.Note)
	}
	t.c.Threads = threads
	if len(s.Silent) != t.c.Width || s.From < 0 || s.From >= src.Texts() || s.Used < 0 || !(s.Scale > 0) || !(s.Variance > 0) || !(s.Median > 0) {
		return nil, fmt.Errorf("train: %s: want a checkpoint behind the first step, found one at text %d with scale %g", path, s.From, s.Scale)
	}
	if err := t.load(path, f); err != nil {
		return nil, err
	}
	return t, t.goOn(ctx, &s)
}

func (t *Trainer) load(path string, f *safetensors.File) error {
	for name, dst := range t.tensors() {
		x, ok := f.Tensor(name)
		if !ok || x.DType != safetensors.F32 || !slices.Equal(x.Shape, []int{len(dst)}) {
			return fmt.Errorf("train: %s: tensor %s: want %d float32, found none of that kind", path, name, len(dst))
		}
		if _, err := x.AppendFloat32(dst[:0]); err != nil {
			return fmt.Errorf("train: %s: %w", path, err)
		}
	}
	return nil
}

// goOn reads the round in which the checkpoint was made again.
func (t *Trainer) goOn(ctx context.Context, s *state) error {
	t.steps, t.scale, t.variance, t.w.cut, t.silent = s.Steps, s.Scale, s.Variance, s.Cut, s.Silent
	t.massive = dictionary.NewMassive(s.Median)
	t.pass = s.Pass
	if t.pass >= t.c.Passes {
		t.order = []int32{} // nothing is left to do
		return nil
	}
	t.startPass()
	t.round, t.from, t.leftOld = s.Round, s.From, s.LeftOld
	if err := t.fill(ctx); err != nil {
		return err
	}
	if s.Used > len(t.order) {
		return fmt.Errorf("train: want the texts that the checkpoint was made with, found a round of %d rows where %d were used", len(t.order), s.Used)
	}
	t.used = s.Used
	return nil
}
