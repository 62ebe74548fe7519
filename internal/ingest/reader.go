package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// batchBytes ends a batch before it has MaxBatch lines: a batch is held in memory.
const batchBytes = 16 << 20

// maxKeptBuffer is how large the line buffer may stay between lines.
const maxKeptBuffer = MaxOtherBytes

// Reader cuts a stream of lines into batches.
type Reader struct {
	in     *bufio.Reader
	line   []byte
	number int
	err    error

	admitLarge func() error // waits until a large line may be parsed; nil: no wait
	admitted   bool         // the last Batch has a large line
}

// NewReader reads lines from r. Lines end with a line feed, which the last one may lack. Empty
// lines are skipped, and count for the numbers of the lines after them. A byte order mark before
// the first line is skipped too.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10)}
}

// Batch reads the next lines, at most catalog.MaxBatch. After the last line it returns io.EOF and
// no batch. A *catalog.LineError names an invalid line; any other error is r's. After an error it
// returns the same error again.
func (r *Reader) Batch() (catalog.Batch, error) {
	var b catalog.Batch
	size := 0
	for r.err == nil && b.Len() < catalog.MaxBatch && size < batchBytes {
		var text []byte
		if text, r.err = r.next(); r.err != nil {
			break
		}
		if size += len(text); len(text) > largeLine && r.admitLarge != nil {
			if r.err = r.admitLarge(); r.err != nil {
				break
			}
			r.admitted, size = true, batchBytes
		}
		if err := parseLine(text, r.number, &b); err != nil {
			r.err = &catalog.LineError{Line: r.number, Err: err}
			break
		}
		if cap(r.line) > maxKeptBuffer { // while the batch is stored, too
			r.line = nil
		}
	}
	if r.err != nil && (!errors.Is(r.err, io.EOF) || b.Len() == 0) {
		return catalog.Batch{}, r.err
	}
	return b, nil
}

// next returns the next line that is not empty. It is valid until the following call.
func (r *Reader) next() ([]byte, error) {
	for {
		text, err := r.read()
		if err != nil && (!errors.Is(err, io.EOF) || len(text) == 0) {
			return nil, err
		}
		r.number++
		if r.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		if text = bytes.Trim(text, " \t\r\n"); len(text) > 0 {
			return text, nil
		}
	}
}

// read returns the bytes up to the next line feed, inclusive. At the end it returns io.EOF with the
// bytes after the last line feed.
func (r *Reader) read() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.line) == 0 && !errors.Is(err, bufio.ErrBufferFull) {
			return part, err
		}
		r.line = append(r.line, part...)
		if len(r.line) > MaxLineBytes {
			return nil, &catalog.LineError{Line: r.number + 1, Err: domain.Errorf(domain.KindInvalid, "longer than %d bytes", MaxLineBytes)}
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return r.line, err
		}
	}
}
