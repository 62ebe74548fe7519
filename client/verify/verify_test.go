package verify_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/client/verify"
)

var hour = archiver.Hour{Day: "2025-12-12", Hour: 14, GeneratedAt: time.Date(2025, 12, 13, 2, 15, 32, 0, time.UTC)}

// sink keeps a ZIP in memory.
type sink struct {
	zip      []byte
	partSize int64
}

func (s *sink) Begin(_ context.Context, size, partSize int64, _ int) error {
	s.zip, s.partSize = make([]byte, size), partSize
	return nil
}

func (s *sink) Part(_ context.Context, number int, data []byte, _ uint32) error {
	copy(s.zip[int64(number-1)*s.partSize:], data)
	return nil
}

// build makes an archive of recordings whose bytes are their key. A key that begins with "gone" is
// not in the store, and one that begins with "denied" can't be read.
func build(t testing.TB, conversations []string, keys ...string) ([]byte, archiver.Result) {
	t.Helper()
	var entries []archiver.Entry
	for i, key := range keys {
		entries = append(entries, archiver.Entry{
			Key: key, ExternalConversationID: conversations[i%len(conversations)], SessionID: fmt.Sprintf("session-%d", i%2),
			MessageID: int64(i), Type: "user", Size: int64(len(key)),
			Timestamp: time.Date(2025, 12, 12, 14, 0, i, 0, time.UTC),
		})
	}
	src := func(_ context.Context, e archiver.Entry, from, n int64, _ string) (archiver.Object, error) {
		if strings.HasPrefix(e.Key, "gone") {
			return archiver.Object{}, archiver.ErrVanished
		}
		if strings.HasPrefix(e.Key, "denied") {
			return archiver.Object{}, archiver.ErrUnreadable
		}
		body := io.NopCloser(strings.NewReader(e.Key[from : from+n]))
		return archiver.Object{Body: body, Size: int64(len(e.Key)), ETag: "1"}, nil
	}
	out := &sink{}
	r, err := archiver.Build(t.Context(), archiver.Config{}, hour, entries, src, out)
	if err != nil {
		t.Fatal(err)
	}
	return out.zip, r
}

