// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/runtime"
)

// result is what one call of the command left behind.
type result struct {
	status   int
	out, err string
}

func run(stdin string, args ...string) result {
	var out, errs bytes.Buffer
	status := Run(args, strings.NewReader(stdin), &out, &errs)
	return result{status, out.String(), errs.String()}
}

// ok is run for a call that must succeed; it returns what was printed.
func ok(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := run(stdin, args...)
	if r.status != 0 {
		t.Fatalf("%v: status %d: %s", args, r.status, r.err)
	}
	return r.out
}

// tiny is a model of three layers of width 64 with a byte tokenizer.
func tiny(t *testing.T) string { return fixture.Path(t, "fixtures/gguf/llama/f32.gguf") }

// needRuntime skips a test where no ONNX Runtime is, which set-up would have fetched.
func needRuntime(t *testing.T) {
	t.Helper()
	if _, err := runtime.FindLibrary(); err != nil {
		if os.Getenv("TRIMTAB_REQUIRE_NATIVE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// vectorFile writes a direction for each of the given blocks and returns its path.
func vectorFile(t *testing.T, name string, width int, blocks ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".safetensors")
	var tensors []safetensors.Tensor
	for i, block := range blocks {
		v := make([]float32, width)
		for j := range v {
			v[j] = float32((j*7+i*3)%11) - 5
		}
		tensors = append(tensors, safetensors.Float32Tensor("direction."+block, v, width))
	}
	if err := safetensors.Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestErrorsAreOneLineWithAStatus(t *testing.T) {
	notModel := file(t, "notes.txt", "hello")
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		say    string
	}{
		{"unknown verb", []string{"sing"}, 2, `unknown command "sing"`},
		{"unknown flag", []string{"generate", "m", "--loud"}, 2, "unknown flag: --loud"},
		{"no model", []string{"generate", "--prompt", "a"}, 2, "accepts 1 arg(s), received 0"},
		{"no prompt", []string{"generate", "m"}, 2, "at least one of the flags"},
		{"two prompts", []string{"generate", "m", "--prompt", "a", "--ids", "1"}, 2, "none of the others can be"},
		{"trace without output", []string{"trace", "m", "--prompt", "a"}, 2, `required flag(s) "output" not set`},
		{"template without messages", []string{"template", "m"}, 2, `required flag(s) "messages" not set`},
		{"no number", []string{"generate", "m", "--prompt", "a", "--temp", "warm"}, 2, "--temp"},
		{"no seed", []string{"generate", "m", "--prompt", "a", "--seed", "x"}, 2, "want a whole number or random"},
		{"top-p beyond 1", []string{"generate", "m", "--prompt", "a", "--top-p", "1.5"}, 2, "top-p: want between 0 and 1"},
		{"repeat-last-n 0", []string{"chat", "m", "--repeat-last-n", "0"}, 2, "repeat-last-n: want at least 1"},
		{"logprobs in text", []string{"generate", "m", "--prompt", "a", "--logprobs", "3"}, 2, "want --json"},
		{"bad ids", []string{"generate", "m", "--ids", "1,x"}, 2, `--ids: want numbers such as 1,2,3, found "x"`},
		{"bad quant", []string{"generate", "m", "--prompt", "a", "--quant", "q1"}, 2, `--quant: want one of keep f32 q8 q4, found "q1"`},
		{"absent model", []string{"generate", "absent.gguf", "--prompt", "a"}, 1, "absent.gguf"},
		{"no GGUF", []string{"tokenize", notModel}, 1, "notes.txt"},
		{"inspect of text", []string{"inspect", notModel}, 1, "found text"},
		{"inspect of a folder", []string{"inspect", "."}, 1, "config.json"},
		{"inspect of nothing", []string{"inspect", "absent"}, 1, "absent: no such file or folder"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run("", tc.args...)
			if r.status != tc.status || !strings.Contains(r.err, tc.say) || r.out != "" {
				t.Errorf("%v: status %d, %q on standard error, %q on standard output; want status %d and %q", tc.args, r.status, r.err, r.out, tc.status, tc.say)
			}
			if !strings.HasPrefix(r.err, "trimtab: ") || strings.Count(r.err, "\n") != 1 {
				t.Errorf("%v: want one line that begins with trimtab:, found %q", tc.args, r.err)
			}
		})
	}
}

// verbs lists every command that does something itself.
func verbs(c *cobra.Command) (out []*cobra.Command) {
	for _, child := range c.Commands() {
		if child.HasSubCommands() || child.Runnable() {
			out = append(out, verbs(child)...)
		}
	}
	if c.Runnable() {
		out = append(out, c)
	}
	return out
}

func TestEveryVerbHasHelpWithAnExample(t *testing.T) {
	a := &app{}
	for _, c := range verbs(a.root()) {
		path := strings.Fields(c.CommandPath())[1:]
		if c.Name() == "version" {
			continue
		}
		if out := ok(t, "", append(path, "--help")...); !strings.Contains(out, "Examples:\n") || !strings.Contains(out, c.CommandPath()) {
			t.Errorf("%s --help has no example: %s", c.CommandPath(), out)
		}
	}
	if out := ok(t, "", "completion", "bash"); !strings.Contains(out, "trimtab") {
		t.Error("no completion for bash")
	}
}

func TestTokenize(t *testing.T) {
	in := `{"text":"ab"}` + "\n\n" + `{"text":"<s>","note":1}` + "\n" + `{"text":""}` + "\n" + `{"text":"\u0085<"}`
	want := []string{`{"text":"ab","ids":[100,101]}`, `{"text":"<s>","ids":[1]}`, `{"text":"","ids":[]}`}
	got := strings.Split(strings.TrimSuffix(ok(t, in, "tokenize", tiny(t)), "\n"), "\n")
	if len(got) != 4 || !slices.Equal(got[:3], want) {
		t.Errorf("found %q, want %q and one more", got, want)
	}
	if last := got[len(got)-1]; !strings.HasPrefix(last, `{"text":"\u0085<"`) {
		t.Errorf("found %s, want U+0085 escaped, at which readers may end a line", last)
	}
	r := run(`{"text":"a"}`+"\n"+`{"txet":"a"}`, "tokenize", tiny(t))
	if r.status != 1 || !strings.Contains(r.err, "line 2: want") || !strings.Contains(r.out, `"text":"a"`) {
		t.Errorf("a bad line: %+v", r)
	}
}

func TestTemplate(t *testing.T) {
	messages := `[{"role":"user","content":"hi <s>"}]`
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"from a file", []string{"--messages", file(t, "m.json", messages)}, "<s>user: hi <s></s><s>assistant: "},
		{"from standard input", []string{"--messages", "-"}, "<s>user: hi <s></s><s>assistant: "},
		{"without the reply's beginning", []string{"--messages", "-", "--no-generation-prompt"}, "<s>user: hi <s></s>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ok(t, messages, append([]string{"template", tiny(t)}, tc.args...)...); got != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
	if r := run("{}", "template", tiny(t), "--messages", "-"); r.status != 1 || !strings.Contains(r.err, "want a list of") {
		t.Errorf("an object for messages: %+v", r)
	}
}

func TestInspect(t *testing.T) {
	var model struct {
		Kind, Family         string
		Layers, Width, Vocab int
		Types                map[string]int64
		Sites                []struct {
			Point, Layers, Missing string
			Width                  int
		}
	}
	decode(t, ok(t, "", "inspect", tiny(t), "--json"), &model)
	if model.Kind != "model" || model.Family != "llama" || model.Layers != 3 || model.Width != 64 || model.Vocab != 256 || model.Types["F32"] == 0 {
		t.Errorf("model: %+v", model)
	}
	found := map[string]string{}
	for _, s := range model.Sites {
		found[s.Point] = s.Layers
		if (s.Missing == "") == (s.Width == 0) {
			t.Errorf("site %s: want a width or a reason, found %d and %q", s.Point, s.Width, s.Missing)
		}
	}
	if found["resid_post"] != "0-2" || len(found) != 17 {
		t.Errorf("sites: %v", found)
	}
	var vector struct {
		Kind    string
		Vectors []struct {
			Mode       string
			Width      int
			Directions []struct {
				Tensor, Site string
				Norm         float64
			}
		}
	}
	path := vectorFile(t, "happy", 64, "0", "1")
	decode(t, ok(t, "", "inspect", path, "--json"), &vector)
	if vector.Kind != "vector" || len(vector.Vectors) != 1 || len(vector.Vectors[0].Directions) != 2 || vector.Vectors[0].Directions[1].Site != "resid_post.1" {
		t.Errorf("vector: %+v", vector)
	}
	if text := ok(t, "", "inspect", path); !strings.Contains(text, "direction.1 -> resid_post.1") {
		t.Errorf("vector in words: %s", text)
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
