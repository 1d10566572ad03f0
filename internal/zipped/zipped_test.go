// SPDX-License-Identifier: Apache-2.0

package zipped

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func archive(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, name := range names {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: []uint16{zip.Store, zip.Deflate}[i%2]})
		if err == nil {
			_, err = w.Write([]byte("content of " + name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "x.zip")
	if err := errors.Join(z.Close(), os.WriteFile(path, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBytes(t *testing.T) {
	f, err := Open(archive(t, "stored", "deflated"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range f.Names {
		if got, err := f.Bytes(name); err != nil || string(got) != "content of "+name {
			t.Errorf("Bytes(%s) = %q, %v", name, got, err)
		}
	}
	if _, err := f.Bytes("other"); f.Has("other") || err == nil {
		t.Errorf("Bytes(other) = %v, want an error", err)
	}
	if err := errors.Join(f.Close(), f.Close(), (*File)(nil).Close()); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	if _, err := Open(archive(t, "a", "a")); err == nil || !strings.Contains(err.Error(), `"a" twice`) {
		t.Errorf("Open of a name twice = %v", err)
	}
	path := archive(t, "a")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if err := os.WriteFile(path, data[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if f, err := Open(path); err == nil {
			if _, err := f.Bytes("a"); err == nil {
				t.Errorf("%d of %d bytes: nil, want an error", n, len(data))
			}
			_ = f.Close()
		}
	}
}
