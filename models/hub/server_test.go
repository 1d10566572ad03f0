// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testRepo   = "some-org/some-model"
	testCommit = "0123456789abcdef0123456789abcdef01234567"
	testToken  = "hf_secret"
)

// server is a small Hub: an endpoint that describes files, and a second host that large ones are redirected to.
type server struct {
	endpoint, contents *httptest.Server

	mu       sync.Mutex
	files    map[string][]byte
	listed   []string                                                       // instead of the names in files
	etags    map[string]string                                              // instead of the right ones
	refuse   func(w http.ResponseWriter, r *http.Request) bool              // answers itself
	spoil    func(w http.ResponseWriter, r *http.Request, data []byte) bool // sends the contents itself
	requests []string                                                       // METHOD path [range]
	leaked   []string                                                       // tokens that the second host saw
	tokens   []string                                                       // tokens that the endpoint saw
}

func newServer(t *testing.T, files map[string][]byte) *server {
	t.Helper()
	s := &server{files: files, etags: map[string]string{}}
	s.endpoint = httptest.NewServer(http.HandlerFunc(s.describe))
	s.contents = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.endpoint.Close)
	t.Cleanup(s.contents.Close)
	for _, name := range []string{"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("HF_ENDPOINT", s.endpoint.URL+"/")
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	return s
}

func (s *server) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
}

// count returns how many requests began so.
func (s *server) count(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func large(name string) bool {
	return strings.HasSuffix(name, ".gguf") || strings.HasSuffix(name, ".safetensors")
}

func (s *server) etag(name string) string {
	if e := s.etags[name]; e != "" {
		return e
	}
	if large(name) {
		return fmt.Sprintf("%x", sha256.Sum256(s.files[name]))
	}
	return fmt.Sprintf("%x", sha1.Sum(s.files[name]))
}

func (s *server) describe(w http.ResponseWriter, r *http.Request) {
	s.note(r)
	s.mu.Lock()
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	s.mu.Unlock()
	if s.refuse != nil && s.refuse(w, r) {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/models/"+testRepo+"/revision/") {
		s.list(w)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/"+testRepo+"/resolve/"+testCommit+"/")
	data, known := s.files[name]
	switch {
	case !ok || !known:
		http.NotFound(w, r)
	case large(name):
		w.Header().Set("X-Repo-Commit", testCommit)
		w.Header().Set("X-Linked-Etag", `"`+s.etag(name)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
		http.Redirect(w, r, s.contents.URL+"/"+name, http.StatusFound)
	default:
		w.Header().Set("X-Repo-Commit", testCommit)
		w.Header().Set("ETag", `W/"`+s.etag(name)+`"`)
		s.send(w, r, data)
	}
}

func (s *server) list(w http.ResponseWriter) {
	type sibling struct {
		Name string `json:"rfilename"`
	}
	names := s.listed
	if names == nil {
		for name := range s.files {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	siblings := []sibling{}
	for _, n := range names {
		siblings = append(siblings, sibling{n})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"id": testRepo, "sha": testCommit, "siblings": siblings})
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.note(r)
	if token := r.Header.Get("Authorization"); token != "" {
		s.mu.Lock()
		s.leaked = append(s.leaked, token)
		s.mu.Unlock()
	}
	s.send(w, r, s.files[strings.TrimPrefix(r.URL.Path, "/")])
}

func (s *server) send(w http.ResponseWriter, r *http.Request, data []byte) {
	if s.spoil != nil && r.Method == http.MethodGet && s.spoil(w, r, data) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// breakAfter sends n bytes of what was asked for and then closes the connection.
func breakAfter(w http.ResponseWriter, data []byte, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	_, _ = w.Write(data[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// weights are bytes that differ from place to place.
func weights(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i*7 + i>>8)
	}
	return out
}

// folder is a repository with safetensors in two shards, and files that are not to be fetched.
func folder() map[string][]byte {
	return map[string][]byte{
		"config.json":                      []byte(`{"model_type":"llama"}`),
		"generation_config.json":           []byte(`{}`),
		"tokenizer.json":                   []byte(`{"model":{}}`),
		"tokenizer_config.json":            []byte(`{"a":1}`),
		"chat_template.jinja":              []byte(`{{ messages }}`),
		"model.safetensors.index.json":     []byte(`{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`),
		"model-00001-of-00002.safetensors": weights(70_000),
		"model-00002-of-00002.safetensors": weights(50_000),
		"consolidated.safetensors":         weights(90),
		"pytorch_model.bin":                weights(80),
		"onnx/model.onnx":                  weights(60),
		"README.md":                        []byte("hello"),
		".gitattributes":                   []byte("*"),
	}
}

// ggufs is a repository of GGUF files.
func ggufs() map[string][]byte {
	return map[string][]byte{
		"config.json":                         []byte(`{}`),
		"model-Q4_K_M.gguf":                   weights(300_000),
		"model-Q4_K_S.gguf":                   weights(2000),
		"model-IQ4_XS.gguf":                   weights(3000),
		"mmproj-model-f16.gguf":               weights(100),
		"Q8_0/model-Q8_0-00001-of-00002.gguf": weights(1000),
		"Q8_0/model-Q8_0-00002-of-00002.gguf": weights(1001),
		"F16/model-F16-00001-of-00003.gguf":   weights(7),
	}
}
