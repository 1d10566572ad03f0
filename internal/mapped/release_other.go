// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin

package mapped

// Release does nothing here: the file was read, not mapped.
func (f *File) Release([]byte) {}
