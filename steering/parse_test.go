// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/hooks"
)

func ptr(f float32) *float32 { return &f }

func one(path, family string) []Source { return []Source{{path, family}} }

type parseCase struct {
	name, spec string
	want       Spec
	canonical  string // empty where it is spec
}

func parseCases() []parseCase {
	return []parseCase{
		{"plain", "vector:v.gguf", Spec{Kind: KindVector, Sources: one("v.gguf", "")}, ""},
		{"everything", "norm:a/b.safetensors:diffmean*-2.5@resid_post.10-20,mlp_out.*[prefill,pos=3-7,special]", Spec{
			Kind: KindNorm, Sources: one("a/b.safetensors", "diffmean"), Strength: ptr(-2.5), Sites: "resid_post.10-20,mlp_out.*",
			Where: hooks.Where{Phases: hooks.Prefill, From: 3, To: 8, Special: true},
		}, ""},
		{"strength zero", "vector:v.gguf*0", Spec{Kind: KindVector, Sources: one("v.gguf", ""), Strength: ptr(0)}, ""},
		{"strength with exponent", "vector:v.gguf*1.50e0", Spec{Kind: KindVector, Sources: one("v.gguf", ""), Strength: ptr(1.5)}, "vector:v.gguf*1.5"},
		{"project", "project:v.gguf", Spec{Kind: KindProject, Sources: one("v.gguf", "")}, ""},
		{"project+", "project+:v.gguf@resid_post.-1[decode]", Spec{
			Kind: KindProjectPositive, Sources: one("v.gguf", ""), Sites: "resid_post.-1", Where: hooks.Where{Phases: hooks.Decode},
		}, ""},
		{"clamp", "clamp:v.gguf=-1.5..20", Spec{Kind: KindClamp, Sources: one("v.gguf", ""), Low: -1.5, High: 20}, ""},
		{"clamp with strength", "clamp:v.gguf*0.5=0..0@*.3", Spec{Kind: KindClamp, Sources: one("v.gguf", ""), Strength: ptr(0.5), Sites: "*.3"}, ""},
		{"clamp to small numbers", "clamp:v.gguf=.5...75", Spec{Kind: KindClamp, Sources: one("v.gguf", ""), Low: 0.5, High: 0.75}, "clamp:v.gguf=0.5..0.75"},
		{"rotate", "rotate:a.gguf,b.safetensors:pca.7=200@resid_mid.*", Spec{
			Kind: KindRotate, Sources: []Source{{"a.gguf", ""}, {"b.safetensors", "pca.7"}}, Strength: ptr(200), Sites: "resid_mid.*",
		}, ""},
		{"long site names", "vector:v.gguf@blocks.3-5.hook_resid_post, hook_embed", Spec{
			Kind: KindVector, Sources: one("v.gguf", ""), Sites: "blocks.3-5.hook_resid_post,hook_embed",
		}, "vector:v.gguf@blocks.3-5.hook_resid_post,hook_embed"},
		{"one position", "vector:v.gguf[pos=0]", Spec{Kind: KindVector, Sources: one("v.gguf", ""), Where: hooks.Where{To: 1}}, ""},
		{"open positions", "vector:v.gguf[pos=3-, decode]", Spec{
			Kind: KindVector, Sources: one("v.gguf", ""), Where: hooks.Where{Phases: hooks.Decode, From: 3},
		}, "vector:v.gguf[decode,pos=3-]"},
		{"both phases are all", "vector:v.gguf[prefill,decode]", Spec{Kind: KindVector, Sources: one("v.gguf", "")}, "vector:v.gguf"},
		{"spaces", "vector: my file.gguf *2 @ resid_post.3 [decode]", Spec{
			Kind: KindVector, Sources: one("my file.gguf", ""), Strength: ptr(2), Sites: "resid_post.3", Where: hooks.Where{Phases: hooks.Decode},
		}, "vector:my file.gguf*2@resid_post.3[decode]"},

		{"markers in folders", "vector:me@home/a*b=c:d/v.gguf*2", Spec{
			Kind: KindVector, Sources: one("me@home/a*b=c:d/v.gguf", ""), Strength: ptr(2),
		}, `vector:"me@home/a*b=c:d/v.gguf"*2`},
		{"the last marker counts", "vector:odd*name@home.gguf*2@resid_post.3", Spec{
			Kind: KindVector, Sources: one("odd*name@home.gguf", ""), Strength: ptr(2), Sites: "resid_post.3",
		}, `vector:"odd*name@home.gguf"*2@resid_post.3`},
		{"= in a name", "vector:a=b.gguf", Spec{Kind: KindVector, Sources: one("a=b.gguf", "")}, `vector:"a=b.gguf"`},
		{"= in a name and a value", "clamp:a=b.gguf=0..1", Spec{Kind: KindClamp, Sources: one("a=b.gguf", ""), High: 1}, `clamp:"a=b.gguf"=0..1`},
		{"comma in a name", "vector:a,b.gguf", Spec{Kind: KindVector, Sources: one("a,b.gguf", "")}, `vector:"a,b.gguf"`},
		{"bracket in a name", "vector:a[1].gguf", Spec{Kind: KindVector, Sources: one("a[1].gguf", "")}, `vector:"a[1].gguf"`},
		{"quotes", `vector:"a*2@logits[decode]:x"`, Spec{Kind: KindVector, Sources: one("a*2@logits[decode]:x", "")}, ""},
		{"quotes and the rest", `vector:"a:b":"c:d"*2@resid_post.*`, Spec{
			Kind: KindVector, Sources: one("a:b", "c:d"), Strength: ptr(2), Sites: "resid_post.*",
		}, ""},
		{"escapes", `vector:"a\"b\\c\d"`, Spec{Kind: KindVector, Sources: one(`a"b\c\d`, "")}, `vector:"a\"b\\c\\d"`},
		{"drive letter", `vector:C:\vectors\v.gguf*2`, Spec{
			Kind: KindVector, Sources: one(`C:\vectors\v.gguf`, ""), Strength: ptr(2),
		}, `vector:"C:\\vectors\\v.gguf"*2`},
		{"rotate with quotes", `rotate:"a,b.gguf","c,d.gguf"=-30`, Spec{
			Kind: KindRotate, Sources: []Source{{"a,b.gguf", ""}, {"c,d.gguf", ""}}, Strength: ptr(-30),
		}, ""},
		{"features", "sae:dir/l14#12=3,40+=-2@resid_post.14[decode]", Spec{
			Kind: KindSAE, Sources: one("dir/l14", ""), Text: "12=3,40+=-2", Sites: "resid_post.14", Where: hooks.Where{Phases: hooks.Decode},
		}, ""},
		{"scaled feature", "itda:dir#7*=0.5", Spec{Kind: KindITDA, Sources: one("dir", ""), Text: "7*=0.5"}, ""},
		{"labels", "sae:a/dir:b/labels.json#cooking+=3", Spec{Kind: KindSAE, Sources: one("a/dir", "b/labels.json"), Text: "cooking+=3"}, `sae:a/dir:"b/labels.json"#cooking+=3`},
		{"shorter codes", "itda:dir[decode,k=8]", Spec{Kind: KindITDA, Sources: one("dir", ""), K: 8, Where: hooks.Where{Phases: hooks.Decode}}, ""},
		{"constant norm", "sae:dir[scale=0.08]", Spec{Kind: KindSAE, Sources: one("dir", ""), Scale: 0.08}, ""},
		{"half of an edit", "sae:dir*0.5#7+=3[massive]", Spec{Kind: KindSAE, Sources: one("dir", ""), Strength: ptr(0.5), Text: "7+=3", Massive: true}, ""},
		{"dictionary that is watched", "sae:dir", Spec{Kind: KindSAE, Sources: one("dir", "")}, ""},
		{"rules", "rules:safety.txt*0.5", Spec{Kind: KindRules, Sources: one("safety.txt", ""), Strength: ptr(0.5)}, ""},
		{"mask file", "experts:masks/m.json[prefill]", Spec{Kind: KindExperts, Sources: one("masks/m.json", ""), Where: hooks.Where{Phases: hooks.Prefill}}, ""},
		{"mask written out", "experts:off-drop=3/17,5/2", Spec{Kind: KindExperts, Text: "off-drop=3/17,5/2"}, ""},
		{"scaled experts", "experts:scale*0.5=3/17[decode]", Spec{Kind: KindExperts, Text: "scale*0.5=3/17", Where: hooks.Where{Phases: hooks.Decode}}, ""},
		{"slash in a family", `vector:v:"a/b"`, Spec{Kind: KindVector, Sources: one("v", "a/b")}, ""},
		{"unicode", "vector:glück.gguf*2", Spec{Kind: KindVector, Sources: one("glück.gguf", ""), Strength: ptr(2)}, ""},
	}
}

