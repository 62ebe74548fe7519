package verify_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client/verify"
	"github.com/callvault/callvault/internal/zipformat"
)

// rawEntry is an entry whose headers say whatever a test wants.
type rawEntry struct {
	name    string
	data    []byte
	size    uint32
	offset  uint32 // in the central directory
	extra   int    // bytes of extra fields in the local header
	larger  int    // the same in the central directory
	comment int
}

func (e *rawEntry) local() []byte {
	b := append([]byte("PK\x03\x04"), make([]byte, 26)...)
	le := binary.LittleEndian
	le.PutUint32(b[14:], crc32.ChecksumIEEE(e.data))
	le.PutUint32(b[18:], e.size)
	le.PutUint32(b[22:], e.size)
	le.PutUint16(b[26:], uint16(len(e.name)))
	le.PutUint16(b[28:], uint16(e.extra))
	return append(append(append(b, e.name...), make([]byte, e.extra)...), e.data...)
}

func (e *rawEntry) central() []byte {
	b := append([]byte("PK\x01\x02"), make([]byte, 42)...)
	le := binary.LittleEndian
	le.PutUint32(b[16:], crc32.ChecksumIEEE(e.data))
	le.PutUint32(b[20:], e.size)
	le.PutUint32(b[24:], e.size)
	le.PutUint16(b[28:], uint16(len(e.name)))
	le.PutUint16(b[30:], uint16(e.larger))
	le.PutUint16(b[32:], uint16(e.comment))
	le.PutUint32(b[42:], e.offset)
	return append(append(b, e.name...), make([]byte, e.larger+e.comment)...)
}

// endOf writes the records that end a ZIP, with ZIP64 ones.
func endOf(entries, size, offset uint64) []byte {
	le := binary.LittleEndian
	b := append([]byte("PK\x06\x06"), make([]byte, 52)...)
	le.PutUint64(b[4:], 44)
	le.PutUint64(b[24:], entries)
	le.PutUint64(b[32:], entries)
	le.PutUint64(b[40:], size)
	le.PutUint64(b[48:], offset)
	b = append(append(b, "PK\x06\x07"...), make([]byte, 16)...)
	le.PutUint64(b[64:], offset+size)
	b = append(append(b, "PK\x05\x06"...), 0, 0, 0, 0)
	return append(b, append(bytes.Repeat([]byte{0xff}, 12), 0, 0)...)
}

// meter counts what is read, and notes the most memory that was in use meanwhile.
type meter struct {
	io.ReaderAt
	read, calls int64
	peak        uint64
}

func (m *meter) ReadAt(b []byte, at int64) (int, error) {
	if m.calls++; m.calls%500 == 0 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		m.peak = max(m.peak, s.HeapAlloc)
	}
	n, err := m.ReaderAt.ReadAt(b, at)
	m.read += int64(n)
	return n, err
}

// writeMany writes a ZIP of n recordings without bytes, one in each session.
func writeMany(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var meta, sums, directory bytes.Buffer
	meta.WriteString(strings.TrimSuffix(strings.Replace(head, `ons":1`, fmt.Sprintf(`ons":%d`, n), 1), "\n"))
	name := func(i int) string { return fmt.Sprintf("conversation-%07d/session/message.opus", i) }
	for i := range n {
		if i > 0 {
			meta.WriteByte(',')
		}
		fmt.Fprintf(&meta, `{"externalConversationId":"conversation-%07d","sessionId":"session","files":[{"fileName":"message.opus","originalPath":"k/%d","messageId":1,"type":"user","timestamp":"2025-12-12T14:00:00Z","originalSizeBytes":0}]}`, i, i)
	}
	meta.WriteString("]}")
	fmt.Fprintf(&sums, "%x  metadata.json\n", sha256.Sum256(meta.Bytes()))
	out := bufio.NewWriterSize(f, 1<<20)
	at := int64(0)
	write := func(name string, data []byte, modified time.Time) {
		e := zipformat.Entry{File: name, Size: int64(len(data)), Offset: at, CRC: crc32.ChecksumIEEE(data), Modified: modified}
		out.Write(e.AppendLocal(nil))
		out.Write(data)
		directory.Write(e.AppendCentral(nil))
		at += e.LocalSize() + e.Size
	}
	write("metadata.json", meta.Bytes(), hour.GeneratedAt)
	for i := range n {
		write(name(i), nil, time.Date(2025, 12, 12, 14, 0, 0, 0, time.UTC))
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(nil), name(i))
	}
	write("SHA256SUMS", sums.Bytes(), hour.GeneratedAt)
	out.Write(directory.Bytes())
	out.Write(zipformat.End{Entries: int64(n) + 2, Offset: at, Size: int64(directory.Len())}.Append(nil))
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryIsBounded verifies a good ZIP with many entries. With the most that are allowed, a
// million, it takes five times the memory.
func TestMemoryIsBounded(t *testing.T) {
	const n = 200_000
	path := filepath.Join(t.TempDir(), "many.zip")
	writeMany(t, path, n)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{ReaderAt: f}
	runtime.GC()
	r, err := verify.Reader(t.Context(), m, info.Size())
	if err != nil || !r.OK() || r.Files != n || r.Sessions != n {
		t.Fatalf("%v, %d files, %d sessions, problems %v", err, r.Files, r.Sessions, r.Problems[:min(3, len(r.Problems))])
	}
	if m.peak > 48<<20 || m.read > 3*info.Size() {
		t.Errorf("%d MB of memory and %d MB read for a ZIP of %d MB", m.peak>>20, m.read>>20, info.Size()>>20)
	}
}

