// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What counts where the environment says nothing; the same as in Hugging Face's own tools.
const (
	defaultEndpoint = "https://huggingface.co"
	defaultTimeout  = 10 * time.Second
	defaultPause    = 500 * time.Millisecond
)

// settings are options and environment taken together.
type settings struct {
	cache    string
	endpoint string // without a slash at its end
	token    string
	offline  bool
	timeout  time.Duration // of silence
	pause    time.Duration // before the first repetition of a request; it doubles
}

func (o *Options) settings() (s settings, err error) {
	home := homeFolder()
	if s.cache = cmp.Or(o.Cache, expand(os.Getenv("HF_HUB_CACHE"))); s.cache == "" {
		if home == "" {
			return s, errors.New("no home folder for the cache: set HF_HUB_CACHE")
		}
		s.cache = filepath.Join(home, "hub")
	}
	s.pause = cmp.Or(o.pause, defaultPause)
	s.offline = o.Offline || isTrue(os.Getenv("HF_HUB_OFFLINE"))
	s.endpoint = strings.TrimRight(cmp.Or(o.Endpoint, os.Getenv("HF_ENDPOINT"), defaultEndpoint), "/")
	u, err := url.Parse(s.endpoint)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return s, fmt.Errorf("HF_ENDPOINT: want an address such as %s, found %q", defaultEndpoint, s.endpoint)
	}
	if s.timeout, err = readTimeout(os.Getenv("HF_HUB_DOWNLOAD_TIMEOUT")); err != nil {
		return s, err
	}
	s.token, err = o.readToken(home)
	return s, err
}

// homeFolder is where Hugging Face's tools keep everything, or "" for a user without a home.
func homeFolder() string {
	if dir := expand(os.Getenv("HF_HOME")); dir != "" {
		return dir
	}
	if dir := expand(os.Getenv("XDG_CACHE_HOME")); dir != "" {
		return filepath.Join(dir, "huggingface")
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, ".cache", "huggingface")
}

// expand replaces a leading ~, which a shell leaves where the value is quoted.
func expand(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || (rest != "" && !os.IsPathSeparator(rest[0])) {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

func readTimeout(text string) (time.Duration, error) {
	if text == "" {
		return defaultTimeout, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0 && seconds < 1e6) {
		return 0, fmt.Errorf("HF_HUB_DOWNLOAD_TIMEOUT: want seconds, more than 0, found %q", text)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// readToken looks where Hugging Face's tools do; no token is fine.
func (o *Options) readToken(home string) (string, error) {
	if token := strings.TrimSpace(cmp.Or(o.Token, os.Getenv("HF_TOKEN"))); token != "" {
		return token, nil
	}
	path := expand(os.Getenv("HF_TOKEN_PATH"))
	if path == "" && home == "" {
		return "", nil
	}
	data, err := os.ReadFile(cmp.Or(path, filepath.Join(home, "token")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("token: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func isTrue(text string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(text))
}
