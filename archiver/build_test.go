package archiver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMetadataGolden(t *testing.T) {
	s := newStore()
	entries := []Entry{
		s.add("conv-123", "session-456", 789, "knovvu-va/tenant/project/conversations/1/message_789_agent_tts.opus", 45000),
		s.add("conv-123", "session-456", 790, "knovvu-va/tenant/project/conversations/1/message_790_user.opus", 1200),
		s.add(`conv "β" <1>`, "session-1", 3, "a/MESSAGE\u2028.opus", 0),
		s.add("conv-9", "session-9", 4, "a/gone.opus", 10),
		s.add("conv-9", "session-9", 5, "a/grown.opus", 10),
	}
	golden(t, "metadata.json", s, entries)
	s.remove("a/gone.opus")
	s.put("a/grown.opus", make([]byte, 11))
	golden(t, "metadata_missing.json", s, entries)
}

// Two sessions with the same id in different conversations are two sessions.
func TestSessionsArePairs(t *testing.T) {
	s := newStore()
	r, b := buildZIP(t, Config{}, []Entry{s.add("conv-1", "0", 1, "a/1", 1), s.add("conv-2", "0", 2, "a/2", 1), s.add("conv-2", "0", 3, "a/3", 1)}, s.open)
	_, files := unzip(t, b)
	var meta struct {
		TotalSessions int
		Sessions      []struct{ ExternalConversationID, SessionID string }
	}
	if err := json.Unmarshal(files[metadataName], &meta); err != nil {
		t.Fatal(err)
	}
	want := []domain.Session{{ExternalConversationID: "conv-1", SessionID: "0"}, {ExternalConversationID: "conv-2", SessionID: "0"}}
	if meta.TotalSessions != 2 || len(meta.Sessions) != 2 || !slices.Equal(r.Sessions, want) {
		t.Errorf("metadata.json %+v, result %v", meta, r.Sessions)
	}
}

func golden(t *testing.T, name string, s *store, entries []Entry) {
	t.Helper()
	_, b := buildZIP(t, Config{}, entries, s.open)
	_, files := unzip(t, b)
	got := files[metadataName]
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || !json.Valid(got) {
		t.Errorf("metadata.json differs from %s:\n%s", path, got)
	}
}

func TestContents(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 23, 1000)
	slices.Reverse(entries)
	r, b := buildZIP(t, Config{PartSize: 4096}, entries, s.open)
	names, files := unzip(t, b)
	if names[0] != metadataName || names[len(names)-1] != sumsName || len(names) != 25 {
		t.Fatalf("entries: %q", names)
	}
	if names[1] != "conv-0/session-0/message_0_agent_tts.opus" || names[23] != "conv-2/session-4/message_22_agent_tts.opus" {
		t.Errorf("order: %q", names)
	}
	var sums strings.Builder
	for _, n := range names[:24] {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[n]), n)
	}
	if string(files[sumsName]) != sums.String() {
		t.Errorf("SHA256SUMS:\n%s\nwant:\n%s", files[sumsName], sums.String())
	}
	manifest := sha256.Sum256(files[sumsName])
	if r.ManifestSHA256 != hex.EncodeToString(manifest[:]) || r.Files != 23 || len(r.Sessions) != 5 || r.Missing != nil {
		t.Errorf("result: %+v", r)
	}
	for _, e := range entries {
		name := fmt.Sprintf("%s/%s/%s", e.ExternalConversationID, e.SessionID, filepath.Base(e.Key))
		if !bytes.Equal(files[name], s.objects[e.Key].data) {
			t.Errorf("%s has other bytes", name)
		}
	}
}

// Entries of the same time are sorted by session, message, type and key.
func TestOrder(t *testing.T) {
	at := testDay
	want := []Entry{
		{Timestamp: at, SessionID: "a", MessageID: 2, Type: "x", Key: "1"},
		{Timestamp: at, SessionID: "a", MessageID: 10, Type: "a", Key: "2"},
		{Timestamp: at, SessionID: "a", MessageID: 10, Type: "b", Key: "0"},
		{Timestamp: at, SessionID: "a", MessageID: 10, Type: "b", Key: "1"},
		{Timestamp: at, SessionID: "b", MessageID: 1, Type: "a", Key: "0"},
		{Timestamp: at.Add(time.Microsecond), SessionID: "a", MessageID: 1, Type: "a", Key: "0"},
	}
	shuffled := []Entry{want[4], want[3], want[5], want[2], want[0], want[1]}
	for i, e := range sortEntries(shuffled) {
		if *e != want[i] {
			t.Errorf("place %d: %+v", i, *e)
		}
	}
}

