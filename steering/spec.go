// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// Kind is what a spec does with its directions: the word before the colon.
type Kind string

// The kinds of the grammar in the package comment.
const (
	KindVector          Kind = "vector"   // hooks.Add, or what the file itself asks for
	KindNorm            Kind = "norm"     // hooks.AddKeepNorm
	KindProject         Kind = "project"  // hooks.Project
	KindProjectPositive Kind = "project+" // hooks.ProjectPositive
	KindClamp           Kind = "clamp"    // hooks.Clamp
	KindRotate          Kind = "rotate"   // hooks.Rotate
	KindRotatePositive  Kind = "rotate+"  // hooks.Rotate, only where the component along the first direction is positive
	KindAblate          Kind = "ablate"   // hooks.Project of one direction wherever the residual is written
	KindActAdd          Kind = "actadd"   // activations of a prompt, added position by position to the front of another
	KindSAE             Kind = "sae"      // features of a sparse autoencoder or transcoder, read and set
	KindITDA            Kind = "itda"     // the same with atoms of an ITDA dictionary
	KindRules           Kind = "rules"    // an ActivationReasoning program
	KindExperts         Kind = "experts"  // a mask over the experts of a mixture
)

// Kinds returns every kind that Parse knows, in the order in which the grammar lists them.
func Kinds() []Kind {
	return []Kind{KindVector, KindNorm, KindProject, KindProjectPositive, KindClamp, KindRotate, KindRotatePositive, KindAblate, KindActAdd, KindSAE, KindITDA, KindRules, KindExperts}
}

// op returns the operation a kind stands for; the names of both are mostly the same.
func (k Kind) op() (hooks.Op, bool) {
	switch k {
	case KindRotatePositive:
		return hooks.Rotate, true
	case KindAblate:
		return hooks.Project, true
	}
	for op := hooks.Add; op <= hooks.Rotate; op++ {
		if op.String() == string(k) {
			return op, true
		}
	}
	return 0, false
}

// Source names the file of a spec.
type Source struct {
	Path   string
	Family string // what follows the colon: a family of tensors or one tensor; empty where the file leaves no choice
}

// String writes the source as the grammar reads it, in quotes where the path needs them.
func (s Source) String() string {
	out := quote(s.Path, markers)
	if s.Family != "" {
		out += ":" + quote(s.Family, markers+`/\`) // a bare slash would hide the colon before it
	}
	return out
}

// Spec is one parsed line of the grammar; it has not seen any file or model yet.
type Spec struct {
	Kind      Kind
	Sources   []Source    // one, for rotate two, for a mask that is written out none
	Text      string      // of sae and itda what follows #, of experts a mask that is written out: not yet taken apart
	Strength  *float32    // nil where the spec gives none: the file's own default, else 1; degrees for rotate
	Low, High float32     // bounds of clamp
	Sites     string      // list for hooks.Shape.Select; empty: each direction's own block
	Where     hooks.Where // rows
	When      When        // what a prompt must be like; the zero value is any
	Answer    bool        // only positions behind the last end of an instruction, as CAA steers
	Align     Align       // of actadd
	K         int         // of sae and itda: features that a top-k keeps, or rounds of a pursuit; 0 is the file's own
	Scale     float64     // of sae: the constant of expected_average_only_in, which its files lack; 0 is unknown
	Massive   bool        // of sae and itda: positions with massive activations too, which are left out otherwise: position 0, and tokens more than four times as long as the median
}

// String prints the canonical form, which Parse reads back to an equal Spec.
func (s *Spec) String() string {
	var b strings.Builder
	b.WriteString(string(s.Kind) + ":")
	for i, src := range s.Sources {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(src.String())
	}
	if s.Kind == KindExperts {
		b.WriteString(s.Text)
	}
	switch {
	case s.Strength != nil && s.rotates():
		b.WriteString("=" + number(*s.Strength))
	case s.Strength != nil:
		b.WriteString("*" + number(*s.Strength))
	}
	if s.Text != "" && s.Kind != KindExperts {
		b.WriteString("#" + s.Text)
	}
	if s.Kind == KindClamp {
		b.WriteString("=" + number(s.Low) + ".." + number(s.High))
	}
	if s.Sites != "" {
		b.WriteString("@" + s.Sites)
	}
	return b.String() + s.modifiers()
}

func (s *Spec) rotates() bool { return s.Kind == KindRotate || s.Kind == KindRotatePositive }

// modifiers writes what stands in brackets.
func (s *Spec) modifiers() string {
	list := strings.Trim(s.Where.String(), "[]")
	add := func(on bool, text string) {
		if on && list != "" {
			list += ","
		}
		if on {
			list += text
		}
	}
	add(s.Answer, "answer")
	add(s.Align != AlignFront, string(s.Align))
	add(len(s.When.Terms) > 0, s.When.String())
	add(s.K != 0, fmt.Sprintf("k=%d", s.K))
	add(s.Scale != 0, "scale="+strconv.FormatFloat(s.Scale, 'g', -1, 64))
	add(s.Massive, "massive")
	if list == "" {
		return ""
	}
	return "[" + list + "]"
}

// SpecError says where in a spec the reader stopped and what it wanted there.
type SpecError struct {
	Spec   string
	Column int // of the first character in question, counted from 1
	Want   string
	Got    string
}

func (e *SpecError) Error() string {
	return fmt.Sprintf("steering: spec %q: column %d: want %s, found %s", e.Spec, e.Column, e.Want, e.Got)
}

func number(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }
