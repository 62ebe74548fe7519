package archiver

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"sync/atomic"
)

// span is the part of an entry's data that lies in one part.
type span struct {
	flight *flight
	part   *part
	data   []byte // where it belongs in the part's buffer
	at     int    // offset in the part
	from   int64  // offset in the entry
	index  int
	crc    uint32
}

// patch is where bytes of a CRC-32 field lie in a part.
type patch struct {
	part *part
	at   int // offset in the part
	from int // first byte of the field, which is little-endian
	size int
}

// flight is an entry being read.
type flight struct {
	item    *item
	patches []patch
	left    atomic.Int32 // spans to read
	spans   int          // it has

	// Only for entries over several parts:
	lengths []int64
	crcs    []uint32
	pinned  chan struct{} // closed when etag is known
	etag    string

	mu    sync.Mutex
	ready []*span // read and waiting to be hashed, by index
	next  int     // index that is hashed next
	sha   hash.Hash
}

// layout writes the ZIP from front to back, leaving room for what others read.
type layout struct {
	*attempt
	ctx context.Context // of the attempt; a layout lives no longer
	at  int64           // offset in the ZIP
	cur *part
	off int // offset in cur
}

func (a *attempt) layOut(ctx context.Context) error {
	l := &layout{attempt: a, ctx: ctx}
	if err := l.writeAll(); err != nil {
		return err
	}
	a.filled(ctx, l.cur)
	return nil
}

func (l *layout) writeAll() error {
	p := l.plan
	buf := make([]byte, 0, 1<<10)
	if _, err := l.Write(p.metadata.appendLocal(buf)); err != nil {
		return err
	}
	if err := p.writeMetadata(l); err != nil {
		return err
	}
	for i := range p.items {
		if err := l.item(&p.items[i], p.record(&p.items[i]).appendLocal(buf)); err != nil {
			return err
		}
	}
	close(l.gets)
	select {
	case <-l.settled:
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	close(l.hashq) // everything is hashed
	if err := l.sealSums(); err != nil {
		return err
	}
	if _, err := l.Write(p.sums.appendLocal(buf)); err != nil {
		return err
	}
	if err := p.writeSums(l); err != nil {
		return err
	}
	return p.writeDirectory(l)
}

// room returns what is left of the current part, or the next one.
func (l *layout) room() ([]byte, error) {
	if l.cur != nil && l.off < len(l.cur.buf) {
		return l.cur.buf[l.off:], nil
	}
	if l.cur != nil {
		l.filled(l.ctx, l.cur)
		l.cur = nil
	}
	p, err := l.acquire(l.ctx, l.at)
	if err != nil {
		return nil, err
	}
	l.cur, l.off = p, 0
	return p.buf, nil
}

func (l *layout) advance(n int) {
	l.off += n
	l.at += int64(n)
	l.progress.Add(1)
}

// Write copies b to the current offset.
func (l *layout) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		room, err := l.room()
		if err != nil {
			return len(b) - len(rest), err
		}
		n := copy(room, rest)
		rest = rest[n:]
		l.advance(n)
	}
	return len(b), nil
}

// item writes an entry's header without the CRC-32 and hands out its data.
func (l *layout) item(it *item, header []byte) error {
	f := &flight{item: it}
	if _, err := l.Write(header[:crcOffset]); err != nil {
		return err
	}
	for from := 0; from < crcSize; {
		room, err := l.room()
		if err != nil {
			return err
		}
		n := min(crcSize-from, len(room))
		l.cur.fill.Add(1)
		f.patches = append(f.patches, patch{part: l.cur, at: l.off, from: from, size: n})
		from += n
		l.advance(n)
	}
	if _, err := l.Write(header[crcOffset+crcSize:]); err != nil {
		return err
	}
	return l.data(f)
}

// data hands the entry's bytes to readers, a span for each part.
func (l *layout) data(f *flight) error {
	size := f.item.entry.Size
	if size == 0 { // still opened: it has to exist, and to be empty
		f.split(1)
		return l.hand(&span{flight: f, part: l.cur})
	}
	if l.off == len(l.cur.buf) {
		if _, err := l.room(); err != nil {
			return err
		}
	}
	first := int64(len(l.cur.buf) - l.off)
	f.split(1 + int((max(0, size-first)+l.plan.partSize-1)/l.plan.partSize))
	for from, index := int64(0), 0; from < size; index++ {
		room, err := l.room()
		if err != nil {
			return err
		}
		n := int(min(size-from, int64(len(room))))
		if f.spans > 1 {
			f.lengths[index] = int64(n)
		}
		s := &span{flight: f, part: l.cur, data: room[:n], at: l.off, from: from, index: index}
		if n >= longSpan {
			l.cur.long = append(l.cur.long, s)
		}
		from += int64(n)
		l.advance(n)
		if err := l.hand(s); err != nil {
			return err
		}
	}
	return nil
}

// hand gives a span to a reader.
func (l *layout) hand(s *span) error {
	s.part.fill.Add(1)
	s.part.hold.Add(1)
	select {
	case l.gets <- s:
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// split prepares the flight for its number of spans.
func (f *flight) split(spans int) {
	f.spans = spans
	f.left.Store(int32(spans))
	if spans > 1 {
		f.lengths = make([]int64, spans)
		f.crcs = make([]uint32, spans)
		f.ready = make([]*span, spans)
		f.pinned = make(chan struct{})
		f.sha = sha256.New()
	}
}

// patchCRC writes the CRC-32 into the header.
func (f *flight) patchCRC(crc uint32) {
	var field [crcSize]byte
	binary.LittleEndian.PutUint32(field[:], crc)
	for _, p := range f.patches {
		copy(p.part.buf[p.at:p.at+p.size], field[p.from:])
	}
}