func TestParse(t *testing.T) {
	for _, tc := range parseCases() {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("Parse(%q): want - got +\n%s", tc.spec, diff)
			}
			canonical := tc.canonical
			if canonical == "" {
				canonical = tc.spec
			}
			if got.String() != canonical {
				t.Errorf("String() = %s, want %s", got, canonical)
			}
		})
	}
}

type refusal struct {
	spec   string
	column int
	want   string
}

func refusals() []refusal {
	return []refusal{
		{"", 1, "one of vector:, norm:, project:, project+:, clamp:, rotate:"},
		{"v.gguf", 1, "one of vector:"},
		{"sea:dir#3=5", 1, "one of vector:"},
		{"sae:dir#", 9, "FEATURE=VALUE"},
		{"experts:", 9, "a file"},
		{"Vector:v.gguf", 1, "one of vector:"},
		{"vector:\xff", 1, "UTF-8"},
		{"vector:", 8, "a file"},
		{"vector:*2", 8, "a file"},
		{"vector:v.gguf*", 15, "a number after *"},
		{"vector:v.gguf*two", 15, "a number after *"},
		{"vector:v.gguf*2,5", 15, "a number after *"},
		{"vector:v.gguf*NaN", 15, "a number after *"},
		{"vector:v.gguf*inf", 15, "a number after *"},
		{"vector:v.gguf*1e39", 15, "a number after *"},
		{"vector:glück.gguf*two", 19, "a number after *"},
		{"vector:v.gguf@", 15, "sites such as"},
		{"vector:v.gguf@resid_pots.3", 15, "sites such as"},
		{"vector:v.gguf@resid_post", 15, "sites such as"},
		{"vector:v.gguf@resid_post.3,", 28, "sites such as"},
		{"vector:v.gguf@resid_post.3,logits.2", 28, "sites such as"},
		{"vector:v.gguf@resid_post.3*2", 15, "sites such as"},
		{"vector:v.gguf@blocks.3", 15, "sites such as"},
		{"vector:v.gguf@*", 15, "sites such as"},
		{"vector:v.gguf@*.", 15, "sites such as"},
		{"vector:me@home.gguf", 11, "sites such as"},
		{"vector:v.gguf[]", 15, "prefill, decode"},
		{"vector:v.gguf[prefil]", 15, "prefill, decode"},
		{"vector:v.gguf[prefill,pos=7-3]", 23, "prefill, decode"},
		{"vector:v.gguf[pos=-3]", 15, "pos=3-7"},
		{"vector:v.gguf[pos]", 15, "pos=3-7"},
		{"vector:v.gguf[decode=1]", 15, "prefill, decode"},
		{"vector:v.gguf[pos=99999999999]", 15, "pos=3-7"},
		{"vector:v.gguf[decode,decode]", 22, "each modifier once"},
		{"vector:v.gguf]", 14, "a [ before it"},
		{"vector:v.gguf[decode][prefill]", 21, "one pair of brackets"},
		{"vector:v.gguf:", 15, "the name of a family"},
		{`vector:"v.gguf`, 8, "a closing quote"},
		{`vector:""`, 8, "a file"},
		{`vector:a"b"`, 8, "quotes around the whole name"},
		{`vector:"a" "b"`, 8, "quotes around the whole name"},
		{"clamp:v.gguf", 13, "=LO..HI"},
		{"clamp:v.gguf*2", 15, "=LO..HI"},
		{"clamp:v.gguf=3", 14, "LO..HI"},
		{"clamp:v.gguf=x..3", 14, "the lower bound"},
		{"clamp:v.gguf=1..", 17, "the upper bound"},
		{"clamp:v.gguf=1..2*3", 17, "the upper bound"},
		{"clamp:v.gguf=3..1", 14, "not above"},
		{"rotate:a.gguf=90", 8, "two files"},
		{"rotate:a.gguf,b.gguf", 21, "=DEGREES"},
		{"rotate:a.gguf,b.gguf=", 22, "degrees"},
		{"rotate:a,b,c=90", 8, "two files"},
		{"rotate:a,=90", 10, "a file"},
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range refusals() {
		t.Run(tc.spec, func(t *testing.T) {
			got, err := Parse(tc.spec)
			var spec *SpecError
			if !errors.As(err, &spec) {
				t.Fatalf("Parse(%q) = %v, %v, want a *SpecError", tc.spec, got, err)
			}
			if spec.Column != tc.column || !strings.Contains(spec.Want, tc.want) {
				t.Errorf("Parse(%q): column %d, want %q; should be column %d, %q", tc.spec, spec.Column, spec.Want, tc.column, tc.want)
			}
		})
	}
}

// FuzzParse holds that what is read can be printed, that the printed form means the same, and that nothing panics.
func FuzzParse(f *testing.F) {
	for _, tc := range parseCases() {
		f.Add(tc.spec)
	}
	for _, tc := range refusals() {
		f.Add(tc.spec)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := Parse(text)
		if err != nil {
			var where *SpecError
			if !errors.As(err, &where) || where.Column < 1 || where.Column > len(text)+1 || where.Want == "" || where.Got == "" {
				t.Fatalf("Parse(%q): %#v is not a whole *SpecError", text, err)
			}
			return
		}
		again, err := Parse(spec.String())
		if err != nil {
			t.Fatalf("Parse(%q) prints as %q, which is refused: %v", text, spec, err)
		}
		if diff := cmp.Diff(spec, again); diff != "" {
			t.Errorf("Parse(%q) prints as %q, which differs: %s", text, spec, diff)
		}
	})
}
