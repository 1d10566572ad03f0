// SPDX-License-Identifier: Apache-2.0

package ort

import "fmt"

// Error is what ONNX Runtime said of a call that failed.
type Error struct {
	Code    int // OrtErrorCode
	Doing   string
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("ort: %s: %s (code %d)", e.Doing, e.Message, e.Code)
}

// Provider names an execution provider of ONNX Runtime, such as CUDA, with settings as its documentation lists them.
type Provider struct {
	Name     string
	Settings map[string]string
}
