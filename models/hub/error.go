// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/dustin/go-humanize"
)

// NotFoundError says that a name means nothing here or on the server. It is an [fs.ErrNotExist].
type NotFoundError struct {
	What string // what there is none of, and what to do
}

func (e *NotFoundError) Error() string { return "no such " + e.What }

func (e *NotFoundError) Unwrap() error { return fs.ErrNotExist }

// ChoiceError says that a name means none or several of a repository's GGUF files or ONNX exports.
type ChoiceError struct {
	Repo  string
	Want  string // what was asked for; "" where nothing was
	Kind  string // what Found lists: GGUF file or ONNX export
	Found []string
}

// listed is how many files an error lists.
const listed = 40

func (e *ChoiceError) Error() string {
	files := e.Found
	more := ""
	if len(files) > listed {
		more = fmt.Sprintf(" and %d more", len(files)-listed)
		files = files[:listed]
	}
	list := strings.Join(files, ", ") + more
	switch {
	case len(e.Found) == 0 && e.Want == "":
		return "want config.json with model.safetensors or its index, a GGUF file or an ONNX export, found none"
	case len(e.Found) == 0:
		return fmt.Sprintf("want a GGUF file or ONNX export %q, found none", e.Want)
	case e.Want == "":
		return fmt.Sprintf("want one of several %ss named, as in %s:%s, found %s", e.Kind, e.Repo, e.Found[0], list)
	}
	return fmt.Sprintf("want one %s for %q, found %s", e.Kind, e.Want, list)
}

// AccessError says that the server refuses a model to this user.
type AccessError struct {
	Status int    // 401 or 403
	Gated  bool   // the owner lets those in who accept terms
	Token  bool   // one was sent
	Page   string // the model's page
}

func (e *AccessError) Error() string {
	var advice string
	switch {
	case e.Gated && e.Token:
		advice = "its owner wants terms accepted: do so at " + e.Page + " with the account of your token, and see that the token may read gated models"
	case e.Gated:
		advice = "its owner wants terms accepted: do so at " + e.Page + ", then set HF_TOKEN to a token of your account"
	case e.Token:
		advice = "the token may not read it: check HF_TOKEN, and whether its account may open " + e.Page
	default:
		advice = "there is no such model, or a private one: check the name, and set HF_TOKEN to a token that may read it"
	}
	return fmt.Sprintf("access refused with status %d: %s", e.Status, advice)
}

// OfflineError says that a model is not whole in the cache and that requests are forbidden.
type OfflineError struct {
	Cache   string
	Missing string
}

func (e *OfflineError) Error() string {
	return fmt.Sprintf("%s is not in the cache %s, and HF_HUB_OFFLINE forbids to download it: set HF_HUB_OFFLINE=0, or HF_HUB_CACHE to where it is", e.Missing, e.Cache)
}

// ChecksumError says that a download came through whole and wrong; nothing of it was kept.
type ChecksumError struct {
	File  string
	Want  string // a SHA-256 or a size
	Found string
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("download %s: want %s, found %s: nothing was kept, try again", e.File, e.Want, e.Found)
}

// SpaceError says that the cache's disk is too small for a download.
type SpaceError struct {
	Cache string
	Need  int64 // bytes that are still to come
	Free  int64 // bytes; less than 0 where it is unknown
	Err   error // of the write that failed, or nil where none was tried
}

func (e *SpaceError) Error() string {
	free := "too little"
	if e.Free >= 0 {
		free = humanize.IBytes(uint64(e.Free))
	}
	return fmt.Sprintf("no space in the cache %s: want %s free, found %s: make room, or set HF_HUB_CACHE to a folder on a larger disk",
		e.Cache, humanize.IBytes(uint64(e.Need)), free)
}

func (e *SpaceError) Unwrap() error { return e.Err }

// statusError is an answer that no other error tells better.
type statusError struct {
	method, url, status string
	code                int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: want status 200, found %s", e.method, e.url, e.status)
}
