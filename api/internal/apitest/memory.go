package apitest

import (
	"net/http"
	"runtime"
)

// HeapMeter is an http.ResponseWriter that discards an answer and measures the heap meanwhile.
type HeapMeter struct {
	Status int
	Bytes  int
	Peak   uint64 // the most of Heap during the answer
	Last   []byte // what was written last

	header http.Header
	next   int
}

// interval is the bytes of an answer between two measurements.
const interval = 1 << 20

// Header is the header of the answer.
func (m *HeapMeter) Header() http.Header {
	if m.header == nil {
		m.header = http.Header{}
	}
	return m.header
}

// WriteHeader records the status.
func (m *HeapMeter) WriteHeader(status int) { m.Status = status }

// Write measures and discards b.
func (m *HeapMeter) Write(b []byte) (int, error) {
	if m.Bytes >= m.next {
		m.next += interval
		m.Peak = max(m.Peak, Heap())
	}
	m.Bytes += len(b)
	m.Last = append(m.Last[:0], b...)
	return len(b), nil
}

// Heap is the heap in use after a garbage collection, in bytes.
func Heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
