package archiver

import (
	"context"
	"crypto/sha256"
)

// queueHash gives a span that was read to the hashers, when its turn has come.
func (a *attempt) queueHash(ctx context.Context, s *span) error {
	f := s.flight
	if f.spans > 1 {
		f.mu.Lock()
		f.ready[s.index] = s
		turn := f.next == s.index
		f.mu.Unlock()
		if !turn {
			return nil // the hasher of the span before takes it
		}
	}
	select {
	case a.hashq <- s:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hasher hashes spans until there are no more. It needs neither a read slot
// nor a reader, so a slow processor never keeps connections waiting.
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

// hashFrom hashes a span and those after it that are ready.
func (a *attempt) hashFrom(s *span) {
	f := s.flight
	if f.spans == 1 {
		f.item.sum = sha256.Sum256(s.data)
		a.hashed(s)
		a.settle()
		return
	}
	for s != nil {
		f.sha.Write(s.data)
		a.hashed(s)
		var all bool
		if s, all = f.following(); all {
			f.sha.Sum(f.item.sum[:0])
			a.settle()
		}
	}
}

func (a *attempt) hashed(s *span) {
	a.progress.Add(1)
	a.released(s.part)
}

// following moves on to the next span and returns it if it is ready. Otherwise
// the reader that brings it will queue it, unless all are hashed.
func (f *flight) following() (s *span, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready[f.next] = nil
	f.next++
	if f.next == f.spans {
		return nil, true
	}
	return f.ready[f.next], false
}
