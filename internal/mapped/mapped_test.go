// SPDX-License-Identifier: Apache-2.0

package mapped

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	for name, want := range map[string][]byte{"empty": nil, "one byte": {7}, "more than a page": bytes.Repeat([]byte("abc"), 5000)} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(write(t, want))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(f.Bytes(), want) {
				t.Errorf("Bytes() has %d bytes, want %d", len(f.Bytes()), len(want))
			}
			f.Release(f.Bytes())
			f.Release(f.Bytes()[len(want)/2:])
			f.Release([]byte("of another file"))
			if !bytes.Equal(f.Bytes(), want) {
				t.Error("released bytes read otherwise")
			}
			if err := errors.Join(f.Close(), f.Close(), (*File)(nil).Close()); err != nil {
				t.Error(err)
			}
			if f.Bytes() != nil {
				t.Error("Bytes() after Close is not nil")
			}
		})
	}
}

// TestMapOutlivesRename reads an old file on while a new one stands in its place.
func TestMapOutlivesRename(t *testing.T) {
	path := write(t, []byte("old"))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = Replace(path, func(w io.Writer) error { _, err := w.Write([]byte("new, and longer")); return err })
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "new, and longer" || string(f.Bytes()) != "old" {
		t.Errorf("file %q, mapping %q, want new and old", got, f.Bytes())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing = %v", err)
	}
	var path *os.PathError
	if _, err := Open(dir); !errors.As(err, &path) || path.Path != dir {
		t.Errorf("Open of a folder = %v", err)
	}
}

// TestReplaceFails keeps the old file and leaves nothing beside it.
func TestReplaceFails(t *testing.T) {
	path := write(t, []byte("old"))
	broken := errors.New("broken")
	err := Replace(path, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("Replace = %v, want the writer's error", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if got, _ := os.ReadFile(path); string(got) != "old" || len(left) != 1 || err != nil {
		t.Errorf("file %q among %v, %v: want only the old one", got, left, err)
	}
	if err := Replace(filepath.Join(path, "x"), nil); err == nil {
		t.Error("Replace below a file: want an error")
	}
	if err := Replace(filepath.Dir(path), func(io.Writer) error { return nil }); err == nil {
		t.Error("Replace of a folder: want an error")
	}
}
