// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// What kinds with dictionaries have.
const (
	narrowSAE, wideSAE = 4608, 16384 // features
	activeFeatures     = 32          // of a token
	atoms              = 4096
	topics             = 20 // concepts that rules are about
)

// source makes a dictionary once, for all kinds that use it.
type source func() (*dictionary.Dictionary, error)

// dictionaryKinds are the kinds that encode an activation, with random dictionaries and with those of files.
func dictionaryKinds(sh *hooks.Shape, files []string) []Kind {
	narrow, wide := sparse(sh, narrowSAE), sparse(sh, wideSAE)
	alone := fmt.Sprintf("SAE, %s features, watched", thousands(narrowSAE))
	out := []Kind{
		encoding(alone, narrow, steering.KindSAE, 0),
		encoding(fmt.Sprintf("SAE, %s features, watched", thousands(wideSAE)), wide, steering.KindSAE, 0),
	}
	for _, n := range []int{5, 16, 256} {
		k := encoding(fmt.Sprintf("SAE, %s features, %d edited", thousands(narrowSAE), n), narrow, steering.KindSAE, n)
		k.Beside = alone
		out = append(out, k)
	}
	for _, k := range []int{8, 40} {
		out = append(out, encoding(fmt.Sprintf("ITDA, %s atoms, k = %d", thousands(atoms), k), pursuing(sh, k), steering.KindITDA, 0))
	}
	for _, n := range []int{10, 50, 200} {
		name := fmt.Sprintf("rules: %d concepts, %d rules over the SAE of %s", topics, n, thousands(narrowSAE))
		out = append(out, Kind{Name: name, Beside: alone, make: func() (hooks.Hook, error) { return reasoning(sh, narrow, n) }})
	}
	for _, path := range files {
		d := source(sync.OnceValues(func() (*dictionary.Dictionary, error) { return dictionary.Open(path, dictionary.Options{}) }))
		out = append(out, encoding(filepath.Base(path)+", watched", d, steering.KindSAE, 0), encoding(filepath.Base(path)+", 1 feature edited", d, steering.KindSAE, 1))
	}
	return out
}

// encoding watches a dictionary's features, or edits so many of them by a little; a spec's kind changes nothing where the dictionary is given.
func encoding(name string, d source, kind steering.Kind, edited int) Kind {
	return Kind{Name: name, make: func() (hooks.Hook, error) {
		dict, err := d()
		if err != nil {
			return nil, err
		}
		var edits []string
		for f := range min(edited, dict.Form.N) {
			edits = append(edits, fmt.Sprintf("%d+=0.01", f))
		}
		return steering.NewFeatures(steering.Spec{Kind: kind, Text: strings.Join(edits, ",")}, dict, nil)
	}}
}

// unit is rows of nearly unit length.
func unit(n, width int) []float32 {
	rows := direction(n*width, 3)
	for i := range rows {
		rows[i] /= float32(math.Sqrt(float64(width)))
	}
	return rows
}

// sparse is an autoencoder that keeps the largest features of a token.
func sparse(sh *hooks.Shape, n int) source {
	return sync.OnceValues(func() (*dictionary.Dictionary, error) {
		rows := unit(n, sh.Width)
		return placed(sh, &dictionary.Form{In: sh.Width, Out: sh.Width, N: n, Enc: rows, Dec: rows, Act: dictionary.Activation{Kind: dictionary.TopK, K: activeFeatures}})
	})
}

// pursuing is a dictionary of atoms with codes of k rounds.
func pursuing(sh *hooks.Shape, k int) source {
	return sync.OnceValues(func() (*dictionary.Dictionary, error) {
		return placed(sh, &dictionary.Form{In: sh.Width, Out: sh.Width, N: atoms, Dec: unit(atoms, sh.Width), Act: dictionary.Activation{
			Kind: dictionary.Pursuit, Pursuit: dictionary.PursuitRule{Method: dictionary.Matching, K: k},
		}})
	})
}

// placed puts a form into the middle of a model.
func placed(sh *hooks.Shape, form *dictionary.Form) (*dictionary.Dictionary, error) {
	d, err := dictionary.New(form)
	if err != nil {
		return nil, err
	}
	site := hooks.At(hooks.ResidPost, sh.Layers/2)
	d.Address.Site, d.Address.Out, d.Name = site, site, "random"
	return d, nil
}

// reasoning is a program of rules over concepts of which half hold at every token.
func reasoning(sh *hooks.Shape, d source, number int) (hooks.Hook, error) {
	dict, err := d()
	if err != nil {
		return nil, err
	}
	set := concepts.NewSet(dict.Address.Site, sh.Width)
	for i := range topics {
		features, weights := []int32{int32(2 * i), int32(2*i + 1)}, []float64{0.9, 0.1}
		threshold := -1.0 // which always holds
		if i%2 == 1 {
			threshold = 1e30
		}
		set.Concepts = append(set.Concepts, concepts.Concept{
			Name: fmt.Sprintf("topic%d", i), Mode: concepts.Sentence, Lever: concepts.Lever{Features: features, Weights: weights, Combine: "sum", Norm: 2},
			Reader: concepts.Reader{Kind: concepts.Multi, Features: features, Weights: weights, Aggregate: concepts.Max, Threshold: threshold},
		})
	}
	program, err := rules.Parse(programOf(number))
	if err != nil {
		return nil, err
	}
	return steering.NewReasoning(steering.Spec{Kind: steering.KindRules}, program, set, dict)
}

// programOf writes rules of which half fire; every tenth steers.
func programOf(number int) string {
	var b strings.Builder
	for i := range number {
		effect := fmt.Sprintf("fact%d", i)
		if i%10 == 0 {
			effect = fmt.Sprintf("promote topic%d *0.001", i%topics)
		}
		fmt.Fprintf(&b, "topic%d and not topic%d -> %s\n", i%topics, (3*i+1)%topics, effect)
	}
	return b.String()
}

// thousands writes 4608 as 4,608.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
