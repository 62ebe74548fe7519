package web

import "time"

// The other end must transfer paceBytes within StallTimeout, a little over 1 KiB/s. Only the time
// counts in which this side waits. A single byte now and then keeps no connection open.
const (
	StallTimeout = 2 * time.Minute
	paceBytes    = 128 << 10
)

// Pace measures how fast the other end sends or receives. Its zero value is ready to use.
type Pace struct {
	spent time.Duration // time waited for the current paceBytes
	bytes int           // how many of these were transferred
}

// Left is how long the next Read or Write may take.
func (p *Pace) Left() time.Duration { return StallTimeout - p.spent }

// Count adds a Read or Write of n bytes that took so long.
func (p *Pace) Count(n int, took time.Duration) {
	p.spent += took
	p.bytes += n
	if p.bytes >= paceBytes {
		*p = Pace{}
	}
}
