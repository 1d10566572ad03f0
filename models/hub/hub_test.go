// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func cacheFolder() string { return os.Getenv("HF_HUB_CACHE") }

func snapshotFolder() string {
	return filepath.Join(cacheFolder(), "models--some-org--some-model", "snapshots", testCommit)
}

func blobs(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(cacheFolder(), "models--some-org--some-model", "blobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func resolve(t *testing.T, name string, o Options) string {
	t.Helper()
	path, err := Resolve(t.Context(), name, o)
	if err != nil {
		t.Fatalf("Resolve(%q): %v", name, err)
	}
	return path
}

func TestResolvePath(t *testing.T) {
	s := newServer(t, folder())
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(filepath.FromSlash(testRepo), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{testRepo, ".", t.TempDir()} {
		if got := resolve(t, name, Options{pause: time.Millisecond}); got != name {
			t.Errorf("Resolve(%q) = %q, want it as it is", name, got)
		}
	}
	if len(s.requests) > 0 {
		t.Errorf("requests %v, want none for paths", s.requests)
	}
}

func TestResolveFolder(t *testing.T) {
	s := newServer(t, folder())
	t.Setenv("HF_TOKEN", testToken+"\n")
	var done, total int64
	path := resolve(t, testRepo, Options{pause: time.Millisecond, Progress: func(d, n int64) { done, total = d, n }})
	if path != snapshotFolder() {
		t.Errorf("path %s, want %s", path, snapshotFolder())
	}
	var got []string
	for _, e := range must(os.ReadDir(path)) {
		got = append(got, e.Name())
		if data := must(os.ReadFile(filepath.Join(path, e.Name()))); !bytes.Equal(data, s.files[e.Name()]) {
			t.Errorf("%s: %d bytes that differ from the server's %d", e.Name(), len(data), len(s.files[e.Name()]))
		}
		link, err := os.Readlink(filepath.Join(path, e.Name()))
		if want := filepath.Join("..", "..", "blobs", s.etag(e.Name())); err != nil || link != want {
			t.Errorf("%s links to %q (%v), want %q", e.Name(), link, err, want)
		}
	}
	want := []string{
		"chat_template.jinja", "config.json", "generation_config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
		"model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files of the snapshot (-want +got):\n%s", diff)
	}
	if data := must(os.ReadFile(filepath.Join(cacheFolder(), "models--some-org--some-model", "refs", "main"))); string(data) != testCommit {
		t.Errorf("refs/main holds %q, want %q", data, testCommit)
	}
	var sum int64
	for _, name := range want {
		sum += int64(len(s.files[name]))
	}
	sum -= int64(len(s.files[indexName])) // comes before the rest is known
	if done != sum || total != sum {
		t.Errorf("progress ended at %d of %d, want %d of both", done, total, sum)
	}
	if len(s.leaked) > 0 || slices.ContainsFunc(s.tokens, func(x string) bool { return x != "Bearer "+testToken }) {
		t.Errorf("the second host saw tokens %q, the endpoint %q; want none, and the same at each request", s.leaked, s.tokens)
	}

	before := len(s.requests)
	if again := resolve(t, testRepo, Options{pause: time.Millisecond}); again != path || len(s.requests) != before {
		t.Errorf("second call: path %s after %d requests, want %s after none", again, len(s.requests)-before, path)
	}
	if again := resolve(t, "hf.co/"+testRepo+"@"+testCommit, Options{pause: time.Millisecond, Offline: true}); again != path {
		t.Errorf("by commit: path %s, want %s", again, path)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestResolveGGUF(t *testing.T) {
	for _, tt := range []struct {
		want, file string
		err        string
	}{
		{want: ":model-Q4_K_M.gguf", file: "model-Q4_K_M.gguf"},
		{want: ":Q4_K_M", file: "model-Q4_K_M.gguf"},
		{want: ":q4_k_s", file: "model-Q4_K_S.gguf"},
		{want: ":model-IQ4_XS", file: "model-IQ4_XS.gguf"},
		{want: ":Q8_0", file: "Q8_0/model-Q8_0-00001-of-00002.gguf"},
		{want: ":Q8_0/model-Q8_0-00002-of-00002.gguf", file: "Q8_0/model-Q8_0-00001-of-00002.gguf"},
		{want: "@v1.0:Q4_K_S", file: "model-Q4_K_S.gguf"},
		{want: "@refs/pr/7:Q4_K_S", file: "model-Q4_K_S.gguf"},
		{want: "", err: "want one of several GGUF files named, as in some-org/some-model:Q8_0/model-Q8_0-00001-of-00002.gguf"},
		{want: ":Q4_K", err: `want one GGUF file for "Q4_K", found Q8_0/model-Q8_0-00001-of-00002.gguf, model-IQ4_XS.gguf, model-Q4_K_M.gguf`},
		{want: ":F16", err: `want one GGUF file for "F16"`},
		{want: ":mmproj-model-f16", err: `want one GGUF file for "mmproj-model-f16"`},
	} {
		t.Run(tt.want, func(t *testing.T) {
			s := newServer(t, ggufs())
			path, err := Resolve(t.Context(), testRepo+tt.want, Options{pause: time.Millisecond})
			if tt.err != "" {
				var choice *ChoiceError
				if !errors.As(err, &choice) || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want a ChoiceError with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(snapshotFolder(), filepath.FromSlash(tt.file)); path != want {
				t.Errorf("path %s, want %s", path, want)
			}
			if got := must(os.ReadFile(path)); !bytes.Equal(got, s.files[tt.file]) {
				t.Errorf("%d bytes that differ from the server's %d", len(got), len(s.files[tt.file]))
			}
			parts := 1 + strings.Count(tt.file, "-00001-of-00002")
			if got := blobs(t); len(got) != parts {
				t.Errorf("blobs %v, want %d", got, parts)
			}
			before := len(s.requests)
			if again := resolve(t, testRepo+tt.want, Options{pause: time.Millisecond}); again != path || len(s.requests) != before {
				t.Errorf("second call: path %s after %d requests, want %s after none", again, len(s.requests)-before, path)
			}
		})
	}
}

func TestOneGGUFNeedsNoName(t *testing.T) {
	s := newServer(t, map[string][]byte{"README.md": nil, "a/model.gguf": weights(9), "mmproj.gguf": weights(3)})
	path := resolve(t, testRepo, Options{pause: time.Millisecond})
	if want := filepath.Join(snapshotFolder(), "a", "model.gguf"); path != want {
		t.Fatalf("path %s, want %s", path, want)
	}
	before := len(s.requests)
	if again := resolve(t, testRepo, Options{pause: time.Millisecond}); again != path || len(s.requests) != before {
		t.Errorf("second call: path %s after %d requests, want %s after none", again, len(s.requests)-before, path)
	}
}

// TestResume breaks transfers within a call, and then so often that the call fails and the next one goes on.
func TestResume(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ranges bool // the server honours Range
		calls  int
	}{
		{"within a call", true, 1},
		{"in the next call", true, 2},
		{"from a server without ranges", false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, ggufs())
			name := testRepo + ":Q4_K_M"
			data := s.files["model-Q4_K_M.gguf"]
			broken := 0
			s.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				if !tt.ranges {
					r.Header.Del("Range")
				}
				broken++
				switch {
				case broken == 1:
					breakAfter(w, data, 100_000)
				case broken <= attempts && tt.calls == 2: // nothing more comes
					w.WriteHeader(http.StatusServiceUnavailable)
					return true
				}
				return false
			}
			if tt.calls == 2 {
				if path, err := Resolve(t.Context(), name, Options{pause: time.Millisecond}); err == nil {
					t.Fatalf("path %s, want an error", path)
				}
				if got := blobs(t); len(got) != 1 || !strings.HasSuffix(got[0], incomplete) {
					t.Fatalf("blobs %v, want an incomplete one", got)
				}
				if path, err := Resolve(t.Context(), name, Options{pause: time.Millisecond, Offline: true}); err == nil {
					t.Fatalf("offline: path %s, want an error for what is incomplete", path)
				}
			}
			var first int64 = -1
			path := resolve(t, name, Options{pause: time.Millisecond, Progress: func(done, _ int64) {
				if first < 0 {
					first = done
				}
			}})
			if !bytes.Equal(must(os.ReadFile(path)), data) {
				t.Error("contents differ from the server's")
			}
			if n := s.count("GET /model-Q4_K_M.gguf bytes=100000-"); n < tt.calls {
				t.Errorf("requests %v, want %d that go on at byte 100000", s.requests, tt.calls)
			}
			if n := count(s.requests, "GET /model-Q4_K_M.gguf"); n != 1 {
				t.Errorf("requests %v, want one that begins at the beginning, found %d", s.requests, n)
			}
			if tt.calls == 2 && first != 100_000 {
				t.Errorf("progress began at %d, want 100000", first)
			}
		})
	}
}

