// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestModelByName gives every kind of verb a name rather than a path. The first downloads, the others must find it in the cache.
func TestModelByName(t *testing.T) {
	data, err := os.ReadFile(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	const commit = "0123456789abcdef0123456789abcdef01234567"
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		switch r.URL.Path {
		case "/api/models/org/tiny/revision/main":
			fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"tiny-F32.gguf"},{"rfilename":"tiny-F16.gguf"}]}`, commit)
		case "/org/tiny/resolve/" + commit + "/tiny-F32.gguf":
			w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(data)))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		default:
			w.Header().Set("X-Error-Code", "RepoNotFound")
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")

	if r := run("", "inspect", "org/tiny"); r.status != statusFailed || !strings.Contains(r.err, "want one of several GGUF files named, as in org/tiny:tiny-F16.gguf") {
		t.Errorf("no file named: status %d, %q", r.status, r.err)
	}
	if r := run("", "tokenize", "org/other"); r.status != statusFailed || !strings.Contains(r.err, "no such model at "+server.URL+"/org/other") {
		t.Errorf("no such model: status %d, %q", r.status, r.err)
	}
	if out := ok(t, "", "inspect", "org/tiny:F32"); !strings.Contains(out, "llama") {
		t.Errorf("inspect printed %q, want the family", out)
	}
	before := requests
	ok(t, `{"text":"a"}`, "tokenize", "org/tiny:F32")
	needRuntime(t)
	byPath := ok(t, "", "generate", tiny(t), "--ids", "1,2,3", "-n", "5", "--temp", "0")
	if byName := ok(t, "", "generate", "org/tiny:F32", "--ids", "1,2,3", "-n", "5", "--temp", "0"); byName != byPath {
		t.Errorf("generate by name printed %q, want %q as by path", byName, byPath)
	}
	if requests != before {
		t.Errorf("%d requests for a model in the cache, want none", requests-before)
	}
}
