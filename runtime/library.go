// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// LibraryVariable is the environment variable that names ONNX Runtime's shared library.
const LibraryVariable = "TRIMTAB_ONNXRUNTIME"

// FindLibrary returns the path of ONNX Runtime's shared library: what LibraryVariable names, else the newest below .trimtab/lib of the working
// folder, of the executable's folder or of a folder above either, else what the system's loader finds under the usual name.
func FindLibrary() (string, error) {
	if p := os.Getenv(LibraryVariable); p != "" {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("runtime: find ONNX Runtime: %s: %w", LibraryVariable, err)
		}
		return p, nil
	}
	var tried []string
	for _, start := range startFolders() {
		for dir := start; ; dir = filepath.Dir(dir) {
			if p := newest(filepath.Join(dir, ".trimtab", "lib")); p != "" {
				return p, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
		tried = append(tried, start)
	}
	for _, dir := range []string{"/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/opt/homebrew/lib"} {
		if p := newest(dir); p != "" {
			return p, nil
		}
		tried = append(tried, dir)
	}
	return "", fmt.Errorf("runtime: find ONNX Runtime: no shared library in .trimtab/lib of or above, nor in: %s; run make setup, or set %s to the library's path",
		strings.Join(tried, ", "), LibraryVariable)
}

func startFolders() []string {
	var out []string
	if wd, err := os.Getwd(); err == nil {
		out = append(out, wd)
	}
	if exe, err := os.Executable(); err == nil {
		out = append(out, filepath.Dir(exe))
	}
	return out
}

// newest returns the last library in the folder by name, which for versions of one length is the newest.
func newest(dir string) string {
	var best string
	for _, pattern := range []string{"libonnxruntime.so*", "libonnxruntime*.dylib"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is constant and well-formed
		for _, p := range found {
			if !strings.HasSuffix(p, ".sha256") {
				best = max(best, p)
			}
		}
	}
	return best
}
