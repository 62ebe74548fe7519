package archiver

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"sync/atomic"

	"github.com/callvault/callvault/internal/zipformat"
)

// segment is the piece of an entry's data that lies in one part.
type segment struct {
	entryRead *entryRead
	part      *part
	data      []byte // its bytes in the part's buffer
	at        int    // offset in the part
	from      int64  // offset in the entry
	index     int
	crc       uint32
}

// patch is where bytes of a CRC-32 field, or all of them, lie in a part.
type patch struct {
	part *part
	at   int // offset in the part
	from int // first byte of the field, which is little-endian
	size int
}

// entryRead is the reading of one entry.
type entryRead struct {
	item     *item
	patches  []patch
	left     atomic.Int32 // segments to read
	segments int

	// Only for entries over several parts:
	lengths []int64
	crcs    []uint32
	pinned  chan struct{} // closed when the item's etag is known

	mu    sync.Mutex
	ready []*segment // read and waiting to be hashed, by index
	next  int        // index that is hashed next
	sha   hash.Hash
}

// writer writes the ZIP from front to back, and leaves space for the segments that readers fill.
type writer struct {
	*attempt
	ctx context.Context // of the attempt
	at  int64           // offset in the ZIP
	cur *part
	off int // offset in cur
}

func (a *attempt) writeZIP(ctx context.Context) error {
	l := &writer{attempt: a, ctx: ctx}
	if err := l.writeAll(); err != nil {
		return err
	}
	a.writerDone(ctx, l.cur)
	return nil
}

func (l *writer) writeAll() error {
	p := l.layout
	buf := make([]byte, 0, 1<<10)
	if _, err := l.Write(p.metadata.AppendLocal(buf)); err != nil {
		return err
	}
	if err := p.writeMetadata(l); err != nil {
		return err
	}
	for i := range p.items {
		if err := l.writeItem(&p.items[i], p.record(&p.items[i]).AppendLocal(buf)); err != nil {
			return err
		}
	}
	close(l.gets)
	select {
	case <-l.allDone:
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	close(l.hashq) // everything is hashed
	if l.void.Load() {
		return errMissing
	}
	if err := l.digestSums(); err != nil {
		return err
	}
	if _, err := l.Write(p.sums.AppendLocal(buf)); err != nil {
		return err
	}
	if err := p.writeSums(l); err != nil {
		return err
	}
	return p.writeDirectory(l)
}

// space returns what is left of the current part's buffer, or the next part's.
func (l *writer) space() ([]byte, error) {
	if l.cur != nil && l.off < len(l.cur.buf) {
		return l.cur.buf[l.off:], nil
	}
	if l.cur != nil {
		l.writerDone(l.ctx, l.cur)
		l.cur = nil
	}
	p, err := l.acquire(l.ctx, l.at)
	if err != nil {
		return nil, err
	}
	l.cur, l.off = p, 0
	return p.buf, nil
}

func (l *writer) advance(n int) {
	l.off += n
	l.at += int64(n)
	l.progress.Add(1)
}

// Write copies b to the current offset.
func (l *writer) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		space, err := l.space()
		if err != nil {
			return len(b) - len(rest), err
		}
		n := copy(space, rest)
		rest = rest[n:]
		l.advance(n)
	}
	return len(b), nil
}

// writeItem writes an entry's header without the CRC-32, and gives its data to readers.
func (l *writer) writeItem(it *item, header []byte) error {
	f := &entryRead{item: it}
	if _, err := l.Write(header[:zipformat.CRCOffset]); err != nil {
		return err
	}
	for from := 0; from < zipformat.CRCSize; {
		space, err := l.space()
		if err != nil {
			return err
		}
		n := min(zipformat.CRCSize-from, len(space))
		l.cur.writers.Add(1)
		f.patches = append(f.patches, patch{part: l.cur, at: l.off, from: from, size: n})
		from += n
		l.advance(n)
	}
	if _, err := l.Write(header[zipformat.CRCOffset+zipformat.CRCSize:]); err != nil {
		return err
	}
	return l.sendData(f)
}

// sendData gives the entry's data to readers, one segment for each part.
func (l *writer) sendData(f *entryRead) error {
	size := f.item.entry.Size
	if size == 0 { // it is opened all the same: the object has to exist and to be empty
		f.split(1)
		return l.send(&segment{entryRead: f, part: l.cur})
	}
	if l.off == len(l.cur.buf) {
		if _, err := l.space(); err != nil {
			return err
		}
	}
	first := int64(len(l.cur.buf) - l.off)
	f.split(1 + int((max(0, size-first)+l.layout.partSize-1)/l.layout.partSize))
	for from, index := int64(0), 0; from < size; index++ {
		space, err := l.space()
		if err != nil {
			return err
		}
		n := int(min(size-from, int64(len(space))))
		if f.segments > 1 {
			f.lengths[index] = int64(n)
		}
		s := &segment{entryRead: f, part: l.cur, data: space[:n], at: l.off, from: from, index: index}
		if n >= longSegment {
			l.cur.longSegments = append(l.cur.longSegments, s)
		}
		from += int64(n)
		l.advance(n)
		if err := l.send(s); err != nil {
			return err
		}
	}
	return nil
}

// send gives a segment to a reader.
func (l *writer) send(s *segment) error {
	s.part.writers.Add(1)
	s.part.users.Add(1)
	select {
	case l.gets <- s:
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// split sets the number of segments.
func (f *entryRead) split(segments int) {
	f.segments = segments
	f.left.Store(int32(segments))
	if segments > 1 {
		f.lengths = make([]int64, segments)
		f.crcs = make([]uint32, segments)
		f.ready = make([]*segment, segments)
		f.pinned = make(chan struct{})
		f.sha = sha256.New()
	}
}

// patchCRC writes the CRC-32 into the header.
func (f *entryRead) patchCRC(crc uint32) {
	var field [zipformat.CRCSize]byte
	binary.LittleEndian.PutUint32(field[:], crc)
	for _, p := range f.patches {
		copy(p.part.buf[p.at:p.at+p.size], field[p.from:])
	}
}