func count(requests []string, whole string) (n int) {
	for _, r := range requests {
		if r == whole {
			n++
		}
	}
	return n
}

// TestOtherRange resumes from a server that sends other bytes than it was asked for.
func TestOtherRange(t *testing.T) {
	s := newServer(t, ggufs())
	s.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if r.Header.Get("Range") == "" {
			if count(s.requests, "GET /model-Q4_K_M.gguf") == 1 {
				breakAfter(w, data, 100_000)
			}
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 50000-%d/%d", len(data)-1, len(data)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[50_000:])
		return true
	}
	resolve(t, testRepo+":Q4_K_M", Options{pause: time.Millisecond})
	if n := count(s.requests, "GET /model-Q4_K_M.gguf"); n != 2 {
		t.Errorf("requests %v, want two from the beginning, found %d", s.requests, n)
	}
}

// TestPromiseTooLarge ends, although the server has an answer to every request.
func TestPromiseTooLarge(t *testing.T) {
	s := newServer(t, ggufs())
	s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.Header().Set("X-Linked-Etag", s.etag("model-Q4_K_S.gguf"))
			w.Header().Set("X-Linked-Size", "2001")
		}
		return r.Method == http.MethodHead
	}
	path, err := Resolve(t.Context(), testRepo+":Q4_K_S", Options{pause: time.Millisecond})
	if n := count(s.requests, "GET /model-Q4_K_S.gguf"); err == nil || n > attempts {
		t.Errorf("path %q, error %v after %d requests, want an error after at most %d", path, err, n, attempts)
	}
}

