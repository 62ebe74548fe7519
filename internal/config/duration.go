package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

var errDuration = errors.New("not a duration")

// ParseDuration reads a duration as Go writes it, optionally with days before it: 90s, 6h, 7d,
// 1d12h. A day is 24 h.
func ParseDuration(s string) (time.Duration, error) {
	head, tail, hasDays := strings.Cut(s, "d")
	if !hasDays {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, errDuration
		}
		return d, nil
	}
	days, err := strconv.ParseFloat(head, 64)
	if err != nil || math.IsNaN(days) || math.Abs(days) > float64(math.MaxInt64/day)-1 {
		return 0, errDuration
	}
	d := time.Duration(days * float64(day))
	if tail == "" {
		return d, nil
	}
	rest, err := time.ParseDuration(tail)
	if err != nil || rest < 0 || strings.HasPrefix(tail, "+") || rest >= day || days < 0 {
		return 0, errDuration
	}
	return d + rest, nil
}

// shortDuration prints d without zero units at the end: 6h, not 6h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// boundText prints a bound as it is written in the tag, and where days are in it in hours too:
// 7d (168h).
func boundText(written string, d time.Duration) string {
	if short := shortDuration(d); short != written && strings.Contains(written, "d") {
		return written + " (" + short + ")"
	}
	return written
}
