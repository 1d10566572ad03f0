// SPDX-License-Identifier: Apache-2.0

// Package hub turns the name of a model into a path: [Resolve] finds it on disk, in the cache that Hugging Face's tools share, or downloads it into that cache.
//
// # Terminology
//
// A repository is a model's folder on the Hub, named org/name. A revision is a branch, a tag or a commit of it; a snapshot is the cache's folder of one commit,
// whose files are links to blobs, named for their contents. The layout is that of https://huggingface.co/docs/hub/local-cache, so that other tools read
// what is downloaded here, and the other way round.
//
// # Environment
//
// HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME place the cache; HF_ENDPOINT names the server, HF_TOKEN or the file HF_TOKEN_PATH holds the token;
// HF_HUB_OFFLINE=1 forbids requests; HF_HUB_DOWNLOAD_TIMEOUT is how many seconds the server may be silent.
package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"
)

// Options change how a name is resolved. The zero value goes by the environment.
type Options struct {
	Cache    string                  // folder of the cache; "" is that of the environment
	Endpoint string                  // address of the server; "" is HF_ENDPOINT, or else https://huggingface.co
	Token    string                  // sent to the endpoint only, never to where it redirects; "" is that of the environment
	Offline  bool                    // makes no request, as HF_HUB_OFFLINE=1
	Progress func(done, total int64) // is told the bytes of the files that are downloaded, on the goroutine of Resolve; may be nil

	pause time.Duration // before the first repetition of a request; 0 is defaultPause
}

// resolver is one call of Resolve.
type resolver struct {
	ref
	store
	*client
	report   func(done, total int64) // as the caller wants it
	progress func(done, total int64) // of the files at hand; nil for those that only tell which others there are
	done     int64                   // bytes
	total    int64
}

// Resolve returns the path of the model that name means: a file or folder as it is; or org/name, org/name@revision, org/name:FILE.gguf, org/name:Q4_K_M, with
// an optional hf.co/ before it, from the cache or by download. A model with safetensors is the folder of its snapshot; of several GGUF files one must be
// named, unless just one is in the cache. A repository that has neither may have ONNX exports: the usual file of the snapshot or of its folder onnx, or a folder
// with a genai_config.json; org/name:q4 and org/name:FOLDER name others. What the cache holds whole costs no request, so that a branch stays at the commit it had.
//
// Errors are [NotFoundError], [ChoiceError], [AccessError], [OfflineError], [ChecksumError] and [SpaceError] where a caller may do something about it. A download that ended
// early goes on where it was at the next call.
func Resolve(ctx context.Context, name string, o Options) (string, error) {
	_, err := os.Stat(name)
	if err == nil {
		return name, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("hub: %w", err)
	}
	ref, err := parse(name)
	if err != nil {
		return "", fmt.Errorf("hub: %s: %w", name, err)
	}
	s, err := o.settings()
	if err != nil {
		return "", fmt.Errorf("hub: %w", err)
	}
	r := &resolver{ref: ref, store: newStore(s.cache, ref.repo), client: newClient(s), report: o.Progress}
	defer r.client.close()
	path, err := r.resolve(ctx)
	if err != nil {
		return "", fmt.Errorf("hub: %s: %w", name, err)
	}
	return path, nil
}

func (r *resolver) resolve(ctx context.Context) (string, error) {
	path, full, err := r.cached()
	if full {
		return path, nil
	}
	if r.offline {
		return path, err
	}
	found, err := r.download(ctx)
	var network *url.Error
	if path != "" && ctx.Err() == nil && errors.As(err, &network) {
		return path, nil // what is there runs; what may be missing cannot be had now
	}
	return found, err
}
