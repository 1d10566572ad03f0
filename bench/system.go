// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"os"
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

// memory returns this process's resident memory and its highest so far, in MB; 0 where the system does not tell.
func memory() (now, peak float64) {
	return megabytes(field("/proc/self/status", "VmRSS:")), megabytes(field("/proc/self/status", "VmHWM:"))
}

func megabytes(kB string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSuffix(kB, " kB"), 64)
	if err != nil {
		return 0
	}
	return n * 1024 / 1e6
}
