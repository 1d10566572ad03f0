// SPDX-License-Identifier: Apache-2.0

package models

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/quant"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// ggufSource finds tensors under the very names that files use, but for those that a family uses for something else.
type ggufSource struct {
	file  *gguf.File
	names map[string]string // the decoder's name for a part of a block: the file's
}

func (s ggufSource) Tensor(name string) (decoder.Tensor, bool) {
	t, ok := s.file.Tensor(s.stored(name))
	return decoder.Tensor{Name: name, Type: t.Type, Shape: t.Shape, Data: t.Data}, ok
}

// stored is the file's name of a tensor; a name that the family uses for another part is nobody's.
func (s ggufSource) stored(name string) string {
	for here, there := range s.names {
		if before, after, ok := strings.Cut(name, "."+here+"."); ok {
			return before + "." + there + "." + after
		}
		if strings.Contains(name, "."+there+".") {
			return ""
		}
	}
	return name
}

// Release implements decoder.Releaser.
func (s ggufSource) Release(data []byte) { s.file.Release(data) }

// ReleaseAll implements decoder.Releaser.
func (s ggufSource) ReleaseAll() { s.file.ReleaseAll() }

// list names the tensors that belong to the graph, as the decoder asks for them: not the factors of rotary embedding, which the description holds.
func (s ggufSource) list() []string {
	var out []string
	for _, t := range s.file.Tensors {
		if strings.HasPrefix(t.Name, "rope_") {
			continue
		}
		name := t.Name
		for here, there := range s.names {
			name = strings.Replace(name, "."+there+".", "."+here+".", 1)
		}
		out = append(out, name)
	}
	return out
}

func openGGUF(path string) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("models: open %s: %w", path, err)
	}
	m := &Model{Path: path, Types: map[quant.Type]int64{}, close: f.Close}
	for _, t := range f.Tensors {
		m.Types[t.Type] += int64(len(t.Data))
		m.Bytes += int64(len(t.Data))
	}
	if err := m.describeGGUF(f); err != nil {
		return nil, errors.Join(fmt.Errorf("models: open %s: %w", path, err), f.Close())
	}
	m.tokenizer = once(func() (tokenizer.Tokenizer, error) { return ggufTokenizer(f) })
	m.template = once(func() (*chat.Template, error) { return ggufTemplate(f, m.tokenizer) })
	return m, nil
}

func (m *Model) describeGGUF(f *gguf.File) error {
	arch, err := f.Meta.String("general.architecture")
	if err != nil {
		return err
	}
	family, ok := ggufFamilies()[arch]
	if !ok {
		return &FamilyError{Family: arch, Known: slices.Sorted(maps.Keys(ggufFamilies()))}
	}
	if m.Description, err = readKeys(f, arch, family); err != nil {
		return err
	}
	source := ggufSource{f, family.names}
	m.Source = source
	return checkUse(&m.Description, source, source.list())
}

// readKeys reads the keys of the GGUF specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
func readKeys(f *gguf.File, arch string, family ggufFamily) (decoder.Description, error) {
	k := keys{meta: f.Meta, arch: arch}
	d := decoder.Description{
		Family:     arch,
		Name:       k.text("general.name"),
		Layers:     k.count("block_count"),
		Width:      k.count("embedding_length"),
		Context:    k.count("context_length"),
		Heads:      k.count("attention.head_count"),
		MLPWidth:   feedForward(f, k.count("feed_forward_length")),
		Norm:       family.norm,
		NormEps:    k.eps(family.norm),
		NoPreNorm:  family.noPreNorm,
		Parallel:   k.parallel(family.parallel),
		Activation: family.activation,
		Gated:      family.gated,
		AttnCap:    float32(k.numberOr("attn_logit_softcapping", 0)),
		LogitCap:   float32(k.numberOr("final_logit_softcapping", 0)),
		ClipQKV:    float32(k.numberOr("attention.clamp_kqv", 0)),
	}
	if k.err != nil || d.Layers < 1 || d.Layers > 1<<12 || d.Heads < 1 {
		return d, first(k.err, d.Check())
	}
	d.KVHeads = k.countOr("attention.head_count_kv", d.Heads)
	d.HeadDim = k.countOr("attention.key_length", d.Width/d.Heads)
	d.Vocab = vocabulary(f)
	k.latent(&d, family)
	k.scales(&d, family)
	d.Windows = k.windows(family, d.Layers)
	k.ropes(f, &d, family)
	d.Experts = k.experts(f, family, d.MLPWidth)
	return d, first(k.err, d.Check())
}

// vocabulary is the height of the embedding table: the token list may be longer or absent.
func vocabulary(f *gguf.File) int {
	t, ok := f.Tensor("token_embd.weight")
	if !ok || len(t.Shape) != 2 {
		return 0
	}
	return t.Shape[0]
}

// feedForward is the width of dense feed-forward layers as their tensors have it: some converters write four times the model's width whatever the config says.
func feedForward(f *gguf.File, said int) int {
	for _, t := range f.Tensors {
		if strings.HasSuffix(t.Name, ".ffn_down.weight") && len(t.Shape) == 2 {
			return t.Shape[1]
		}
	}
	return said
}

