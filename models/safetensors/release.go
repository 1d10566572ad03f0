// SPDX-License-Identifier: Apache-2.0

package safetensors

// Release tells the system that data, a tensor's or a part of one, will hardly be read again, so that it need not stay in memory; reading it is still right.
func (f *File) Release(data []byte) {
	for _, m := range f.maps {
		m.Release(data)
	}
}

// ReleaseAll is Release of everything.
func (f *File) ReleaseAll() {
	for _, m := range f.maps {
		m.Release(m.Bytes())
	}
}
