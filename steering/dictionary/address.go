// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// Answer is yes, no, or what a file does not say.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// Address says where in which model a dictionary belongs, as far as its files say so.
type Address struct {
	Site           hooks.Site // what is encoded; Point "" where unknown, Layer NoLayer as well
	Out            hooks.Site // what is written; differs from Site for transcoders
	Hook           string     // the site as the files call it
	Head           int        // of an attention dictionary for one head; -1 for all heads, side by side
	Model          string     // as the files call it
	PrependBOS     Answer     // trained with the begin token before each text
	SkipFirst      bool       // not trained on position 0
	ExcludeSpecial bool       // not trained on special tokens
	Context        int        // tokens of a training text; 0 is unknown
}

// NoAddress returns the address of which nothing is known.
func NoAddress() Address {
	nowhere := hooks.Site{Layer: hooks.NoLayer}
	return Address{Site: nowhere, Out: nowhere, Head: -1}
}

// Check returns ErrNoAddress where the site is not known.
func (a Address) Check() error {
	if a.Site.Point == "" {
		return ErrNoAddress
	}
	return nil
}

// String prints what is known, in one line.
func (a Address) String() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch {
	case a.Site.Point == "" && a.Hook != "":
		add("no site (the files say %s)", a.Hook)
	case a.Site.Point == "":
		add("no site")
	case a.Out != a.Site:
		add("%s to %s", a.Site, a.Out)
	default:
		add("%s", a.Site)
	}
	if a.Head >= 0 {
		add("head %d", a.Head)
	}
	if a.Model != "" {
		add("of %s", a.Model)
	}
	if a.PrependBOS == Yes {
		add("begin token first")
	}
	if a.SkipFirst {
		add("not position 0")
	}
	if a.ExcludeSpecial {
		add("not special tokens")
	}
	return strings.Join(parts, ", ")
}

// setHook places a dictionary by the name of a hook or module; a name that is no site of ours is only kept.
func (a *Address) setHook(name string) {
	a.Hook = name
	if s, ok := siteOf(name); ok {
		a.Site, a.Out = s, s
	}
}

// setOut does the same for what a transcoder writes.
func (a *Address) setOut(name string) {
	if s, ok := siteOf(name); ok {
		a.Out = s
	}
}

// setModule places a dictionary by the modules it reads and, where out is not empty, writes.
func (a *Address) setModule(in, out string) {
	if in == "" {
		return
	}
	a.setHook(in)
	if out != "" {
		a.Out = NoAddress().Out
		a.setOut(out)
	}
}

var (
	modulePattern = regexp.MustCompile(`(?:^|[./])(?:layers|h|blocks)[._](\d+)(?:\.([a-z_.]+))?$`)
	learntPattern = regexp.MustCompile(`^([a-z_]+?)_layer_(\d+)$`)
)

// siteOf reads the names that libraries have for places: those of TransformerLens and our own, those of modules in Hugging
// Face models, of which the output is meant, and dictionary_learning's such as resid_post_layer_8.
func siteOf(name string) (hooks.Site, bool) {
	if s, err := hooks.ParseSite(name); err == nil {
		return s, s.Layer >= 0 || s.Layer == hooks.NoLayer
	}
	if name == "embed_tokens" || strings.HasSuffix(name, ".embed_tokens") || strings.HasSuffix(name, ".wte") {
		return hooks.Once(hooks.Embeddings), true
	}
	name = strings.TrimSuffix(name, " output")
	if m := modulePattern.FindStringSubmatch(name); m != nil {
		p, ok := modulePoint(m[2])
		return at(p, m[1]), ok
	}
	if m := learntPattern.FindStringSubmatch(name); m != nil {
		p, ok := learntPoint(m[1])
		return at(p, m[2]), ok
	}
	return hooks.Site{}, false
}

func at(p hooks.Point, layer string) hooks.Site {
	n, err := strconv.Atoi(layer)
	if err != nil {
		return hooks.Site{}
	}
	return hooks.At(p, n)
}

func modulePoint(module string) (hooks.Point, bool) {
	switch module {
	case "", "output":
		return hooks.ResidPost, true
	case "mlp", "mlp.output":
		return hooks.MLPOut, true
	case "self_attn", "attn", "attention", "self_attn.output":
		return hooks.AttnOut, true
	case "post_feedforward_layernorm", "post_feedforward_layernorm.output":
		return hooks.MLPPost, true
	case "pre_feedforward_layernorm", "pre_feedforward_layernorm.output":
		return hooks.MLPIn, true
	case "self_attn.o_proj.input":
		return hooks.AttnZ, true
	}
	return "", false
}

func learntPoint(name string) (hooks.Point, bool) {
	points := map[string]hooks.Point{
		"resid_post": hooks.ResidPost, "resid_pre": hooks.ResidPre, "resid_mid": hooks.ResidMid,
		"mlp_out": hooks.MLPOut, "mlp": hooks.MLPOut, "attn_out": hooks.AttnOut, "attention_out": hooks.AttnOut,
	}
	p, ok := points[name]
	return p, ok
}