// hostile writes a ZIP of entries with the given distance between their local headers. All of it
// but the directory is zeros where no header is written.
func hostile(entries []rawEntry) []byte {
	var directory bytes.Buffer
	end := 0
	for i := range entries {
		end = max(end, int(entries[i].offset)+len(entries[i].local()))
	}
	b := make([]byte, end)
	for i := range entries {
		copy(b[entries[i].offset:], entries[i].local())
		directory.Write(entries[i].central())
	}
	return slices.Concat(b, directory.Bytes(), endOf(uint64(len(entries)), uint64(directory.Len()), uint64(end)))
}

// TestHostileZIPsAreReadOnce has directories that would make a careless program read the same bytes
// again and again, or keep long texts.
func TestHostileZIPsAreReadOnce(t *testing.T) {
	long := strings.Repeat("x", 60_000)
	for name, entry := range map[string]func(i int) rawEntry{
		"overlapping headers": func(i int) rawEntry {
			return rawEntry{name: "c/s/a", offset: uint32(35 * i), size: math.MaxInt32, extra: 60_000}
		},
		"the same header": func(int) rawEntry { return rawEntry{name: "c/s/a", extra: 60_000} },
		"gaps":            func(i int) rawEntry { return rawEntry{name: fmt.Sprint("c/s/", i), offset: uint32(100 * i)} },
		"long names":      func(i int) rawEntry { return rawEntry{name: fmt.Sprint(i, long), offset: uint32(61_000 * i)} },
		"comments":        func(i int) rawEntry { return rawEntry{name: fmt.Sprint("c/s/", i), comment: 60_000, larger: 5_000} },
	} {
		entries := make([]rawEntry, 500)
		for i := range entries {
			entries[i] = entry(i)
		}
		b := hostile(entries)
		m := &meter{ReaderAt: bytes.NewReader(b)}
		r, err := verify.Reader(t.Context(), m, int64(len(b)))
		if err != nil || r.OK() || m.read > 3*int64(len(b))+1<<20 {
			t.Errorf("%s: %v, %d bytes read of %d", name, err, m.read, len(b))
		}
		kept := 0
		for _, p := range r.Problems {
			kept += len(p.String())
		}
		if kept > 3<<20 {
			t.Errorf("%s: the report has %d bytes", name, kept)
		}
	}
}

// TestStuckMetadata has sessions that all want the name of the first entry, which is long.
func TestStuckMetadata(t *testing.T) {
	session := strings.Replace(inOne+lineA+"]}", `"fileName":"a"`, `"fileName":"b"`, 1)
	files := []file{{name: "metadata.json", data: head + strings.Repeat(session+",", 1999) + session + "]}"}, {name: "c/s/" + strings.Repeat("x", 60_000)}}
	for i := range 2000 {
		files = append(files, file{name: fmt.Sprint("c/s/", i)})
	}
	b := pack(t, files...)
	m := &meter{ReaderAt: bytes.NewReader(b)}
	r, err := verify.Reader(t.Context(), m, int64(len(b)))
	if err != nil || r.OK() || m.read > 3*int64(len(b))+1<<20 {
		t.Errorf("%v, %d bytes read of %d", err, m.read, len(b))
	}
}

// TestMissingFilesAreBounded has a metadata.json with many long paths.
func TestMissingFilesAreBounded(t *testing.T) {
	gone := `{"originalPath":"` + strings.Repeat("k", 60_000) + `","messageId":1,"reason":"not_found"}`
	meta := strings.TrimSuffix(whole, "}") + `,"missingFiles":[` + strings.Repeat(gone+",", 999) + gone + "]}"
	r := check(t, pack(t, file{name: "metadata.json", data: meta}, file{name: "c/s/a", data: "aaaa"}))
	if !r.OK() || len(r.Missing) != 1000 || len(r.Missing[0].OriginalPath) > 2000 {
		t.Errorf("%d missing, problems %v", len(r.Missing), r.Problems)
	}
}
