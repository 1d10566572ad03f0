// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// patience is how long work may take before a bar appears.
const patience = 2 * time.Second

// counting returns a progress function that draws a bar on a terminal once the work has taken longer than patience.
func counting(w io.Writer, what string, more ...progressbar.Option) func(done, total int64) {
	if !terminal(w) {
		return func(int64, int64) {}
	}
	start := time.Now()
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		if bar == nil && (time.Since(start) < patience || done == total) {
			return
		}
		if bar == nil {
			options := []progressbar.Option{
				progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
				progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
			}
			bar = progressbar.NewOptions64(total, append(options, more...)...)
		}
		_ = bar.Set64(done) // a bar that cannot be drawn is no reason to stop
	}
}
