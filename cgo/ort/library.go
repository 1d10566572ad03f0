// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort

// #cgo CFLAGS: -O3 -std=gnu11 -Wall
// #cgo LDFLAGS: -lm
// #include "session.h"
// #include "ops.h"
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// loaded is the one library of the process: the operators registered with it are process-wide too.
var loaded struct {
	sync.Mutex
	path    string
	version string
}

// Load opens the shared library at path and returns its version. A process holds one library: a second Load of the same path is free, of another an error.
func Load(path string) (version string, err error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.version != "" {
		if loaded.path != path {
			return "", fmt.Errorf("ort: load %s: this process already runs %s", path, loaded.path)
		}
		return loaded.version, nil
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return "", fmt.Errorf("ort: load %s: %w", path, err)
	}
	base, err := purego.Dlsym(handle, "OrtGetApiBase")
	if err != nil {
		return "", fmt.Errorf("ort: load %s: not an ONNX Runtime library: %w", path, err)
	}
	var text *C.char
	bad := C.tt_load(*(*unsafe.Pointer)(unsafe.Pointer(&base)), &text)
	version = C.GoString(text)
	if bad != 0 {
		return "", fmt.Errorf("ort: load %s: want API version %d or newer, found ONNX Runtime %s", path, C.TT_API_VERSION, version)
	}
	if err := take(C.tt_start(), "start "+path); err != nil {
		return "", err
	}
	loaded.path, loaded.version = path, version
	return version, nil
}

// ready is an error before Load.
func ready(doing string) error {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.version == "" {
		return fmt.Errorf("ort: %s: no library is loaded", doing)
	}
	return nil
}

// take turns a status into an error; NULL is success.
func take(st *C.OrtStatus, doing string) error {
	if st == nil {
		return nil
	}
	var buf [1024]C.char
	code := C.tt_status_take(st, &buf[0], C.size_t(len(buf)))
	return &Error{Code: int(code), Doing: doing, Message: C.GoString(&buf[0])}
}

// UseKernels gives the operators Linear and Row their products: the address that kernels.Table returns. It must come before the first session.
func UseKernels(table unsafe.Pointer) error {
	if C.tt_use_kernels(table) != 0 {
		return fmt.Errorf("ort: register kernels: the table's layout is another one than this package was built with")
	}
	return nil
}
