package web

import "time"

// The slowest that the other end may be. It has stallTimeout for each paceBytes, a little over 1 KiB/s,
// which counts only while it is waited for: a single byte now and then holds nothing open.
const (
	stallTimeout = 2 * time.Minute
	paceBytes    = 128 << 10
)

// Pace measures how fast the other end takes or gives. The zero Pace is one that begins.
type Pace struct {
	spent time.Duration // waiting, since that many bytes went
	bytes int
}

// Left is how long the next step may take.
func (p *Pace) Left() time.Duration { return stallTimeout - p.spent }

// Passed tells of a step.
func (p *Pace) Passed(n int, took time.Duration) {
	p.spent += took
	if p.bytes += n; p.bytes >= paceBytes {
		*p = Pace{}
	}
}
