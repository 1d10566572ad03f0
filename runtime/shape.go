// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"path/filepath"
	"sync"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/onnx"
)

// Describe returns the shape of a model that lies on disk, without loading it: the graph's builder itself is asked which sites it makes.
func Describe(f *models.Model) (hooks.Shape, error) {
	sh := hooks.Shape{
		Model: f.Name, Family: f.Family, Layers: f.Layers, Width: f.Width, Heads: f.Heads, Vocab: f.Vocab, Context: f.Context,
		Widths: map[hooks.Site]int{}, Missing: map[hooks.Site]string{}, Routers: map[int]*hooks.Router{},
		Turn: sync.OnceValue(func() []int32 { return turn(f) }),
	}
	if sh.Model == "" {
		sh.Model = filepath.Base(f.Path)
	}
	if f.Export != nil {
		describeExport(&sh, f.Export)
		return sh, nil
	}
	listen := func(_ *onnx.Graph, point string, layer int, value string, width int, _ decoder.Rows) string {
		sh.Widths[site(point, layer)] = width
		return value
	}
	if _, err := decoder.Build(&f.Description, f, decoder.Options{At: listen}); err != nil {
		return sh, err
	}
	for i := range f.Layers {
		if sh.Widths[hooks.At(hooks.RouterLogits, i)] > 0 {
			sh.Routers[i] = router(&f.Experts)
		}
	}
	for _, p := range hooks.Points() {
		for i := range f.Layers {
			if s := hooks.At(p, i); p.PerLayer() && sh.Widths[s] == 0 {
				sh.Missing[s] = absence(p)
			}
		}
	}
	return sh, nil
}

func router(e *decoder.Experts) *hooks.Router {
	return &hooks.Router{
		Experts: e.Count, Used: e.Used, Groups: e.Groups, GroupsUsed: e.GroupsUsed, GroupTop: e.GroupTop,
		Sigmoid: e.Score == decoder.Sigmoid, Normalise: e.Normalise, Scale: e.Scale,
	}
}

// absence says why a block may lack a point.
func absence(p hooks.Point) string {
	switch p {
	case hooks.RouterLogits, hooks.ExpertIDs, hooks.RouterWeights:
		return "the block has one dense feed-forward layer, no router and no experts"
	case hooks.ResidMid:
		return "the block is parallel: attention and feed-forward layer read the same residual, and nothing stands between them"
	case hooks.MLPAct:
		return "the block's feed-forward layer is a mixture of experts, which has no single down_proj"
	}
	return "the family has no such value"
}
