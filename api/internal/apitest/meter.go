package apitest

import (
	"net/http"
	"runtime"
)

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
