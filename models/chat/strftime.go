// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"fmt"
	"strings"
	"time"
)

// strftime formats by C's directives in the C locale; an unknown directive stays as it is.
func strftime(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		plain := false
		if format[i] == '-' && i+1 < len(format) { // glibc: no padding
			plain = true
			i++
		}
		s := directive(t, format[i])
		if plain {
			s = unpad(s)
		}
		b.WriteString(s)
	}
	return b.String()
}

func unpad(s string) string {
	if short := strings.TrimLeft(s, "0 "); short != "" {
		return short
	}
	return "0"
}

func directive(t time.Time, c byte) string {
	if layout := layoutOf(c); layout != "" {
		return t.Format(layout)
	}
	switch c {
	case 'e':
		return fmt.Sprintf("%2d", t.Day())
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay())
	case 'f':
		return fmt.Sprintf("%06d", t.Nanosecond()/1000)
	case 'u':
		return fmt.Sprint((int(t.Weekday())+6)%7 + 1)
	case 'w':
		return fmt.Sprint(int(t.Weekday()))
	case 's':
		return fmt.Sprint(t.Unix())
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case '%':
		return "%"
	}
	return "%" + string(c)
}

// layoutOf is Go's layout for a directive that has one.
func layoutOf(c byte) string {
	switch c {
	case 'Y':
		return "2006"
	case 'y':
		return "06"
	case 'm':
		return "01"
	case 'B':
		return "January"
	case 'b', 'h':
		return "Jan"
	case 'd':
		return "02"
	case 'A':
		return "Monday"
	case 'a':
		return "Mon"
	case 'H':
		return "15"
	case 'I':
		return "03"
	case 'M':
		return "04"
	case 'S':
		return "05"
	case 'p':
		return "PM"
	case 'Z':
		return "MST"
	case 'z':
		return "-0700"
	case 'F':
		return "2006-01-02"
	case 'T', 'X':
		return "15:04:05"
	case 'D', 'x':
		return "01/02/06"
	case 'c':
		return "Mon Jan _2 15:04:05 2006"
	}
	return ""
}
