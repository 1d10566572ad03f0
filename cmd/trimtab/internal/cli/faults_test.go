// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
)

// controlVector writes a GGUF of directions for the tiny model. Metadata is added to what repeng writes.
func controlVector(t *testing.T, first int, change func(v []float32), meta ...gguf.Pair) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.gguf")
	name := []string{"direction.0", "direction.1", "direction.2", "direction.3"}
	var tensors []gguf.Tensor
	for layer := first; layer < first+2; layer++ {
		v := make([]float32, 64)
		for i := range v {
			v[i] = float32((i*7+layer)%11-5) / 10
		}
		if change != nil {
			change(v)
		}
		tensors = append(tensors, gguf.Float32Tensor(name[layer], v, 64))
	}
	all := append([]gguf.Pair{{Key: "general.architecture", Value: "controlvector"}}, meta...)
	if err := gguf.Write(path, all, tensors); err != nil {
		t.Fatal(err)
	}
	return "vector:" + path
}

// TestPlantedFaults: each is refused, or said where it may be meant.
func TestPlantedFaults(t *testing.T) {
	needRuntime(t)
	hint := gguf.Pair{Key: "controlvector.model_hint", Value: "llama"}
	data, err := os.ReadFile(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	hash := func(text string) gguf.Pair { return gguf.Pair{Key: "controlvector.model_sha256", Value: text} }
	good := controlVector(t, 1, nil, hint, hash(hex.EncodeToString(sum[:])))
	rule := "rules:" + rulesFile(t, "quiet: never -> promote always *0.5\n")
	parallel := fixture.Path(t, "fixtures/models/pythia")
	for _, tc := range []struct {
		name    string
		model   string
		specs   []string
		refused bool
		say     string // "": nothing but where it acts
	}{
		{"none", tiny(t), []string{good}, false, ""},
		{"a vector of another architecture", tiny(t), []string{controlVector(t, 1, nil, gguf.Pair{Key: "controlvector.model_hint", Value: "qwen2"})}, true, `architecture "qwen2", the model's is "llama"`},
		{"a vector of another model's file", tiny(t), []string{controlVector(t, 1, nil, hint, hash(strings.Repeat("ab", 32)))}, true, "the model's has " + hex.EncodeToString(sum[:])},
		{"a vector of another model by name", tiny(t), []string{controlVector(t, 1, nil, hint, gguf.Pair{Key: "general.base_model.0.name", Value: "org/Other-7B"})}, false, "this one calls itself tiny llama"},
		{"a vector of another width", tiny(t), []string{"vector:" + vectorFile(t, "wide", 65, "1")}, true, "width"},
		{"a file that counts blocks from 1", tiny(t), []string{controlVector(t, 2, nil, hint)}, true, "direction.3, the model has blocks 0 to 2"},
		{"a file of a tool that writes the block behind", tiny(t), []string{controlVector(t, 1, nil, hint, gguf.Pair{Key: "controlvector.layer_count", Value: int32(2)})}, false, "acts one block behind the one it was measured at"},
		{"the zero vector", tiny(t), []string{controlVector(t, 1, func(v []float32) { clear(v) }, hint)}, true, "the zero vector"},
		{"NaN", tiny(t), []string{controlVector(t, 1, func(v []float32) { v[3] = float32(math.NaN()) }, hint)}, true, "NaN at index 3"},
		{"infinity", tiny(t), []string{controlVector(t, 1, func(v []float32) { v[3] = float32(math.Inf(1)) }, hint)}, true, "Inf at index 3"},
		{"a site of a block whose parts run side by side", parallel, []string{"vector:" + vectorFile(t, "v", 64, "1") + "@resid_mid.1"}, true, "resid_mid.1"},
		{"two that cancel", tiny(t), []string{good + "*2", good + "*-2"}, true, "cancel each other"},
		{"an effect too small to be one", tiny(t), []string{good + "*1e-12"}, true, "it changes nothing"},
		{"a dead position", tiny(t), []string{good + "@resid_post.2[pos=1]"}, true, "resid_post.2"},
		{"a strength that breaks the text", tiny(t), []string{good + "*300"}, false, "the text may break"},
		{"a condition that never fires", tiny(t), []string{rule}, false, "did not fire on the built-in prompt"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := []string{"generate", tc.model, "--ids", "1,100,101", "-n", "2"}
			for _, spec := range tc.specs {
				args = append(args, "--steer", spec)
			}
			r := run("", args...)
			if (r.status != 0) != tc.refused || !strings.Contains(r.err, tc.say) {
				t.Errorf("status %d, %s\nwant a refusal %v with %q", r.status, r.err, tc.refused, tc.say)
			}
			if tc.say == "" && strings.Count(r.err, "\n") != 1 {
				t.Errorf("a sound vector: %s", r.err)
			}
			if never := strings.Contains(r.err, "never fired"); never != (tc.specs[0] == rule) {
				t.Errorf("never fired: %v\n%s", never, r.err)
			}
			chat := run("ab\n", "chat", tc.model, "-n", "2", "--steer", tc.specs[0])
			if len(tc.specs) == 1 && tc.model != parallel && ((chat.status != 0) != tc.refused || !strings.Contains(chat.err, tc.say)) {
				t.Errorf("in a chat: status %d, %s", chat.status, chat.err)
			}
		})
	}
	if r := run("", "generate", tiny(t), "--ids", "1,100", "-n", "2", "--no-proof", "--steer", good+"*2", "--steer", good+"*-2"); r.status != 0 {
		t.Errorf("--no-proof: %+v", r)
	}
}