func TestFullDisk(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	p := &partial{file: f, sum: sha256.New()}
	_, err = p.Write([]byte("x"))
	r := &resolver{client: newClient(settings{cache: t.TempDir()})}
	var space *SpaceError
	if got := r.full(err, remote{size: 9}, p); !errors.As(got, &space) || space.Need != 9 || !errors.Is(got, err) {
		t.Errorf("write: %v, as an error of Resolve %v; want a SpaceError for 9 bytes that wraps it", err, got)
	}
}

func TestWrongChecksum(t *testing.T) {
	for _, tt := range []struct {
		name  string
		file  string
		spoil func(data []byte) []byte
	}{
		{"contents", "model-Q4_K_S.gguf", func(d []byte) []byte { d = bytes.Clone(d); d[5]++; return d }},
		{"longer", "model-Q4_K_S.gguf", func(d []byte) []byte { return append(bytes.Clone(d), 1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, ggufs())
			s.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				_, _ = w.Write(tt.spoil(data))
				return true
			}
			path, err := Resolve(t.Context(), testRepo+":"+tt.file, Options{pause: time.Millisecond})
			var wrong *ChecksumError
			if !errors.As(err, &wrong) {
				t.Fatalf("path %q, error %v, want a ChecksumError", path, err)
			}
			if got := blobs(t); len(got) > 0 {
				t.Errorf("blobs %v, want none", got)
			}
			if _, err := os.Lstat(filepath.Join(snapshotFolder(), tt.file)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the snapshot has the file (%v), want none", err)
			}
			s.spoil = nil
			resolve(t, testRepo+":"+tt.file, Options{pause: time.Millisecond})
		})
	}
}

