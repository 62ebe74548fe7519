package archiver

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	testDay  = time.Date(2025, 12, 12, 14, 0, 0, 0, time.UTC)
	testHour = Hour{Day: "2025-12-12", Hour: 14, GeneratedAt: time.Date(2025, 12, 13, 2, 15, 32, 987, time.UTC)}
)

// store is an object store in memory that behaves like S3.
type store struct {
	mu      sync.Mutex
	objects map[string]version
}

type version struct {
	data []byte
	etag string
}

func newStore() *store { return &store{objects: map[string]version{}} }

func (s *store) put(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = version{data, fmt.Sprintf("%q", fmt.Sprint(len(data), crc32.ChecksumIEEE(data)))}
}

func (s *store) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
}

func (s *store) open(_ context.Context, e Entry, from, n int64, etag string) (Object, error) {
	s.mu.Lock()
	v, ok := s.objects[e.Key]
	s.mu.Unlock()
	size := int64(len(v.data))
	switch {
	case !ok:
		return Object{}, fmt.Errorf("get %s: %w", e.Key, ErrVanished)
	case etag != "" && etag != v.etag:
		return Object{}, fmt.Errorf("get %s: 412: %w", e.Key, ErrChanged)
	case from == 0 && n == e.Size:
		return Object{Body: io.NopCloser(bytes.NewReader(v.data)), Size: size, ETag: v.etag}, nil
	case from >= size:
		return Object{}, fmt.Errorf("get %s: 416: %w", e.Key, ErrChanged)
	}
	part := v.data[from:min(from+n, size)]
	return Object{Body: io.NopCloser(bytes.NewReader(part)), Size: size, ETag: v.etag}, nil
}

// sink keeps the ZIP in memory and checks the parts that come.
type sink struct {
	mu       sync.Mutex
	begun    int
	zip      []byte
	partSize int64
	have     []bool
	problem  string
}

func (s *sink) Begin(_ context.Context, size, partSize int64, parts int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	s.zip, s.partSize, s.have = make([]byte, size), partSize, make([]bool, parts)
	return nil
}

func (s *sink) Part(_ context.Context, number int, data []byte, crc uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int64(number-1) * s.partSize
	switch {
	case number < 1 || number > len(s.have):
		s.problem = fmt.Sprintf("part %d of %d", number, len(s.have))
	case s.have[number-1]:
		s.problem = fmt.Sprintf("part %d came twice", number)
	case int64(len(data)) != min(s.partSize, int64(len(s.zip))-at):
		s.problem = fmt.Sprintf("part %d has %d bytes", number, len(data))
	case crc32.ChecksumIEEE(data) != crc:
		s.problem = fmt.Sprintf("part %d has another checksum", number)
	default:
		s.have[number-1] = true
		copy(s.zip[at:], data)
	}
	return nil
}

func (s *sink) check(t testing.TB) {
	t.Helper()
	if s.problem != "" {
		t.Fatal(s.problem)
	}
	for i, ok := range s.have {
		if !ok {
			t.Fatalf("part %d of %d never came", i+1, len(s.have))
		}
	}
}

// content returns n bytes that depend on the key.
func content(key string, n int) []byte {
	b := make([]byte, n)
	x := crc32.ChecksumIEEE([]byte(key)) | 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// add stores content under key and returns its entry. Entries with an even message id know their
// CRC-32.
func (s *store) add(conversation, session string, message int64, key string, size int) Entry {
	data := content(key, size)
	s.put(key, data)
	e := Entry{
		Key: key, ExternalConversationID: conversation, SessionID: session, MessageID: message,
		Type: "agent_tts", Timestamp: testDay.Add(time.Duration(message) * time.Second),
		Size: int64(size),
	}
	if message%2 == 0 {
		sum := crc32.ChecksumIEEE(data)
		e.CRC32 = &sum
	}
	return e
}

// normalHour stores recordings in sessions of five.
func normalHour(s *store, files, size int) []Entry {
	entries := make([]Entry, 0, files)
	for i := range files {
		session := fmt.Sprintf("session-%d", i/5)
		key := fmt.Sprintf("va/tenant/project/conversations/%d/message_%d_agent_tts.opus", i/5, i)
		entries = append(entries, s.add(fmt.Sprintf("conv-%d", i/10), session, int64(i), key, size+i%7))
	}
	return entries
}

// buildZIP builds into memory and checks that all parts came.
func buildZIP(t testing.TB, cfg Config, entries []Entry, src Source) (Result, []byte) {
	t.Helper()
	out := &sink{}
	r, err := Build(t.Context(), cfg, testHour, entries, src, out)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	out.check(t)
	if r.Size != int64(len(out.zip)) || r.CRC32 != crc32.ChecksumIEEE(out.zip) || r.Parts != len(out.have) {
		t.Fatalf("result %+v does not describe the %d bytes in %d parts", r, len(out.zip), len(out.have))
	}
	return r, out.zip
}

// unzip reads a ZIP with the standard library, and gives the bytes of all entries by name.
func unzip(t testing.TB, b []byte) (names []string, files map[string][]byte) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatalf("open zip: %v", err)
	}
	files = map[string][]byte{}
	for _, f := range r.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatalf("open %q: %v", f.Name, err)
		}
		data, err := io.ReadAll(rc) // checks the CRC-32
		if err != nil {
			t.Fatalf("read %q: %v", f.Name, err)
		}
		if _, twice := files[f.Name]; twice || f.Method != zip.Store || f.Flags&8 != 0 {
			t.Fatalf("entry %q: twice %v, method %d, flags %x", f.Name, twice, f.Method, f.Flags)
		}
		names = append(names, f.Name)
		files[f.Name] = data
	}
	return names, files
}

// longKey makes an object key whose last part has n bytes.
func longKey(n int) string { return "a/" + strings.Repeat("x", n-5) + ".opus" }
