package apitest

import (
	"database/sql"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// Raw opens the database behind a catalog's URL without the catalog, not synced to disk.
func Raw(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, source := "pgx", url
	if path, isFile := strings.CutPrefix(url, "sqlite://"); isFile {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(0)&_pragma=cache_size(-262144)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Meter is an http.ResponseWriter that takes an answer without keeping it, and looks at the heap
// now and then.
type Meter struct {
	Status int
	Bytes  int
	Peak   uint64 // bytes of the heap that are in use after a collection
	Last   []byte // what was written last

	header http.Header
	next   int
}

// between is how many bytes of an answer come between two looks.
const between = 1 << 20

// Header is the answer's.
func (m *Meter) Header() http.Header {
	if m.header == nil {
		m.header = http.Header{}
	}
	return m.header
}

// WriteHeader notes the status.
func (m *Meter) WriteHeader(status int) { m.Status = status }

// Write takes b.
func (m *Meter) Write(b []byte) (int, error) {
	if m.Bytes >= m.next {
		m.next += between
		m.Peak = max(m.Peak, Heap())
	}
	m.Bytes += len(b)
	m.Last = append(m.Last[:0], b...)
	return len(b), nil
}

// Heap is what is in use once the garbage is gone, in bytes.
func Heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
