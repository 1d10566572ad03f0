// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/steering/dictionary"
)

func sourced(list [][2]int) *dictionary.Dictionary {
	d := &dictionary.Dictionary{Name: "d", Facts: &dictionary.Facts{Texts: "corpus", Digest: "12", Sequences: 9}}
	d.Address.Context = 128
	for _, at := range list {
		d.Atoms = append(d.Atoms, dictionary.Atom{Text: at[0], Position: at[1]})
	}
	return d
}

func TestOverlapOfReferenceSets(t *testing.T) {
	text, err := os.ReadFile(fixture.Path(t, "fixtures-dictionaries/numeric/numeric.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			A, B    [][2]int
			Jaccard float64
			Known   *float64 `json:"jaccard_ignoring_unknown"`
		} `json:"itda_jaccard"`
	}
	if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(file.Cases), err)
	}
	for i, c := range file.Cases {
		want := c.Jaccard
		if c.Known != nil {
			want = *c.Known
		}
		got := SourcesOf(sourced(c.A)).Overlap(SourcesOf(sourced(c.B)))
		// Both divide the same whole numbers.
		if math.Abs(got.Jaccard-want) > 1e-12 {
			t.Errorf("case %d: Jaccard = %v (%d of %d), want %v", i, got.Jaccard, got.Shared, got.Either, want)
		}
	}
}

func TestComparable(t *testing.T) {
	some := [][2]int{{0, 1}, {2, 3}}
	for what, change := range map[string]func(d *dictionary.Dictionary){
		"":                       func(*dictionary.Dictionary) {},
		"collection of texts":    func(d *dictionary.Dictionary) { d.Facts.Texts = "others" },
		"length of pieces":       func(d *dictionary.Dictionary) { d.Address.Context = 64 },
		"tokenisation or order":  func(d *dictionary.Dictionary) { d.Facts.Digest = "13" },
		"number of sequences":    func(d *dictionary.Dictionary) { d.Facts.Sequences = 4 },
		"which tokens were read": func(d *dictionary.Dictionary) { d.Facts.Digest = "" },
		"sources of its atoms":   func(d *dictionary.Dictionary) { d.Atoms = nil },
	} {
		a, b := sourced(some), sourced(some)
		change(b)
		err := Comparable(a, b)
		if what == "" {
			if err != nil {
				t.Errorf("Comparable of the same texts = %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("Comparable = %v, want an error about the %s", err, what)
		}
		if fault := (*CompareError)(nil); what != "sources of its atoms" && !errors.As(err, &fault) {
			t.Errorf("Comparable = %T, want a *CompareError", err)
		}
	}
}

func TestSearch(t *testing.T) {
	d := &dictionary.Dictionary{Atoms: []dictionary.Atom{
		{Token: " the", Context: "a dragon and"}, {Token: "dragonfly", Context: "red"}, {Token: "Dragon", Context: "green"}, {Token: "x", Context: "y"}, {Token: "on", Context: "drag"},
	}}
	var got []int
	for _, m := range Search(d, "dragon") {
		got = append(got, m.Index)
	}
	if want := []int{4, 2, 1, 0}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Search = %v, want %v", got, want)
	}
}

func ExampleSources_Overlap() {
	a := SourcesOf(sourced([][2]int{{0, 1}, {0, 2}, {1, 4}}))
	b := SourcesOf(sourced([][2]int{{0, 2}, {1, 4}, {7, 7}, {-1, -1}}))
	fmt.Println(a.Overlap(b))
	// Output: {2 4 0.5}
}
