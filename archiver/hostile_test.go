package archiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// hostile is a store whose bodies fail and whose objects change while they are read.
type hostile struct {
	*store
	mu       sync.Mutex
	rng      *rand.Rand
	mishaps  int // left to happen
	changes  int // of objects, left to happen
	unsized  bool
	versions map[string][][]byte
	changed  map[string]bool
}

var errConnection = errors.New("connection reset by peer")

func (h *hostile) open(ctx context.Context, e Entry, from, n int64, etag string) (Object, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changes > 0 && h.rng.IntN(8) == 0 {
		h.changes--
		h.change(e.Key)
	}
	mishap := 0
	if h.mishaps > 0 && h.rng.IntN(2) == 0 {
		h.mishaps--
		mishap = 1 + h.rng.IntN(6)
	}
	if mishap == 1 {
		return Object{}, errConnection
	}
	obj, err := h.store.open(ctx, e, from, n, etag)
	if err != nil {
		return obj, err
	}
	if h.unsized {
		obj.Size = -1
	}
	obj.Body = newBody(obj.Body, mishap, h.rng.IntN(int(n)+1))
	return obj, nil
}

// change replaces, grows, shrinks or removes an object.
func (h *hostile) change(key string) {
	h.changed[key] = true
	old := h.objects[key].data
	var next []byte
	switch h.rng.IntN(4) {
	case 0:
		h.remove(key)
		return
	case 1:
		next = content(fmt.Sprint(key, h.changes), len(old))
	case 2:
		next = append(slices.Clone(old), "more"...)
	case 3:
		next = slices.Clone(old[:len(old)/2])
	}
	h.versions[key] = append(h.versions[key], next)
	h.put(key, next)
}

// body fails after some bytes, in the way that mishap says.
type body struct {
	io.ReadCloser
	mishap, left int
	once         sync.Once
	closed       chan struct{}
}

func newBody(r io.ReadCloser, mishap, after int) *body {
	return &body{ReadCloser: r, mishap: mishap, left: after, closed: make(chan struct{})}
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.ReadCloser.Close()
}

func (b *body) Read(p []byte) (int, error) {
	if b.mishap == 0 || len(p) == 0 {
		return b.ReadCloser.Read(p)
	}
	if b.left > 0 {
		n, err := b.ReadCloser.Read(p[:min(len(p), b.left, 1+b.left/2)])
		b.left -= n
		return n, err
	}
	switch b.mishap {
	case 2:
		return 0, errConnection
	case 3:
		return 0, io.EOF
	case 4, 5:
		<-b.closed // no byte comes
		return 0, errConnection
	default:
		b.mishap = 0
		return 0, nil
	}
}

// Whatever a source does, a build either fails or makes a ZIP in which every recording is complete
// and has the size of its entry, or is listed as missing.
func TestHostileSource(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			h := &hostile{
				store: newStore(), rng: rng, mishaps: rng.IntN(30), changes: rng.IntN(4), unsized: rng.IntN(4) == 0,
				versions: map[string][][]byte{}, changed: map[string]bool{},
			}
			entries := normalHour(h.store, 1+rng.IntN(20), 10+rng.IntN(3000))
			for _, e := range entries {
				h.versions[e.Key] = [][]byte{h.objects[e.Key].data}
			}
			cfg := Config{PartSize: int64(16 + rng.IntN(4000)), Buffers: 3 + rng.IntN(3), Gets: 1 + rng.IntN(8), Tries: 40}
			out := &sink{}
			r, err := Build(t.Context(), cfg, testHour, entries, h.open, out)
			switch {
			case errors.Is(err, ErrAllMissing):
				outcomes["all missing"]++
				for _, e := range entries {
					if !h.changed[e.Key] {
						t.Errorf("seed %d: %s never changed", seed, e.Key)
					}
				}
				return
			case err != nil:
				t.Fatalf("seed %d: %v", seed, err)
			}
			out.check(t)
			outcomes["built"]++
			outcomes["missing"] += len(r.Missing)
			outcomes["retries"] += int(r.Retries)
			h.verify(t, entries, r, out.zip)
		})
	}
	t.Log(outcomes)
	for _, o := range []string{"all missing", "built", "missing", "retries"} {
		if outcomes[o] == 0 {
			t.Errorf("no seed led to %q: %v", o, outcomes)
		}
	}
}

func (h *hostile) verify(t *testing.T, entries []Entry, r Result, zip []byte) {
	t.Helper()
	_, files := unzip(t, zip)
	missing := map[string]bool{}
	for _, m := range r.Missing {
		if !h.changed[m.Key] || m.Reason == "" {
			t.Errorf("%s is missing (%q), but never changed", m.Key, m.Reason)
		}
		missing[m.Key] = true
	}
	if r.Files+len(missing) != len(entries) || len(files) != r.Files+2 {
		t.Errorf("%d files and %d missing of %d entries", r.Files, len(missing), len(entries))
	}
	for _, e := range entries {
		if missing[e.Key] {
			continue
		}
		name := e.ExternalConversationID + "/" + e.SessionID + "/" + e.Key[len(e.Key)-len(lastPart(e.Key)):]
		got, ok := files[name]
		whole := slices.ContainsFunc(h.versions[e.Key], func(v []byte) bool { return bytes.Equal(v, got) })
		if !ok || !whole || int64(len(got)) != e.Size {
			t.Errorf("%s: in the ZIP %v, whole %v, %d bytes of %d", name, ok, whole, len(got), e.Size)
		}
	}
}

