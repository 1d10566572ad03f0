// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// client speaks to one endpoint.
type client struct {
	settings
	http http.Client
}

// Bounds of what a server may cost.
const (
	listLimit = 64 << 20 // bytes of a file list
	redirects = 10
	attempts  = 4 // of a request, in a row without a byte
)

func newClient(s settings) *client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: s.timeout}).DialContext,
		TLSHandshakeTimeout:   s.timeout,
		ResponseHeaderTimeout: s.timeout,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // sizes and ranges are those of the stored file
	}
	return &client{s, http.Client{Transport: authorizer{transport, s.endpoint, s.token}, CheckRedirect: follow}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// authorizer adds the token to requests to the endpoint itself. net/http would carry a header along to other ports and subdomains, too.
type authorizer struct {
	*http.Transport
	endpoint string
	token    string
}

// RoundTrip implements http.RoundTripper.
func (a authorizer) RoundTrip(r *http.Request) (*http.Response, error) {
	home, err := url.Parse(a.endpoint)
	if err == nil && a.token != "" && r.URL.Scheme == home.Scheme && r.URL.Host == home.Host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	return a.Transport.RoundTrip(r)
}

// follow stops a HEAD request at the answer that describes the file: what stores the contents knows nothing of commits.
func follow(r *http.Request, via []*http.Request) error {
	if r.Method == http.MethodHead && (r.Response.Header.Get("X-Linked-Etag") != "" || r.URL.Host != via[0].URL.Host) {
		return http.ErrUseLastResponse
	}
	if len(via) >= redirects {
		return fmt.Errorf("stopped after %d redirects", redirects)
	}
	return nil
}

// listing is what a repository holds at a commit.
type listing struct {
	commit string
	files  []string
}

// list asks for the files of a revision.
func (c *client) list(ctx context.Context, r ref) (l listing, err error) {
	var answer struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
		} `json:"siblings"`
	}
	address := c.endpoint + "/api/models/" + r.repo + "/revision/" + url.PathEscape(r.revision)
	err = c.retry(ctx, func() (bool, error) {
		resp, err := c.do(ctx, http.MethodGet, address, 0)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return false, c.refusal(resp, r)
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, listLimit)).Decode(&answer); err != nil {
			return false, fmt.Errorf("GET %s: want a list of files: %w", address, err)
		}
		return true, nil
	})
	if err != nil {
		return l, err
	}
	if !commitPattern.MatchString(answer.SHA) || (commitPattern.MatchString(r.revision) && answer.SHA != r.revision) {
		return l, fmt.Errorf("GET %s: want the sha of %s, found %.80q", address, r.revision, answer.SHA)
	}
	l.commit = answer.SHA
	for _, s := range answer.Siblings {
		if err := safe(s.Name); err != nil {
			return l, fmt.Errorf("GET %s: %w", address, err)
		}
		if !strings.ContainsAny(s.Name, `\:`) { // separators on other systems, and in no file that is needed
			l.files = append(l.files, s.Name)
		}
	}
	return l, nil
}

// remote is a file on the server.
type remote struct {
	name string
	url  string
	etag string
	size int64 // bytes; less than 0 where the server does not say
}

// etagPattern is what a blob may be named.
var etagPattern = regexp.MustCompile(`^[A-Za-z0-9_][\w.-]{0,127}$`)

// describe asks for a file's etag and size, without its contents.
func (c *client) describe(ctx context.Context, r ref, commit, name string) (f remote, err error) {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	f = remote{name: name, url: c.endpoint + "/" + r.repo + "/resolve/" + commit + "/" + strings.Join(parts, "/"), size: -1}
	var resp *http.Response
	err = c.retry(ctx, func() (bool, error) {
		if resp, err = c.do(ctx, http.MethodHead, f.url, 0); err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 400 {
			return false, c.refusal(resp, r)
		}
		return true, nil
	})
	if err != nil {
		return f, err
	}
	if found := resp.Header.Get("X-Repo-Commit"); found != "" && found != commit {
		return f, fmt.Errorf("HEAD %s: want commit %s, found %.80q", f.url, commit, found)
	}
	f.etag = strings.Trim(strings.TrimPrefix(cmp.Or(resp.Header.Get("X-Linked-Etag"), resp.Header.Get("ETag")), "W/"), `"`)
	if !etagPattern.MatchString(f.etag) {
		return f, fmt.Errorf("HEAD %s: want an ETag of letters and digits, found %.80q", f.url, f.etag)
	}
	size := resp.Header.Get("X-Linked-Size")
	if size == "" && resp.StatusCode == http.StatusOK {
		size = resp.Header.Get("Content-Length")
	}
	if size == "" {
		return f, nil
	}
	if f.size, err = strconv.ParseInt(size, 10, 64); err != nil || f.size < 0 {
		return f, fmt.Errorf("HEAD %s: want a size, found %.80q", f.url, size)
	}
	return f, nil
}

// refusal makes an error of a status.
func (c *client) refusal(resp *http.Response, r ref) error {
	page := c.endpoint + "/" + r.repo
	code := resp.Header.Get("X-Error-Code")
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return &AccessError{Status: resp.StatusCode, Gated: code == "GatedRepo", Token: c.token != "", Page: page}
	case resp.StatusCode == http.StatusNotFound && code == "RevisionNotFound":
		return &NotFoundError{fmt.Sprintf("revision %q of %s: see its branches and tags there", r.revision, page)}
	case resp.StatusCode == http.StatusNotFound && code == "EntryNotFound":
		return &NotFoundError{"file " + resp.Request.URL.String()}
	case resp.StatusCode == http.StatusNotFound:
		return &NotFoundError{"file or folder, and no such model at " + page + ": check the name; a private model needs HF_TOKEN"}
	}
	return &statusError{resp.Request.Method, resp.Request.URL.Redacted(), resp.Status, resp.StatusCode}
}

// errSilent is why a request was given up.
var errSilent = errors.New("the server was silent: set HF_HUB_DOWNLOAD_TIMEOUT to more seconds")

// do sends a request for a file from an offset on. It ends when the server is silent for too long, whether before its answer or within.
func (c *client) do(ctx context.Context, method, address string, from int64) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	r.Header.Set("User-Agent", "trimtab")
	r.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := c.http.Do(r)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	timer := time.AfterFunc(c.timeout, func() { cancel(errSilent) })
	resp.Body = &watched{resp.Body, timer, c.timeout, func() bool { return context.Cause(ctx) == errSilent }, func() { cancel(nil) }}
	return resp, nil
}

// watched is an answer whose reads each have a time limit.
type watched struct {
	io.ReadCloser
	timer   *time.Timer
	timeout time.Duration
	silent  func() bool // the time ran out
	cancel  func()
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.timeout)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) && w.silent() {
		err = errSilent
	}
	return n, err
}

// Close implements io.Closer.
func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel()
	return w.ReadCloser.Close()
}

// retry repeats a request that failed for reasons that pass. f tells whether it got anywhere.
func (c *client) retry(ctx context.Context, f func() (progress bool, err error)) error {
	for failed := 0; ; {
		progress, err := f()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		if progress {
			failed = 0
		}
		if failed++; failed == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.pause << (failed - 1)):
		}
	}
}

// passing tells whether a request that failed so may succeed when repeated.
func passing(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return status.code == http.StatusTooManyRequests || status.code >= 500
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return false
	}
	var request *url.Error
	var network net.Error
	return errors.As(err, &request) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errSilent)
}
