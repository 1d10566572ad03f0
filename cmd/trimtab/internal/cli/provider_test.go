// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/runtime"
)

// TestProviderFlag: a name that is none is a mistake of usage, and a provider that the library lacks is an error that says where to get it.
func TestProviderFlag(t *testing.T) {
	needRuntime(t)
	model := tiny(t)
	if got := ok(t, "", "generate", model, "--ids", "1,2", "-n", "1", "--provider", "cpu", "--json"); got == "" {
		t.Error("nothing was printed")
	}
	if r := run("", "generate", model, "--ids", "1,2", "--provider", "gpu"); r.status != 2 || !strings.Contains(r.err, "cuda:N") {
		t.Errorf("status %d: %s, want 2 and the names that are known", r.status, r.err)
	}
	if r := run("", "trace", model, "--ids", "1,2", "-o", t.TempDir()+"/x", "--provider", "cuda", "--kernels", "own"); r.status != 1 || !strings.Contains(r.err, "want ort") {
		t.Errorf("status %d: %s, want 1 and the kernels that it has", r.status, r.err)
	}
	version := ok(t, "", "version")
	if !strings.Contains(version, "CPUExecutionProvider") {
		t.Errorf("version prints %q", version)
	}
	if strings.Contains(version, "CUDAExecutionProvider") {
		t.Skip("this library has CUDA")
	}
	if r := run("", "generate", model, "--ids", "1,2", "--provider", "cuda:1"); r.status != 1 || !strings.Contains(r.err, "onnxruntime-gpu") || !strings.Contains(r.err, runtime.LibraryVariable) {
		t.Errorf("status %d: %s, want 1 and what to install", r.status, r.err)
	}
	if got := ok(t, "", "inspect", model); !strings.Contains(got, "cpu, cuda") {
		t.Errorf("inspect prints %q", got)
	}
}
