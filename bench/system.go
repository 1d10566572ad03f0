// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// field returns the rest of the first line of a file below /proc that begins with key, or "" where the system has no such file.
func field(file, key string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), key); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:"))
		}
	}
	return ""
}

func processor() string { return field("/proc/cpuinfo", "model name") }

// usage is what a process holds in memory, in units of 1,024 bytes; zeros where the system does not tell.
type usage struct {
	Resident  float64 `json:"resident"`
	Anonymous float64 `json:"anonymous"` // what has no file behind it: the rest of what is resident has
}

// memoryNow is this process's.
func memoryNow() usage {
	const rollup = "/proc/self/smaps_rollup"
	return usage{kilobytes(field(rollup, "Rss:")), kilobytes(field(rollup, "Anonymous:"))}
}

// memoryPeak is the most that this process has held so far.
func memoryPeak() float64 { return kilobytes(field("/proc/self/status", "VmHWM:")) }

func kilobytes(text string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	if err != nil {
		return 0
	}
	return n
}

// mb makes MB of units of 1,024 bytes.
func mb(kilobytes float64) float64 { return kilobytes * 1024 / 1e6 }

// native is this process's memory that neither a file nor Go has, in MB; 0 where the system does not tell. Go gives back what it does not use first.
func native() float64 {
	debug.FreeOSMemory()
	anonymous := memoryNow().Anonymous
	if anonymous == 0 {
		return 0
	}
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return mb(anonymous) - float64(m.Sys-m.HeapReleased)/1e6
}

// readFromDisk is what this process has read from a disk so far, in MB; 0 where the system does not tell.
func readFromDisk() float64 {
	n, err := strconv.ParseFloat(field("/proc/self/io", "read_bytes:"), 64)
	if err != nil {
		return 0
	}
	return n / 1e6
}
