// SPDX-License-Identifier: Apache-2.0

package mapped

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
)

// Replace puts what write writes in place of the file at path, at once: others see the old file or the whole new one.
// After an error the old file is as it was and nothing is left beside it.
func Replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	// CreateTemp makes the file private; a model is data for everyone, as os.Create would make it but for the umask.
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
