// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
)

// encodeFixture writes the inputs of one tiny dictionary into a file of their own.
func encodeFixture(t *testing.T, name string) (dict, in string, reference func(key string) []float32) {
	t.Helper()
	root := fixture.Path(t, "fixtures-dictionaries/formats")
	ref, err := safetensors.Open(filepath.Join(root, "reference.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ref.Close() })
	x, _ := ref.Tensor(name + "/X")
	x.Name = "X"
	in = filepath.Join(t.TempDir(), "x.safetensors")
	if err := safetensors.Write(in, []safetensors.Tensor{x, safetensors.Float32Tensor("other", []float32{1}, 1)}, nil); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, name), in, func(key string) []float32 {
		v, _ := ref.Tensor(name + "/" + key)
		out, err := v.AppendFloat32(nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func far(a, b []float32) float64 {
	diff, size := 0.0, 0.0
	for i, v := range b {
		diff = max(diff, math.Abs(float64(a[i]-v)))
		size = max(size, math.Abs(float64(v)))
	}
	return diff / size
}

func TestEncode(t *testing.T) {
	for _, tc := range []struct {
		name, warning string
		args          []string
	}{
		{"saelens6-topk-none-pre", "", []string{"--set", "9=0", "--set", "11=3.1207", "--set", "70=2.0419"}},
		{"itda", "", []string{"--k", "10", "--set", "10=0", "--set", "18=-1.604", "--set", "1=1.4461"}},
		{"saelens6-standard-expected_average_only_in-pre", "", []string{"--activation-scale", "0.37", "--set", "3=0", "--set", "5=1.5899", "--set", "33=2.2422"}},
		{"saelens3-normalize-bool-true", "expected_average_only_in", []string{"--set", "0=0", "--set", "2=4.1326", "--set", "16=2.1984"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dict, in, reference := encodeFixture(t, tc.name)
			out := filepath.Join(t.TempDir(), "o.safetensors")
			var stderr bytes.Buffer
			args := append([]string{"encode", dict, "--in", in + ":X", "--dense", "-o", out}, tc.args...)
			if status := Run(args, nil, nil, &stderr); status != 0 {
				t.Fatalf("status %d: %s", status, stderr.String())
			}
			if got := stderr.String(); (got == "") != (tc.warning == "") || !strings.Contains(got, tc.warning) {
				t.Errorf("standard error %q, want %q in it", got, tc.warning)
			}
			f, err := safetensors.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			codes, err := f.Float32("codes", 16, 96)
			if err != nil {
				t.Fatal(err)
			}
			// The fixtures' own tolerances.
			for key, c := range map[string]struct {
				tensor string
				most   float64
			}{"codes": {"codes", 2e-5}, "recon": {"reconstruction", 2e-5}, "h_edit_delta": {"edited", 5e-5}} {
				got, err := f.Float32(c.tensor, 16, -1)
				if err != nil {
					t.Fatal(err)
				}
				if e := far(got, reference(key)); e > c.most {
					t.Errorf("%s off by %.2g", c.tensor, e)
				}
			}
			sparseEqualsDense(t, f, codes)
		})
	}
}

func sparseEqualsDense(t *testing.T, f *safetensors.File, codes []float32) {
	t.Helper()
	indices, _ := f.Tensor("indices")
	at, err := indices.AppendInt64(nil)
	if err != nil || indices.DType != safetensors.I32 {
		t.Fatalf("indices: %s, %v", indices.DType, err)
	}
	values, err := f.Float32("values", 16, -1)
	if err != nil {
		t.Fatal(err)
	}
	width, again := len(at)/16, make([]float32, len(codes))
	for i, index := range at {
		if index >= 0 {
			again[i/width*96+int(index)] = values[i]
		} else if index != -1 || values[i] != 0 {
			t.Fatalf("padding %d with value %v, want -1 and 0", index, values[i])
		}
	}
	if !slices.Equal(again, codes) {
		t.Error("indices and values are another code than the dense one")
	}
}

func TestEncodeRefuses(t *testing.T) {
	dict, in, _ := encodeFixture(t, "saelens6-topk-none-pre")
	out := filepath.Join(t.TempDir(), "o.safetensors")
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no input", []string{dict, "-o", out}, statusUsage, `"in" not set`},
		{"no tensor", []string{dict, "--in", in, "-o", out}, statusFailed, "the name of one of its 2 tensors"},
		{"a wrong width", []string{dict, "--in", in + ":other", "-o", out}, statusFailed, "want rows of 32"},
		{"no edit", []string{dict, "--in", in + ":X", "-o", out, "--set", "x"}, statusUsage, "found no ="},
		{"no such feature", []string{dict, "--in", in + ":X", "-o", out, "--set", "96=1"}, statusFailed, "between 0 and 95"},
		{"negative k", []string{dict, "--in", in + ":X", "-o", out, "--k", "-1"}, statusUsage, "above 0"},
		{"no dictionary", []string{t.TempDir(), "--in", in + ":X", "-o", out}, statusFailed, "the files of a sparse dictionary"},
	} {
		var stderr bytes.Buffer
		status := Run(append([]string{"encode"}, tc.args...), nil, nil, &stderr)
		if status != tc.status || !strings.Contains(stderr.String(), tc.want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: status %d, %q, want %d and %q in one line", tc.name, status, stderr.String(), tc.status, tc.want)
		}
	}
}

// TestEncodeHeads accepts heads in a dimension of their own.
func TestEncodeHeads(t *testing.T) {
	for _, tc := range []struct {
		shape []int
		width int
		want  bool
	}{{[]int{5, 32}, 32, true}, {[]int{5, 4, 8}, 32, true}, {[]int{32}, 32, true}, {[]int{5, 33}, 32, false}, {[]int{5, 3, 8}, 32, false}, {nil, 1, false}, {[]int{8, 0}, 32, false}} {
		if got := endsIn(tc.shape, tc.width); got != tc.want {
			t.Errorf("endsIn(%v, %d) = %v", tc.shape, tc.width, got)
		}
	}
}