// TestSpoiltBeginning leaves wrong bytes of an earlier download: only the sum of the whole shows them.
func TestSpoiltBeginning(t *testing.T) {
	s := newServer(t, ggufs())
	dir := filepath.Join(cacheFolder(), "models--some-org--some-model", "blobs")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2000, 2001} {
		spoilt := bytes.Repeat([]byte{0xee}, n)
		if err := os.WriteFile(filepath.Join(dir, s.etag("model-Q4_K_S.gguf")+incomplete), spoilt, 0o666); err != nil {
			t.Fatal(err)
		}
		path := resolve(t, testRepo+":Q4_K_S", Options{pause: time.Millisecond})
		if !bytes.Equal(must(os.ReadFile(path)), s.files["model-Q4_K_S.gguf"]) {
			t.Errorf("after %d wrong bytes: contents differ from the server's", n)
		}
		if err := os.Remove(filepath.Join(dir, s.etag("model-Q4_K_S.gguf"))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOffline(t *testing.T) {
	s := newServer(t, folder())
	t.Setenv("HF_HUB_OFFLINE", "1")
	path, err := Resolve(t.Context(), testRepo, Options{pause: time.Millisecond})
	var offline *OfflineError
	if !errors.As(err, &offline) || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") || len(s.requests) > 0 {
		t.Fatalf("path %q, error %v after requests %v, want an OfflineError after none", path, err, s.requests)
	}
	t.Setenv("HF_HUB_OFFLINE", "0")
	resolve(t, testRepo, Options{pause: time.Millisecond})
	t.Setenv("HF_HUB_OFFLINE", "true")
	resolve(t, testRepo, Options{pause: time.Millisecond})

	shard := filepath.Join(snapshotFolder(), "model-00002-of-00002.safetensors")
	if err := os.Remove(must(filepath.EvalSymlinks(shard))); err != nil {
		t.Fatal(err)
	}
	if _, err = Resolve(t.Context(), testRepo, Options{pause: time.Millisecond}); !errors.As(err, &offline) || !strings.Contains(err.Error(), filepath.Base(shard)) {
		t.Errorf("error %v, want an OfflineError that names the missing part", err)
	}
	before := s.count("GET /model-")
	resolve2 := func() { t.Setenv("HF_HUB_OFFLINE", ""); resolve(t, testRepo, Options{pause: time.Millisecond}) }
	if resolve2(); s.count("GET /model-") != before+1 {
		t.Errorf("requests %v, want one more for the missing part only", s.requests)
	}
}

// TestForeignSnapshot is a cache that another tool filled with weights only: good without a network, completed with one.
func TestForeignSnapshot(t *testing.T) {
	s := newServer(t, folder())
	resolve(t, testRepo, Options{pause: time.Millisecond})
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		if err := os.Remove(filepath.Join(snapshotFolder(), name)); err != nil {
			t.Fatal(err)
		}
	}
	before := len(s.requests)
	if path := resolve(t, testRepo, Options{pause: time.Millisecond, Offline: true}); path != snapshotFolder() || len(s.requests) != before {
		t.Errorf("offline: path %s after %d requests", path, len(s.requests)-before)
	}
	if path := resolve(t, testRepo, Options{pause: time.Millisecond, Endpoint: "http://127.0.0.1:1"}); path != snapshotFolder() {
		t.Errorf("without a network: path %s", path)
	}
	resolve(t, testRepo, Options{pause: time.Millisecond})
	if !exists(filepath.Join(snapshotFolder(), "tokenizer.json")) {
		t.Error("tokenizer.json is still missing")
	}
}