func lastPart(key string) string {
	i := len(key)
	for i > 0 && key[i-1] != '/' {
		i--
	}
	return key[i:]
}

func TestReasons(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 30, 2000)
	s.remove(entries[3].Key)
	s.remove(entries[27].Key)
	s.put(entries[5].Key, make([]byte, entries[5].Size+1))
	s.put(entries[7].Key, nil)
	s.put(entries[8].Key, content("other", int(entries[8].Size)))
	for _, cfg := range []Config{{PartSize: 500}, {}} {
		out := &sink{}
		r, err := Build(t.Context(), cfg, testHour, entries, s.open, out)
		if err != nil {
			t.Fatal(err)
		}
		want := []Missing{
			{entries[3].Key, 3, NotFound, nil},
			{entries[5].Key, 5, SizeChanged, nil},
			{entries[7].Key, 7, SizeChanged, nil},
			{entries[8].Key, 8, ChecksumMismatch, sumOf(content("other", int(entries[8].Size)))},
			{entries[27].Key, 27, NotFound, nil},
		}
		if !reflect.DeepEqual(r.Missing, want) {
			t.Errorf("missing: %+v", r.Missing)
		}
		// A wrong checksum is found only when the bytes are read, so it may need a restart of its
		// own.
		if out.begun != r.Restarts+1 || r.Restarts < 1 || r.Restarts > 2 {
			t.Errorf("%d restarts, begun %d times", r.Restarts, out.begun)
		}
	}
}

// One restart is enough for any number of missing recordings.
func TestOneRestartForAll(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 200, 500)
	for i, e := range entries {
		if i%3 == 0 {
			s.remove(e.Key)
		}
	}
	r, _ := buildZIP(t, Config{PartSize: 1000}, entries, s.open)
	if r.Restarts != 1 || len(r.Missing) != 67 || r.Files != 133 {
		t.Errorf("%d restarts, %d missing, %d files", r.Restarts, len(r.Missing), r.Files)
	}
}

func TestAllMissing(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 9, 500)
	for _, e := range entries {
		s.remove(e.Key)
	}
	_, err := Build(t.Context(), Config{}, testHour, entries, s.open, &sink{})
	var all *AllMissingError
	if !errors.As(err, &all) || !errors.Is(err, ErrAllMissing) || len(all.Missing) != 9 || all.Missing[8].Reason != NotFound {
		t.Errorf("error %v: %+v", err, all)
	}
}

// A build gives up on a source in which another recording is missing each time.
func TestUnstableSource(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 30, 100)
	out := &sink{}
	src := func(ctx context.Context, e Entry, from, n int64, etag string) (Object, error) {
		if n > 1 && e.MessageID == int64(29-out.begun) {
			return Object{}, ErrVanished
		}
		return s.open(ctx, e, from, n, etag)
	}
	_, err := Build(t.Context(), Config{Gets: 1}, testHour, entries, src, out)
	if !errors.Is(err, ErrUnstable) || out.begun != maxRestarts+1 {
		t.Errorf("error %v after %d begins", err, out.begun)
	}
}

func TestLastingErrorFailsTheBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		entries := normalHour(s, 5, 100)
		opened := 0
		src := func(ctx context.Context, e Entry, from, n int64, etag string) (Object, error) {
			if e.MessageID == 3 {
				opened++
				return Object{}, errConnection
			}
			return s.open(ctx, e, from, n, etag)
		}
		_, err := Build(t.Context(), Config{Tries: 4}, testHour, entries, src, &sink{})
		if !errors.Is(err, errConnection) || opened != 4 {
			t.Errorf("error %v after %d tries", err, opened)
		}
	})
}

// A build whose sink hangs fails with ErrStalled.
func TestIdleBuildFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		_, err := Build(t.Context(), Config{}, testHour, normalHour(s, 5, 100), s.open, hangingSink{})
		if !errors.Is(err, ErrStalled) {
			t.Errorf("error %v", err)
		}
	})
}

type hangingSink struct{}

func (hangingSink) Begin(context.Context, int64, int64, int) error { return nil }

func (hangingSink) Part(ctx context.Context, _ int, _ []byte, _ uint32) error {
	<-ctx.Done()
	return ctx.Err()
}

// Cancelling at any read ends the build with the context's error.
func TestCancel(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 20, 500)
	for at := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		reads := 0
		src := func(ctx context.Context, e Entry, from, n int64, etag string) (Object, error) {
			mu.Lock()
			defer mu.Unlock()
			if reads++; reads > at {
				cancel()
			}
			return s.open(ctx, e, from, n, etag)
		}
		_, err := Build(ctx, Config{PartSize: 400}, testHour, entries, src, &sink{})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at read %d: %v", at, err)
		}
	}
}
