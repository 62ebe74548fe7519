package client

import (
	"fmt"
	"sync"

	humanize "github.com/dustin/go-humanize"
)

// minFree is how much a pull leaves free on the disk, in bytes.
const minFree = 64 << 20

// disk keeps the running downloads of a pull from filling the disk.
type disk struct {
	dir string

	mu      sync.Mutex
	running map[*part]struct{}
}

// reserve refuses a download for which the disk has no room beside those that run.
func (d *disk) reserve(p *part) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := int64(minFree)
	for other := range d.running {
		taken += other.left()
	}
	free, err := freeBytes(d.dir)
	if err != nil {
		return fmt.Errorf("ask how much the disk has free: %w", err)
	}
	if need, may := uint64(p.left()), free-min(free, uint64(taken)); need > may {
		return fmt.Errorf("%s has no room for it: it needs %s more, and may take %s of the %s that are free; make room", d.dir,
			humanize.IBytes(need), humanize.IBytes(may), humanize.IBytes(free))
	}
	d.running[p] = struct{}{}
	return nil
}

// release ends a reservation. What was written counts as used by then.
func (d *disk) release(p *part) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, p)
}
