package web

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// slowAfter is how long a client may take for paceBytes and keep its share when others want it:
// 64 KiB/s. It is not relative to other clients, so that fast ones need not end each other.
const slowAfter = 2 * time.Second

var errLostShare = fmt.Errorf("%w: others need its share of what is bounded", errClientGone)

// share is what a request has of something bounded: a place among the downloads, or memory. A nil
// share is never lost.
type share struct {
	size int64
	mu   *sync.Mutex // of what counts the shares; it guards what follows

	since     time.Time // when the wait for the client's current paceBytes began; zero outside of a wait
	interrupt func()    // ends the wait
	lost      bool
}

// wait begins a wait for the client. Error: errLostShare.
func (s *share) wait(since time.Time, interrupt func()) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return errLostShare
	}
	s.since, s.interrupt = since, interrupt
	return nil
}

// waited ends a wait.
func (s *share) waited() {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.since, s.interrupt = time.Time{}, nil
	}
}

// shares are what is counted, and for whom. The mutex of each share guards all of it.
type shares[T any] map[*share]T

// makeRoom says whether the shares that counts is true for are at most room together. When they are
// more, clients that are waited for lose theirs, the slowest first: those that are slow, and those
// that yields is true for. They lose nothing if all of it is not enough. A nil yields is never
// true.
func (all shares[T]) makeRoom(room int64, counts, yields func(T) bool) bool {
	var slow []*share
	for s, of := range all {
		if !counts(of) {
			continue
		}
		room -= s.size
		if !s.since.IsZero() && (time.Since(s.since) >= slowAfter || yields != nil && yields(of)) {
			slow = append(slow, s)
		}
	}
	slices.SortFunc(slow, func(a, b *share) int { return a.since.Compare(b.since) })
	n := 0
	for ; room < 0 && n < len(slow); n++ {
		room += slow[n].size
	}
	if room < 0 {
		return false
	}
	for _, s := range slow[:n] {
		delete(all, s)
		s.lost = true
		s.interrupt()
	}
	return true
}
