package web

import "time"

// The slowest that the other end may be. It has stallTimeout for each paceBytes, a little over 1 KiB/s,
// which counts only while it is waited for: a single byte now and then holds nothing open.
const (
	stallTimeout = 2 * time.Minute
	paceBytes    = 128 << 10
)

// pace measures how fast the other end takes or gives.
type pace struct {
	spent time.Duration // waiting, since that many bytes went
	bytes int
}

// left is how long the next step may take.
func (p *pace) left() time.Duration { return stallTimeout - p.spent }

// passed tells of a step.
func (p *pace) passed(n int, took time.Duration) {
	p.spent += took
	if p.bytes += n; p.bytes >= paceBytes {
		*p = pace{}
	}
}