func check(t testing.TB, b []byte) verify.Report {
	t.Helper()
	r, err := verify.Reader(t.Context(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGoodArchives(t *testing.T) {
	for name, tt := range map[string]struct{ conversations, keys []string }{
		"one":    {[]string{"conv-1"}, []string{"k/a.opus"}},
		"plain":  {[]string{"conv-1", "conv-2", "conv-3"}, []string{"k/a.opus", "k/b.opus", "k/c.opus", "k/d.opus", "k/e.opus"}},
		"clash":  {[]string{"Conv", "conv", "CONV.", "conv/", "conv_"}, []string{"k/a", "l/a", "k/A", "m/a", "n/a", "o/A", "p/a", "q/a", "r/a", "s/a"}},
		"hard":   {[]string{"", "..", "مرحبا", "CON", "metadata.json", "\xff"}, []string{"../../etc/passwd", `C:\x`, "k/🎧", "k/", "k/İ", "k/i", "k/ß", "k/ẞ"}},
		"absent": {[]string{"conv-1"}, []string{"k/a.opus", "gone/b.opus", "gone/c.opus", "k/d.opus"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, want := build(t, tt.conversations, tt.keys...)
			r := check(t, b)
			if !r.OK() {
				t.Fatalf("problems: %v", r.Problems)
			}
			if r.Files != want.Files || r.Bytes != want.Bytes || r.Sessions != len(want.Sessions) || r.ManifestSHA256 != want.ManifestSHA256 || r.Size != want.Size {
				t.Errorf("report %+v, built %+v", r, want)
			}
			if r.MissingCount != len(want.Missing) || r.UTCDay != "2025-12-12" || r.Hour != "14" || !r.GeneratedAt.Equal(hour.GeneratedAt) {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// Archives of former versions count a session id once, even if several conversations use it.
func TestTotalSessions(t *testing.T) {
	both := strings.Replace(whole, `ons":1`, `ons":%d`, 1)
	both = strings.TrimSuffix(both, "]}") + "," + strings.ReplaceAll(inOne, `"c"`, `"d"`) + strings.ReplaceAll(lineA, `k/a`, `k/b`) + "]}]}"
	for total, good := range map[int]bool{0: false, 1: true, 2: true, 3: false} {
		r := check(t, pack(t, file{name: "metadata.json", data: fmt.Sprintf(both, total)}, file{name: "c/s/a", data: "aaaa"}, file{name: "d/s/a", data: "aaaa"}))
		if r.OK() != good || r.Sessions != 2 {
			t.Errorf("totalSessions %d: %d sessions, problems %v", total, r.Sessions, r.Problems)
		}
	}
}

func TestMissingFilesAreListed(t *testing.T) {
	b, _ := build(t, []string{"c"}, "k/a", "gone/b", "denied/c")
	want := []verify.MissingFile{{OriginalPath: "gone/b", MessageID: 1, Reason: "not_found"}, {OriginalPath: "denied/c", MessageID: 2, Reason: "unreadable"}}
	if r := check(t, b); !r.OK() || !slices.Equal(r.Missing, want) {
		t.Errorf("missing: %+v, problems %v", r.Missing, r.Problems)
	}
}

// Every flipped bit is found.
func TestEveryFlippedBitIsFound(t *testing.T) {
	b, _ := build(t, []string{"conv-1", "é"}, "k/a.opus", "gone/c", "k/b.opus")
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if r := check(t, b); r.OK() {
				t.Errorf("bit %d of byte %d: not found", bit, i)
			}
			b[i] ^= 1 << bit
		}
	}
	if r := check(t, b); !r.OK() {
		t.Errorf("problems: %v", r.Problems)
	}
}

// contents reads a ZIP with another reader, which checks less.
func contents(b []byte) map[string]string {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil
	}
	files := map[string]string{}
	for _, f := range r.File {
		rc, err := f.Open()
		if err != nil {
			return nil
		}
		data, err := io.ReadAll(rc)
		if err != nil {
			return nil
		}
		files[f.Name] += string(data)
	}
	return files
}

// A ZIP that is cut short, or has bytes before or after it, is found.
func TestCutAndGarbage(t *testing.T) {
	b, _ := build(t, []string{"conv-1"}, "k/a.opus", "k/b.opus")
	for n := range b {
		if r := check(t, b[:n]); r.OK() {
			t.Errorf("cut to %d bytes: not found", n)
		}
	}
	for _, bad := range [][]byte{append(bytes.Clone(b), 0), append([]byte{0}, b...), append(bytes.Clone(b), b...)} {
		if r := check(t, bad); r.OK() {
			t.Errorf("garbage not found in %d bytes", len(bad))
		}
	}
}

// Bytes that several headers name are read only once.
func TestOverlapsAreNotRead(t *testing.T) {
	b, _ := build(t, []string{"conv-1"}, "k/aaaa.opus", "k/bbbb.opus")
	second := bytes.LastIndex(b, []byte("conv-1/session-1/bbbb.opus")) - 46
	copy(b[second+42:second+46], []byte{0, 0, 0, 0})
	r := check(t, b)
	if !slices.ContainsFunc(r.Problems, func(p verify.Problem) bool { return strings.Contains(p.Text, "overlap") }) {
		t.Errorf("problems: %v", r.Problems)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "14.zip")
	if _, err := verify.File(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe.zip")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := verify.File(t.Context(), pipe); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a pipe: %v", err)
	}
	good, _ := build(t, []string{"conv-1"}, "k/a.opus")
	for _, b := range [][]byte{good, good[1:]} {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		report, err := verify.File(t.Context(), path)
		if err != nil || report.Path != path || report.Size != int64(len(b)) || report.OK() != (len(b) == len(good)) {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

// faulty fails to read beyond an offset.
type faulty struct {
	io.ReaderAt
	after int64
}

var errDisk = errors.New("disk error")

func (f faulty) ReadAt(b []byte, at int64) (int, error) {
	if at > f.after {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(b, at)
}

func TestReadErrorIsNoVerdict(t *testing.T) {
	b, _ := build(t, []string{"conv-1"}, "k/a.opus")
	if _, err := verify.Reader(t.Context(), faulty{bytes.NewReader(b), 10}, int64(len(b))); !errors.Is(err, errDisk) {
		t.Errorf("error %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	b, _ := build(f, []string{"conv-1", "é"}, "k/a.opus", "gone/b", "k/c")
	f.Add(b)
	f.Add(b[10:])
	f.Add(pack(f, file{name: "metadata.json", data: whole}, file{name: "c/s/a", data: "aaaa"}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\xff", 16) + "\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := check(t, b)
		if r.OK() && contents(b) == nil {
			t.Errorf("another reader does not understand what was found good")
		}
		for _, p := range r.Problems {
			if p.Text == "" {
				t.Error("a problem without a sentence")
			}
		}
	})
}
