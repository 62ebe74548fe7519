package archiver

import (
	"context"
	"crypto/sha256"
)

// queueHash gives a segment that was read to the hashers, if all segments before it are hashed.
func (a *attempt) queueHash(ctx context.Context, s *segment) error {
	f := s.entryRead
	if f.segments > 1 {
		f.mu.Lock()
		f.ready[s.index] = s
		turn := f.next == s.index
		f.mu.Unlock()
		if !turn {
			return nil // the hasher of the segment before takes it
		}
	}
	select {
	case a.hashq <- s:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hasher hashes segments until there are no more. Readers do not wait for it, so that connections
// are not idle on a slow processor.
func (a *attempt) hasher(ctx context.Context) error {
	for {
		select {
		case s, ok := <-a.hashq:
			if !ok {
				return nil
			}
			a.hashFrom(s)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hashFrom hashes a segment and those after it that are ready.
func (a *attempt) hashFrom(s *segment) {
	f := s.entryRead
	if f.segments == 1 {
		f.item.sum = sha256.Sum256(s.data)
		a.hashed(s)
		a.summed(f.item)
		return
	}
	for s != nil {
		f.sha.Write(s.data)
		a.hashed(s)
		var all bool
		if s, all = f.nextSegment(); all {
			f.sha.Sum(f.item.sum[:0])
			a.summed(f.item)
		}
	}
}

// summed ends an item whose SHA-256 is computed, and compares it with what is known.
func (a *attempt) summed(it *item) {
	if known := it.entry.SHA256; !it.read || known != nil && *known != it.sum {
		a.otherBytes(it)
		a.void.Store(true)
	}
	a.itemDone()
}

func (a *attempt) hashed(s *segment) {
	a.progress.Add(1)
	a.userDone(s.part)
}

// nextSegment moves on to the next segment and returns it if it is ready. If it is not, its reader
// will queue it. all says that there are no more.
func (f *entryRead) nextSegment() (s *segment, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready[f.next] = nil
	f.next++
	if f.next == f.segments {
		return nil, true
	}
	return f.ready[f.next], false
}