// TestGuard: next tokens stay within their limit, edits within theirs, and what was done is said.
func TestGuard(t *testing.T) {
	needRuntime(t)
	vector := "vector:" + vectorFile(t, "happy", 64, "0", "1") + "*5"
	plain := generate(t, "--prompt", "<s>ab", "--temp", "0", "--ignore-eos")
	for _, tc := range []struct {
		name   string
		flags  []string
		say    string
		fewer  bool // tokens than without a guard
		status int
	}{
		{"divergence", []string{"--max-kl", "0.05"}, "guard: held steering back at ", false, 0},
		{"length", []string{"--max-ratio", "0.1"}, "of the activation's length, the limit is 0.1", false, 0},
		{"stop", []string{"--max-kl", "0.05", "--guard", "stop"}, "guard: stopped the answer", true, 0},
		{"wide", []string{"--max-kl", "1000", "--max-ratio", "1000"}, "", false, 0},
		{"no way to hold", []string{"--guard", "off"}, "want one of hold stop", false, 2},
		{"stop without a limit", []string{"--guard", "stop"}, "want --max-kl or --max-ratio", false, 2},
		{"below 0", []string{"--max-kl", "-1"}, "at least 0", false, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run("", append([]string{"generate", tiny(t), "--json", "-n", "8", "--prompt", "<s>ab", "--temp", "0", "--ignore-eos", "--steer", vector}, tc.flags...)...)
			if r.status != tc.status || !strings.Contains(r.err, tc.say) || (tc.say == "" && strings.Contains(r.err, "guard:")) {
				t.Fatalf("status %d, %s; want %q", r.status, r.err, tc.say)
			}
			if tc.status != 0 {
				return
			}
			var got generated
			decode(t, r.out, &got)
			if (len(got.IDs) < len(plain.IDs)) != tc.fewer {
				t.Errorf("%d tokens, without steering %d", len(got.IDs), len(plain.IDs))
			}
		})
	}
	held := answers(t, "ab\n", "--steer", vector, "--max-kl", "1e-9")[0]
	if without := answers(t, "ab\n")[0]; held != without {
		t.Errorf("held to nothing: %q, without steering %q", held, without)
	}
	// A graph without a cache runs earlier tokens again, and must hold them to the same limits again.
	var both [2]generated
	for i, name := range []string{"llama-optimum", "llama-optimum-nopast"} {
		decode(t, ok(t, "", "generate", fixture.Path(t, "fixtures/onnx/"+name), "--json", "-n", "8", "--ids", "1,5,9,12", "--temp", "0", "--steer", vector, "--max-ratio", "0.05"), &both[i])
	}
	if !slices.Equal(both[0].IDs, both[1].IDs) {
		t.Errorf("with a cache %v, without one %v", both[0].IDs, both[1].IDs)
	}
	r := pipe(t, "ab\n/steer "+vector+"\nab\n", "--max-kl", "0.05")
	if r.status != 0 || !strings.Contains(r.err, "guard: held steering back at ") {
		t.Errorf("in a chat: %+v", r)
	}
}
