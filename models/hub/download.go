// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// download fetches what the name means and returns its path. The reference is written last: until then the name means what it meant before.
func (r *resolver) download(ctx context.Context) (string, error) {
	l, err := r.list(ctx, r.ref)
	var network *url.Error
	if errors.As(err, &network) {
		return "", fmt.Errorf("no such file or folder, and no answer from the Hub: %w", err)
	}
	if err != nil {
		return "", err
	}
	c, err := r.choose(l.files)
	if err != nil {
		return "", err
	}
	if c.index {
		if err := r.fetch(ctx, l.commit, []string{indexName}, nil); err != nil {
			return "", err
		}
		shards, err := r.shards(l.commit, l.files)
		if err != nil {
			return "", err
		}
		c.files = append(c.files, shards...)
	}
	if err := r.fetch(ctx, l.commit, c.files, r.report); err != nil {
		return "", err
	}
	if err := r.finish(l, c); err != nil {
		return "", err
	}
	return r.pointer(l.commit, c.open), nil
}

// finish notes what the server said, so that the next call need not ask.
func (r *resolver) finish(l listing, c choice) error {
	lacks := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(f string) bool { return slices.Contains(l.files, f) })
	}
	var absent []string
	if c.open != "" && lacks(singleName, indexName) {
		absent = append(absent, singleName)
	}
	if c.open == "" && lacks(tokenizers()...) {
		absent = append(absent, tokenizers()[0])
	}
	for _, name := range absent {
		if err := record(r.absent(l.commit, name), ""); err != nil {
			return err
		}
	}
	if l.commit == r.revision {
		return nil
	}
	return record(r.refFile(r.revision), l.commit)
}

// fetch brings files of a commit into its snapshot, in their order, but for those that are there.
func (r *resolver) fetch(ctx context.Context, commit string, names []string, progress func(done, total int64)) error {
	r.progress, r.done, r.total = progress, 0, 0
	var files []remote
	for _, name := range names {
		f, err := r.describe(ctx, r.ref, commit, name)
		if err != nil {
			return err
		}
		info, err := os.Stat(r.pointer(commit, name))
		if err == nil && (f.size < 0 || info.Size() == f.size) {
			continue
		}
		files = append(files, f)
		r.total += max(f.size, 0)
	}
	if err := r.checkSpace(files); err != nil {
		return err
	}
	for _, f := range files {
		if err := r.blobAndLink(ctx, commit, f); err != nil {
			return err
		}
	}
	return nil
}

// checkSpace refuses a download that cannot fit before it has cost anything.
func (r *resolver) checkSpace(files []remote) error {
	var need int64
	for _, f := range files {
		rest := max(f.size, 0)
		if info, err := os.Stat(r.blob(f.etag) + incomplete); err == nil {
			rest -= min(info.Size(), rest)
		}
		if exists(r.blob(f.etag)) {
			rest = 0
		}
		if need += rest; need < 0 {
			return fmt.Errorf("want a size below 2^63 bytes, found more in %s", f.name)
		}
	}
	if need == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "blobs"), 0o777); err != nil {
		return err
	}
	if free := freeSpace(r.dir); free >= 0 && free < need {
		return &SpaceError{Cache: r.cache, Need: need, Free: free}
	}
	return nil
}

// blobAndLink makes sure of one file. Who else wants it waits, and then finds it there.
func (r *resolver) blobAndLink(ctx context.Context, commit string, f remote) error {
	unlock, err := lock(ctx, filepath.Join(r.locks, f.etag+".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	for _, path := range []string{r.pointer(commit, f.name), r.blob(f.etag)} {
		info, err := os.Stat(path)
		if err != nil || (f.size >= 0 && info.Size() != f.size) {
			continue
		}
		r.advance(info.Size())
		if path == r.blob(f.etag) {
			return r.place(f.etag, commit, f.name)
		}
		return nil
	}
	if err := r.complete(ctx, f); err != nil {
		return err
	}
	return r.place(f.etag, commit, f.name)
}

func (r *resolver) advance(n int64) {
	r.done += n
	if r.progress != nil {
		r.progress(r.done, max(r.total, r.done))
	}
}

// incomplete is what the name of a blob ends with while it is written.
const incomplete = ".incomplete"

// digestPattern is the form of etags that are SHA-256 sums of contents, as large files have them.
var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// complete downloads a blob, checks it and gives it its name. What an earlier call began is gone on with, and when the sum is then wrong, begun again.
func (r *resolver) complete(ctx context.Context, f remote) error {
	for {
		p, err := openPartial(r.blob(f.etag) + incomplete)
		if err != nil {
			return err
		}
		resumed := p.size > 0
		err = r.fill(ctx, p, f)
		if err == nil {
			err = p.check(f)
		}
		var wrong *ChecksumError
		if errors.As(err, &wrong) {
			r.done -= p.size
			removed := errors.Join(p.file.Close(), os.Remove(p.file.Name()))
			if resumed && removed == nil {
				continue
			}
			return errors.Join(err, removed)
		}
		if err != nil {
			return errors.Join(r.full(err, f, p), p.file.Close())
		}
		if err := errors.Join(p.file.Sync(), p.file.Close()); err != nil {
			return r.full(err, f, p)
		}
		return os.Rename(p.file.Name(), r.blob(f.etag))
	}
}

// full tells when a write failed because the disk is full.
func (r *resolver) full(err error, f remote, p *partial) error {
	if !isFull(err) {
		return err
	}
	return &SpaceError{Cache: r.cache, Need: max(f.size-p.size, 1), Free: freeSpace(r.dir), Err: err}
}

// fill appends what is missing, in as many requests as it takes.
func (r *resolver) fill(ctx context.Context, p *partial, f remote) error {
	r.advance(p.size)
	best := p.size // beginning again is no progress
	return r.retry(ctx, func() (bool, error) {
		if f.size >= 0 && p.size > f.size {
			if err := r.restart(p); err != nil {
				return false, err
			}
		}
		if p.size == f.size {
			return true, nil
		}
		err := r.transfer(ctx, p, f)
		progress := p.size > best
		best = max(best, p.size)
		return progress, err
	})
}

func (r *resolver) restart(p *partial) error {
	r.done -= p.size
	return p.reset()
}

// transfer makes one request for the rest of a file.
func (r *resolver) transfer(ctx context.Context, p *partial, f remote) error {
	resp, err := r.client.do(ctx, http.MethodGet, f.url, p.size)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", p.size)):
	case resp.StatusCode == http.StatusOK:
		err = r.restart(p) // the server does not go on where it was asked to
	case resp.StatusCode == http.StatusPartialContent, resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && p.size > 0:
		return errors.Join(r.restart(p), io.ErrUnexpectedEOF)
	default:
		return r.refusal(resp, r.ref)
	}
	if err != nil {
		return err
	}
	var body io.Reader = resp.Body
	if f.size >= 0 {
		body = io.LimitReader(body, f.size-p.size+1) // one too many shows that there are more
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{counted{p, r}}, body, make([]byte, 256<<10)); err != nil {
		return fmt.Errorf("download %s: %w", f.name, err)
	}
	if f.size >= 0 && p.size < f.size {
		return fmt.Errorf("download %s: want %d bytes, found %d: %w", f.name, f.size, p.size, io.ErrUnexpectedEOF)
	}
	return nil
}

// counted reports what is written.
type counted struct {
	*partial
	r *resolver
}

// Write implements io.Writer.
func (c counted) Write(b []byte) (int, error) {
	n, err := c.partial.Write(b)
	c.r.advance(int64(n))
	return n, err
}