func TestSameBytesWhateverTheConfig(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 40, 300)
	entries = append(entries, s.add("big", "big", 1, "k/big.opus", 90_000), s.add("big", "big", 2, "k/empty.opus", 0))
	_, want := buildZIP(t, Config{}, entries, s.open)
	negative := Config{PartSize: -1, Buffers: -1, Gets: -1, MaxSize: -1, Tries: -1, Stall: -1, Idle: -1, Backoff: -1}
	if r, got := buildZIP(t, negative, entries, s.open); !bytes.Equal(got, want) || r.PartSize != DefaultPartSize {
		t.Errorf("negative fields give other bytes, in parts of %d", r.PartSize)
	}
	for partSize := int64(16); partSize < 2000; partSize = partSize*5/4 + 1 {
		for _, buffers := range []int{3, 7} {
			for _, gets := range []int{1, 8} {
				cfg := Config{PartSize: partSize, Buffers: buffers, Gets: gets}
				slices.Reverse(entries)
				if _, got := buildZIP(t, cfg, entries, s.open); !bytes.Equal(got, want) {
					t.Fatalf("%+v gives other bytes", cfg)
				}
			}
		}
	}
}

// Headers are at every position relative to the ends of parts. One entry is larger than all buffers
// together.
func TestStraddlingHeaders(t *testing.T) {
	s := newStore()
	entries := []Entry{s.add("c", "s", 1, "k/a", 1000), s.add("c", "s", 2, "k/b", 5000), s.add("c", "s", 3, "k/c", 7)}
	_, want := buildZIP(t, Config{}, entries, s.open)
	for partSize := int64(16); partSize < 400; partSize++ {
		cfg := Config{PartSize: partSize, Buffers: 3, Gets: 2}
		if _, got := buildZIP(t, cfg, entries, s.open); !bytes.Equal(got, want) {
			t.Fatalf("parts of %d give other bytes", partSize)
		}
	}
}

func TestPartsNeverExceedTheLimit(t *testing.T) {
	s := newStore()
	r, _ := buildZIP(t, Config{PartSize: 16}, []Entry{s.add("c", "s", 1, "k/a", 1_000_000)}, s.open)
	if r.Parts > maxParts || r.PartSize <= 16 {
		t.Errorf("%d parts of %d", r.Parts, r.PartSize)
	}
}

func TestRefusals(t *testing.T) {
	s := newStore()
	good := s.add("c", "s", 1, "k/a", 100)
	negative := good
	negative.Size = -1
	for _, tt := range []struct {
		name    string
		cfg     Config
		hour    Hour
		entries []Entry
		want    error
	}{
		{"no entries", Config{}, testHour, nil, ErrEmpty},
		{"negative size", Config{}, testHour, []Entry{negative}, ErrInvalid},
		{"bad day", Config{}, Hour{Day: "2025-02-30"}, []Entry{good}, ErrInvalid},
		{"bad hour", Config{}, Hour{Day: "2025-02-20", Hour: 24}, []Entry{good}, ErrInvalid},
		{"too large", Config{MaxSize: 500}, testHour, []Entry{good}, ErrTooLarge},
	} {
		out := &sink{}
		_, err := Build(t.Context(), tt.cfg, tt.hour, tt.entries, s.open, out)
		if !errors.Is(err, tt.want) || out.begun != 0 {
			t.Errorf("%s: %v after %d begins", tt.name, err, out.begun)
		}
	}
}

// Times that a field can't hold do not break the layout.
func TestOddTimes(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 3, 10)
	entries[0].Timestamp = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	entries[1].Timestamp = time.Date(2040, 1, 1, 0, 0, 0, 0, time.FixedZone("x", 3600))
	entries[2].Timestamp = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	_, b := buildZIP(t, Config{}, entries, s.open)
	if names, _ := unzip(t, b); len(names) != 5 {
		t.Errorf("entries: %q", names)
	}
}

func TestMemoryCoversTheBuffers(t *testing.T) {
	s := newStore()
	for _, files := range []int{1, 300} {
		entries := normalHour(s, files, 3000)
		cfg := Config{PartSize: 1 << 10, Buffers: 5}
		r, _ := buildZIP(t, cfg, entries, s.open)
		buffers := min(int64(r.Parts), 5) * min(r.PartSize, r.Size)
		if got := Memory(cfg, entries); got < buffers || got > buffers+int64(files)*512+8<<10 {
			t.Errorf("%d files: %d reserved, buffers have %d", files, got, buffers)
		}
	}
}

// brokenSink fails at Begin, or at one part.
type brokenSink struct {
	sink
	begin bool
	part  int
}

var errSink = errors.New("sink is broken")

func (b *brokenSink) Begin(ctx context.Context, size, partSize int64, parts int) error {
	if b.begin {
		return errSink
	}
	return b.sink.Begin(ctx, size, partSize, parts)
}

func (b *brokenSink) Part(ctx context.Context, number int, data []byte, crc uint32) error {
	if number == b.part {
		return errSink
	}
	return b.sink.Part(ctx, number, data, crc)
}

func TestSinkErrorsEndTheBuild(t *testing.T) {
	s := newStore()
	entries := normalHour(s, 30, 500)
	for part := range 20 {
		b := &brokenSink{begin: part == 0, part: part}
		if _, err := Build(t.Context(), Config{PartSize: 1000}, testHour, entries, s.open, b); !errors.Is(err, errSink) {
			t.Errorf("part %d: %v", part, err)
		}
	}
}