func TestRefusals(t *testing.T) {
	status := func(code int, header string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			if header != "" {
				w.Header().Set("X-Error-Code", header)
			}
			w.WriteHeader(code)
			return true
		}
	}
	gated := func(w http.ResponseWriter, r *http.Request) bool {
		return !strings.HasPrefix(r.URL.Path, "/api/") && status(403, "GatedRepo")(w, r)
	}
	for _, tt := range []struct {
		name   string
		token  string
		refuse func(http.ResponseWriter, *http.Request) bool
		target any
		want   string
	}{
		{"no model", testToken, status(404, "RepoNotFound"), new(*NotFoundError), "no such model at http"},
		{"no revision", "", status(404, "RevisionNotFound"), new(*NotFoundError), `no such revision "main"`},
		{"no model or private", "", status(401, "RepoNotFound"), new(*AccessError), "set HF_TOKEN"},
		{"bad token", testToken, status(401, ""), new(*AccessError), "check HF_TOKEN"},
		{"gated", "", gated, new(*AccessError), "/some-org/some-model, then set HF_TOKEN"},
		{"gated for this token", testToken, gated, new(*AccessError), "with the account of your token"},
		{"broken server", "", status(500, ""), new(*statusError), "found 500"},
		{"no hub", "", func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, nil, "want a list of files"},
		{"no commit", "", func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, `{"sha":"../x"}`); return true }, nil, "want the sha of main"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, folder())
			s.refuse = tt.refuse
			path, err := Resolve(t.Context(), testRepo, Options{pause: time.Millisecond, Token: tt.token})
			if err == nil || !strings.Contains(err.Error(), tt.want) || (tt.target != nil && !errors.As(err, tt.target)) {
				t.Fatalf("path %q, error %v, want a %T with %q", path, err, tt.target, tt.want)
			}
			if strings.Contains(err.Error(), testToken) {
				t.Errorf("the error holds the token: %v", err)
			}
			if got := blobs(t); len(got) > 0 {
				t.Errorf("blobs %v, want none", got)
			}
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	for _, name := range []string{"../../evil.gguf", "/etc/evil.gguf", `..\evil.gguf`, `C:\evil.gguf`, "c:evil.gguf", `\\host\evil.gguf`, "a/../../evil.gguf", "./evil.gguf", "a//b.gguf", "", "evil\x1b[2J.gguf"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, ggufs())
			s.listed = []string{"config.json", name, "model-Q4_K_S.gguf"}
			path, err := Resolve(t.Context(), testRepo+":Q4_K_S", Options{pause: time.Millisecond})
			if err == nil || !strings.Contains(err.Error(), "want the name of a file in its own folder") {
				t.Fatalf("path %q, error %v, want a refusal", path, err)
			}
		})
	}
	t.Run("shard", func(t *testing.T) {
		s := newServer(t, folder())
		s.files[indexName] = []byte(`{"weight_map":{"a":"../../evil.safetensors"}}`)
		if path, err := Resolve(t.Context(), testRepo, Options{pause: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "want the name of a file in its own folder") {
			t.Fatalf("path %q, error %v, want a refusal", path, err)
		}
	})
	for _, etag := range []string{"../../evil", ".hidden", "a/b", strings.Repeat("a", 200)} {
		t.Run("etag "+etag[:min(len(etag), 10)], func(t *testing.T) {
			s := newServer(t, ggufs())
			s.etags["model-Q4_K_S.gguf"] = etag
			if path, err := Resolve(t.Context(), testRepo+":Q4_K_S", Options{pause: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "want an ETag") {
				t.Fatalf("path %q, error %v, want a refusal", path, err)
			}
		})
	}
	t.Run("size", func(t *testing.T) {
		s := newServer(t, ggufs())
		s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodHead {
				return false
			}
			w.Header().Set("X-Linked-Etag", s.etag("model-Q4_K_S.gguf"))
			w.Header().Set("X-Linked-Size", "9000000000000000000")
			return true
		}
		path, err := Resolve(t.Context(), testRepo+":Q4_K_S", Options{pause: time.Millisecond})
		var space *SpaceError
		if !errors.As(err, &space) {
			t.Fatalf("path %q, error %v, want a SpaceError", path, err)
		}
	})
}

