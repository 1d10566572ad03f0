// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort

// Unload makes the package forget its library, so that a test sees what comes before Load; the library itself stays in the process.
func Unload() (restore func()) {
	loaded.Lock()
	defer loaded.Unlock()
	path, version := loaded.path, loaded.version
	loaded.path, loaded.version = "", ""
	return func() { loaded.path, loaded.version = path, version }
}

// ForgetTappers puts the list back to what it is before the first Register.
func ForgetTappers() (restore func()) {
	held := tappers.list.Swap(nil)
	return func() { tappers.list.Store(held) }
}
