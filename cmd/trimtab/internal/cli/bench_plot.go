// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/bench"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/chart"
)

// drawReport draws every comparison of a report into files of a folder, which is made where it is absent.
func drawReport(folder string, r *bench.Report) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("bench: plot: %w", err)
	}
	for i := range r.Sections {
		s := &r.Sections[i]
		var rows []chart.Ratio
		for _, x := range s.Results {
			rows = append(rows, chart.Ratio{Name: x.Name, Value: x.Ratio, Low: x.Interval[0], High: x.Interval[1]})
		}
		for _, ending := range []string{".png", ".svg"} {
			path := filepath.Join(folder, string(s.Suite)+"-"+fileName(s.Title)+ending)
			if err := chart.Ratios(path, s.Title, fmt.Sprintf("%s time, as a ratio to %s", s.Clock, s.Results[0].Name), rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileName makes words of letters and digits, with - between them, of a title.
func fileName(title string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') }), "-")
}
