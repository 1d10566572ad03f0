// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock is both clocks at one moment.
type clock struct {
	wall time.Time
	cpu  time.Duration
}

func now() clock { return clock{time.Now(), processTime()} }

// since returns what has passed on both clocks.
func (c clock) since() Sample {
	cpu := processTime() - c.cpu
	return Sample{Wall: time.Since(c.wall), CPU: cpu}
}

// processTime is the processor time of all threads of this process; 0 where the system does not tell.
func processTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