func TestConcurrent(t *testing.T) {
	s := newServer(t, folder())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if path, err := Resolve(t.Context(), testRepo, Options{pause: time.Millisecond}); err != nil || path != snapshotFolder() {
				t.Errorf("path %q, error %v", path, err)
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"} {
		if n := s.count("GET /" + name); n != 1 {
			t.Errorf("%s was fetched %d times, want once", name, n)
		}
	}
}

func TestCancel(t *testing.T) {
	s := newServer(t, ggufs())
	ctx, cancel := context.WithCancel(t.Context())
	s.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		_, _ = w.Write(data[:10])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
		return true
	}
	if path, err := Resolve(ctx, testRepo+":Q4_K_M", Options{pause: time.Millisecond}); !errors.Is(err, context.Canceled) {
		t.Fatalf("path %q, error %v, want %v", path, err, context.Canceled)
	}
	unlock, err := lock(t.Context(), filepath.Join(cacheFolder(), ".locks", "models--some-org--some-model", s.etag("model-Q4_K_M.gguf")+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	s.spoil = nil
	ctx, cancel = context.WithTimeout(t.Context(), 3*lockPoll)
	defer cancel()
	if path, err := Resolve(ctx, testRepo+":Q4_K_M", Options{pause: time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("path %q, error %v, want the wait for the lock to end with %v", path, err, context.DeadlineExceeded)
	}
}

func TestSilentServer(t *testing.T) {
	s := newServer(t, ggufs())
	t.Setenv("HF_HUB_DOWNLOAD_TIMEOUT", "0.1")
	s.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:10])
			w.(http.Flusher).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
		return true
	}
	start := time.Now()
	path, err := Resolve(t.Context(), testRepo+":Q4_K_S", Options{pause: time.Millisecond})
	if err == nil || time.Since(start) > 4*time.Second {
		t.Fatalf("path %q, error %v after %v, want an error after about 2 s", path, err, time.Since(start))
	}
}

