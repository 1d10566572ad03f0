// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"fmt"
	"strconv"
	"strings"
)

// Point is the kind of place a site stands at; the constants are every point there is, in the order of the forward pass.
type Point string

// The points of a decoder block in the order of the forward pass, then those behind the last block.
const (
	Embeddings    Point = "embeddings"     // input of block 0, after any embedding scale
	ResidPre      Point = "resid_pre"      // input of block i
	AttnIn        Point = "attn_in"        // normed input of attention
	AttnZ         Point = "attn_z"         // concatenated heads, the input of o_proj
	AttnOut       Point = "attn_out"       // output of the attention module (o_proj)
	AttnPost      Point = "attn_post"      // what attention adds to the residual
	ResidMid      Point = "resid_mid"      // residual after attention
	MLPIn         Point = "mlp_in"         // normed input of the MLP or the router
	RouterLogits  Point = "router_logits"  // raw router logits, [rows, experts]
	ExpertIDs     Point = "expert_ids"     // chosen experts, [rows, k], read only
	RouterWeights Point = "router_weights" // weights of the chosen experts, [rows, k], read only
	MLPAct        Point = "mlp_act"        // input of down_proj
	MLPOut        Point = "mlp_out"        // output of the MLP or MoE module
	MLPPost       Point = "mlp_post"       // what the MLP or MoE adds to the residual
	ResidPost     Point = "resid_post"     // output of block i
	FinalNorm     Point = "final_norm"     // after the final norm's weight
	Logits        Point = "logits"         // next-token logits
)

// NoLayer is the layer of a site that belongs to no block, such as logits.
const NoLayer = -1 << 31

// spelling is one point with its TransformerLens name (%d is the layer); an empty name has no counterpart there.
type spelling struct {
	point Point
	lens  string
}

// spellings lists every point in forward order.
func spellings() []spelling {
	return []spelling{
		{Embeddings, "hook_embed"},
		{ResidPre, "blocks.%s.hook_resid_pre"},
		{AttnIn, "blocks.%s.attn.hook_in"},
		{AttnZ, "blocks.%s.attn.hook_z"},
		{AttnOut, "blocks.%s.attn.hook_out"},
		{AttnPost, "blocks.%s.hook_attn_out"},
		{ResidMid, "blocks.%s.hook_resid_mid"},
		{MLPIn, "blocks.%s.mlp.hook_in"},
		{RouterLogits, ""},
		{ExpertIDs, ""},
		{RouterWeights, ""},
		{MLPAct, "blocks.%s.mlp.hook_post"},
		{MLPOut, "blocks.%s.mlp.hook_out"},
		{MLPPost, "blocks.%s.hook_mlp_out"},
		{ResidPost, "blocks.%s.hook_resid_post"},
		{FinalNorm, ""},
		{Logits, ""},
	}
}

// Points returns every point in the order of the forward pass.
func Points() []Point {
	out := make([]Point, 0, 17)
	for _, s := range spellings() {
		out = append(out, s.point)
	}
	return out
}

// PerLayer tells whether a point exists once a block rather than once a model.
func (p Point) PerLayer() bool {
	return p != Embeddings && p != FinalNorm && p != Logits
}

// Site is one activation of a model: a point and, where the point is per block, the 0-based block.
type Site struct {
	Point Point
	Layer int // NoLayer for points that stand once a model; negative counts from the last block until Shape.Resolve has seen it
}

// At returns the site of a point at one block.
func At(p Point, layer int) Site { return Site{p, layer} }

// Once returns the site of a point that stands once a model, such as Logits.
func Once(p Point) Site { return Site{p, NoLayer} }

// String returns the canonical short name, such as resid_post.10 or logits.
func (s Site) String() string {
	if s.Layer == NoLayer {
		return string(s.Point)
	}
	return string(s.Point) + "." + strconv.Itoa(s.Layer)
}

// TransformerLens returns the name the site has in the TransformerLens library, or "" where it has none.
func (s Site) TransformerLens() string {
	for _, sp := range spellings() {
		if sp.point == s.Point && sp.lens != "" {
			return strings.Replace(sp.lens, "%s", strconv.Itoa(s.Layer), 1)
		}
	}
	return ""
}

// ParseSite reads one site in either spelling; a layer may be negative, and whether a model has the site is for Shape.Resolve to say.
func ParseSite(name string) (Site, error) {
	point, layer, err := splitName(name)
	if err != nil {
		return Site{}, err
	}
	if !point.PerLayer() {
		return Once(point), nil
	}
	n, err := strconv.Atoi(layer)
	if err != nil {
		return Site{}, fmt.Errorf("hooks: site %q: layer %q is not a number (ranges and * select several sites: use Shape.Select)", name, layer)
	}
	return At(point, n), nil
}

// splitName takes a name in either spelling apart; the layer stays text, since patterns have * and ranges there.
func splitName(name string) (Point, string, error) {
	for _, sp := range spellings() {
		if !sp.point.PerLayer() {
			if name == string(sp.point) || (name == sp.lens && sp.lens != "") {
				return sp.point, "", nil
			}
			continue
		}
		if layer, ok := strings.CutPrefix(name, string(sp.point)+"."); ok && layer != "" {
			return sp.point, layer, nil
		}
		if layer, ok := cutLens(name, sp.lens); ok {
			return sp.point, layer, nil
		}
	}
	return "", "", &SiteError{Name: name, Reason: "no such point; known points: " + pointList()}
}

func cutLens(name, lens string) (string, bool) {
	before, after, ok := strings.Cut(lens, "%s")
	if !ok || len(name) <= len(before)+len(after) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) {
		return "", false
	}
	return name[len(before) : len(name)-len(after)], true
}

func pointList() string {
	var b strings.Builder
	for i, p := range Points() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(p))
		if p.PerLayer() {
			b.WriteString(".LAYER")
		}
	}
	return b.String()
}
