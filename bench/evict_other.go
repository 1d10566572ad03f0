// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package bench

import "errors"

// evict is not known here.
func evict(string) error { return errors.ErrUnsupported }
