// SPDX-License-Identifier: Apache-2.0

package kernels

import "golang.org/x/sys/unix"

// Huge pages save address translations, 0.4 ms of a token of SmolLM2; a kernel without them refuses, which does no harm.
func askHugePages(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
