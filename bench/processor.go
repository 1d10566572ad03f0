// SPDX-License-Identifier: Apache-2.0

package bench

import "time"

// ProcessorTime returns the processor time that all threads of this process have taken so far, 0 where the system does not tell.
func ProcessorTime() time.Duration { return processTime() }