func TestWithoutLinks(t *testing.T) {
	s := newServer(t, ggufs())
	st := must((&Options{}).settings())
	r := &resolver{ref: must(parse(testRepo + ":Q8_0")), store: newStore(st.cache, testRepo), client: newClient(st)}
	r.symlink = func(string, string) error { return errors.ErrUnsupported }
	path, err := r.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info := must(os.Lstat(path))
	if !info.Mode().IsRegular() || !bytes.Equal(must(os.ReadFile(path)), s.files["Q8_0/model-Q8_0-00001-of-00002.gguf"]) {
		t.Errorf("%s: mode %v, want a plain file with the server's contents", path, info.Mode())
	}
	before := len(s.requests)
	if again := resolve(t, testRepo+":Q8_0", Options{pause: time.Millisecond}); again != path || len(s.requests) != before {
		t.Errorf("second call: path %s after %d requests, want %s after none", again, len(s.requests)-before, path)
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("hf/token", " of home\n")
	tokenFile := write("elsewhere", "of file\n")
	hf := filepath.Join(dir, "hf")
	for _, tt := range []struct {
		name string
		env  map[string]string
		o    Options
		want settings
		err  string
	}{
		{"nothing", nil, Options{pause: time.Millisecond}, settings{cache: filepath.Join(dir, ".cache", "huggingface", "hub"), endpoint: defaultEndpoint, timeout: defaultTimeout, pause: time.Millisecond}, ""},
		{"XDG_CACHE_HOME", map[string]string{"XDG_CACHE_HOME": dir}, Options{pause: time.Millisecond}, settings{cache: filepath.Join(dir, "huggingface", "hub"), endpoint: defaultEndpoint, timeout: defaultTimeout, pause: time.Millisecond}, ""},
		{"HF_HOME", map[string]string{"XDG_CACHE_HOME": dir, "HF_HOME": "~/hf"}, Options{pause: time.Millisecond}, settings{cache: filepath.Join(hf, "hub"), endpoint: defaultEndpoint, timeout: defaultTimeout, pause: time.Millisecond, token: "of home"}, ""},
		{
			"all",
			map[string]string{"HF_HUB_CACHE": "c", "HF_HOME": hf, "HF_TOKEN_PATH": tokenFile, "HF_ENDPOINT": "http://x:1/y//", "HF_HUB_OFFLINE": "Yes", "HF_HUB_DOWNLOAD_TIMEOUT": "3"},
			Options{pause: time.Millisecond},
			settings{cache: "c", endpoint: "http://x:1/y", timeout: 3 * time.Second, pause: time.Millisecond, token: "of file", offline: true},
			"",
		},
		{"HF_TOKEN", map[string]string{"HF_HOME": hf, "HF_TOKEN": "t\r\n"}, Options{pause: time.Millisecond, Cache: "o"}, settings{cache: "o", endpoint: defaultEndpoint, timeout: defaultTimeout, pause: time.Millisecond, token: "t"}, ""},
		{"bad endpoint", map[string]string{"HF_ENDPOINT": "ftp://x"}, Options{pause: time.Millisecond}, settings{}, "HF_ENDPOINT: want an address"},
		{"bad timeout", map[string]string{"HF_HUB_DOWNLOAD_TIMEOUT": "-1"}, Options{pause: time.Millisecond}, settings{}, "HF_HUB_DOWNLOAD_TIMEOUT: want seconds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT"} {
				t.Setenv(name, tt.env[name])
			}
			t.Setenv("HOME", dir)
			got, err := tt.o.settings()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("settings %+v, error %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name string
		want ref
		err  bool
	}{
		{name: "org/name", want: ref{"org/name", "main", ""}},
		{name: "https://huggingface.co/org/name.gguf", want: ref{"org/name.gguf", "main", ""}},
		{name: "Org-1/a_b.c-GGUF@feature/x:sub/f.gguf", want: ref{"Org-1/a_b.c-GGUF", "feature/x", "sub/f.gguf"}},
		{name: "", err: true},
		{name: "name", err: true},
		{name: "model.gguf", err: true},
		{name: "models/model.gguf", err: true},
		{name: "./org/name", err: true},
		{name: "../name", err: true},
		{name: "/org/name", err: true},
		{name: "a/b/c", err: true},
		{name: "a--b/c", err: true},
		{name: "org/..", err: true},
		{name: "org/name@", err: true},
		{name: "org/name@../x", err: true},
		{name: "org/name@a/../b", err: true},
		{name: "org/name@-x", err: true},
		{name: "org/name:", err: true},
		{name: "org/name:../x.gguf", err: true},
		{name: "org/na me", err: true},
		{name: "org/name\x00", err: true},
	} {
		got, err := parse(tt.name)
		var missing *NotFoundError
		if tt.err != (err != nil) || (!tt.err && got != tt.want) {
			t.Errorf("parse(%q) = %+v, %v, want %+v, error %v", tt.name, got, err, tt.want, tt.err)
		}
		if err != nil && (!errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist)) {
			t.Errorf("parse(%q): error %v, want a NotFoundError", tt.name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"org/name", "org/name@main:Q4_K_M", "hf.co/a/b@refs/pr/1", "../x/y", "a/b:..", "a/b@c/../d", `a/b:..\x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r, err := parse(name)
		if err != nil {
			return
		}
		s := newStore("cache", r.repo)
		for _, path := range []string{s.dir, s.refFile(r.revision), s.pointer(testCommit, r.want)} {
			if rel, err := filepath.Rel("cache", path); err != nil || !filepath.IsLocal(rel) || rel == "." {
				t.Errorf("%q: %s is outside the cache", name, path)
			}
		}
	})
}

func ExampleResolve() {
	path, err := Resolve(context.Background(), ".", Options{})
	fmt.Println(path, err)
	// Output: . <nil>
}