func (k *keys) parallel(rule parallelRule) bool {
	switch rule {
	case parallel:
		return true
	case parallelFlag:
		return k.flagOr("use_parallel_residual", true)
	case serialFlag:
		return k.flagOr("use_parallel_residual", false)
	}
	return false
}

// scales reads the numbers that multiply embeddings, attention, residuals and logits.
func (k *keys) scales(d *decoder.Description, f ggufFamily) {
	d.EmbedScale = float32(k.numberOr("embedding_scale", 0))
	d.ResidualScale = float32(k.numberOr("residual_scale", 0))
	d.LogitScale = float32(k.numberOr("logit_scale", 0))
	if f.inverse && d.LogitScale != 0 {
		d.LogitScale = 1 / d.LogitScale
	}
	if s := k.numberOr("attention.scale", 0); s != 0 {
		d.AttnScale = float32(s)
	}
	if f.embedSqrt {
		d.EmbedScale = float32(math.Sqrt(float64(d.Width)))
	}
	if f.tall > 0 && d.Layers == f.tall {
		d.AttnScale = float32(1 / math.Sqrt(float64(d.Width/d.Heads)))
	}
}

// windows returns the window of every block, or nil where none has one. Older files have no pattern: it is then the family's.
func (k *keys) windows(f ggufFamily, layers int) []int {
	w := k.countOr("attention.sliding_window", 0)
	if w <= 0 {
		return nil
	}
	flags, every := k.pattern(f.fullEvery)
	if flags != nil && len(flags) != layers {
		k.fail(fmt.Errorf("models: attention.sliding_window_pattern: want %d, found %d", layers, len(flags)))
		return nil
	}
	out := make([]int, layers)
	for i := range out {
		if flags != nil && flags[i] || flags == nil && (every <= 0 || (i+1)%every != 0) {
			out[i] = w
		}
	}
	return out
}

// pattern reads which blocks have the window: a list of flags, or one number of which each so-manieth block has none.
func (k *keys) pattern(every int) ([]bool, int) {
	key := k.arch + ".attention.sliding_window_pattern"
	v, ok := k.meta.Value(key)
	switch {
	case !ok:
	case v.Kind != gguf.Array:
		every = k.countOr("attention.sliding_window_pattern", every)
	case v.Elem == gguf.Bool:
		flags, err := k.meta.Bools(key)
		k.fail(err)
		return flags, every
	default:
		numbers, err := k.meta.Ints(key)
		k.fail(err)
		flags := make([]bool, len(numbers))
		for i, n := range numbers {
			flags[i] = n != 0
		}
		return flags, every
	}
	return nil, every
}

// latent reads latent attention. Newer files give the widths of its expanded form in keys of their own, and key_length that of the compressed one.
func (k *keys) latent(d *decoder.Description, f ggufFamily) {
	if !f.latent {
		return
	}
	d.Latent = decoder.Latent{
		Rank:     k.count("attention.kv_lora_rank"),
		QRank:    k.countOr("attention.q_lora_rank", 0),
		ValueDim: k.countOr("attention.value_length_mla", k.countOr("attention.value_length", 0)),
		NormEps:  d.NormEps,
	}
	d.HeadDim = k.countOr("attention.key_length_mla", d.HeadDim)
	d.KVHeads = d.Heads
}

// experts reads how tokens find their experts. expert_gating_func: 1 softmax, 2 sigmoid, 3 softmax over the chosen; older files lack it, and then a bias of the
// choice tells DeepSeek-V3.
func (k *keys) experts(file *gguf.File, f ggufFamily, dense int) decoder.Experts {
	n := k.countOr("expert_count", 0)
	if n == 0 {
		return decoder.Experts{}
	}
	e := decoder.Experts{
		Count:       n,
		Used:        k.count("expert_used_count"),
		Width:       k.countOr("expert_feed_forward_length", dense),
		Normalise:   k.flagOr("expert_weights_norm", f.normalise),
		Scale:       float32(k.numberOr("expert_weights_scale", 0)),
		Groups:      k.countOr("expert_group_count", 0),
		GroupsUsed:  k.countOr("expert_group_used_count", 0),
		GroupTop:    f.groupTop,
		SharedWidth: k.countOr("expert_shared_feed_forward_length", 0),
	}
	if e.SharedWidth == 0 {
		e.SharedWidth = e.Width * k.countOr("expert_shared_count", 0)
	}
	gate := 1
	for _, t := range file.Tensors {
		if strings.HasSuffix(t.Name, ".exp_probs_b.bias") {
			gate = 2
		}
	}
	switch gate = k.countOr("expert_gating_func", gate); gate {
	case 1:
	case 2:
		e.Score = decoder.Sigmoid
	case 3:
		e.Normalise = true
	default:
		k.fail(fmt.Errorf("models: expert_gating_func: want 1, 2 or 3, found %d", gate))
	}
	if e.Score == decoder.Softmax {
		e.GroupTop = min(e.GroupTop, 1) // DeepSeek-V2 rates a group by its best expert, V3 by its two best
	}
	if f.swiglu {
		e.Alpha, e.Limit, e.Offset = 1.702, 7, 1
	}
	return e
}
