package domain

import (
	"fmt"
	"time"
)

// MaxTotal bounds a total, so that sums of totals fit 64 bits.
const MaxTotal = 1_000_000_000_000

// WholeDay stands for the hour of a total that counts a whole day.
const WholeDay = -1

// Total is how many recordings of a day, or of one of its hours, a platform's own records count.
type Total struct {
	Day        Day
	Hour       int // 0 to 23, or WholeDay
	Recordings int64
}

// Begins is when the day or hour of the total begins.
func (t Total) Begins() time.Time {
	return t.Day.Start().Add(time.Duration(max(t.Hour, 0)) * time.Hour)
}

// Scope names the day or hour of the total.
func (t Total) Scope() string {
	if t.Hour == WholeDay {
		return string(t.Day)
	}
	return fmt.Sprintf("%s %02d:00", t.Day, t.Hour)
}
