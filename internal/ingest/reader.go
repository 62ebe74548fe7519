package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// batchBytes ends a batch early: what one transaction holds in memory.
const batchBytes = 16 << 20

// keepBytes is how large the line buffer may stay between lines.
const keepBytes = MaxOtherBytes

// Reader cuts a stream of lines into batches.
type Reader struct {
	in     *bufio.Reader
	line   []byte
	number int
	err    error

	large   func() error // waits until a large line may be taken apart; nil: at once
	entered bool         // it was let in since the last Batch
}

// NewReader reads lines from r. They end with a line feed, the last one may lack it; empty lines
// are passed over and counted; a byte order mark before the first is, too.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10)}
}

// Batch reads the next lines, at most catalog.MaxBatch. After the last of them it gives io.EOF
// and no batch. A *catalog.LineError names the line that is not right; any other error is r's.
// After an error it gives the same error again.
func (r *Reader) Batch() (catalog.Batch, error) {
	var b catalog.Batch
	size := 0
	for r.err == nil && b.Len() < catalog.MaxBatch && size < batchBytes {
		var text []byte
		if text, r.err = r.next(); r.err != nil {
			break
		}
		if size += len(text); len(text) > largeLine && r.large != nil {
			if r.err = r.large(); r.err != nil {
				break
			}
			r.entered, size = true, batchBytes
		}
		l, err := ParseLine(text)
		if err != nil {
			r.err = &catalog.LineError{Line: r.number, Err: err}
			break
		}
		l.addTo(&b, r.number)
	}
	if r.err != nil && (!errors.Is(r.err, io.EOF) || b.Len() == 0) {
		return catalog.Batch{}, r.err
	}
	return b, nil
}

func (l Line) addTo(b *catalog.Batch, number int) {
	switch {
	case l.Agent != nil:
		b.Agents = append(b.Agents, catalog.Line[domain.Agent]{Number: number, Value: *l.Agent})
	case l.Conversation != nil:
		b.Conversations = append(b.Conversations, catalog.Line[domain.Conversation]{Number: number, Value: *l.Conversation})
	case l.Message != nil:
		b.Messages = append(b.Messages, catalog.Line[domain.Message]{Number: number, Value: *l.Message})
	case l.Recording != nil:
		b.Recordings = append(b.Recordings, catalog.Line[domain.Recording]{Number: number, Value: *l.Recording})
	}
}

// next gives the next line that is not empty, valid until the following call.
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

// read gives bytes up to and with the next line feed, or io.EOF with what stands after the last.
func (r *Reader) read() ([]byte, error) {
	if cap(r.line) > keepBytes {
		r.line = nil
	}
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
