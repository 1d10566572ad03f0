// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Most is the largest number of entries that a mask is read with: more than any model has experts.
const Most = 1 << 20

// Parse reads a mask as String prints it: off-drop=3/17,5/2 or scale*0.5=3/17, several with semicolons between them. A layer may be negative.
func Parse(text string) (Mask, error) {
	var out Mask
	for part := range strings.SplitSeq(text, ";") {
		head, list, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found {
			return nil, fmt.Errorf("experts: mask %q: want MODE=LAYER/EXPERT,..., found no =", part)
		}
		mode, value, err := parseHead(head)
		if err != nil {
			return nil, err
		}
		for name := range strings.SplitSeq(list, ",") {
			e, err := ParseExpert(strings.TrimSpace(name))
			if err != nil {
				return nil, err
			}
			if len(out) == Most {
				return nil, fmt.Errorf("experts: mask: want at most %d experts", Most)
			}
			out = append(out, Entry{e, mode, value})
		}
	}
	return out, nil
}

func parseHead(head string) (Mode, float32, error) {
	name, factor, found := strings.Cut(head, "*")
	mode, err := ParseMode(strings.TrimSpace(name))
	switch {
	case err != nil:
		return "", 0, err
	case found != (mode == Scale):
		return "", 0, fmt.Errorf("experts: mask %q: want a factor behind scale, as in scale*0.5, and behind no other mode", head)
	case !found:
		return mode, 0, nil
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(factor), 32)
	if err != nil || !validFactor(f) {
		return "", 0, fmt.Errorf("experts: mask %q: want a finite factor of at least 0, found %q", head, factor)
	}
	return mode, float32(f), nil
}

func validFactor(f float64) bool { return f >= 0 && !math.IsInf(f, 0) }

// ParseExpert reads LAYER/EXPERT.
func ParseExpert(text string) (Expert, error) {
	layer, expert, found := strings.Cut(text, "/")
	l, err1 := strconv.ParseInt(layer, 10, 32)
	e, err2 := strconv.ParseUint(expert, 10, 31)
	if !found || err1 != nil || err2 != nil {
		return Expert{}, fmt.Errorf("experts: want LAYER/EXPERT such as 3/17, found %q", text)
	}
	return Expert{int(l), int(e)}, nil
}
