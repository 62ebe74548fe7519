package objstore

import (
	"errors"
	"io"
	"sync"
)

// Pieces is an [io.ReaderAt] that reads an object in pieces, because a ZIP reader asks for few
// bytes at a time. It keeps the latest two, because a ZIP is read in two places in turn: the
// central directory and the entries.
type Pieces struct {
	Size  int64 // of the object
	Piece int64 // bytes that are read at once
	Get   func(from, n int64) (*Object, error)

	mu     sync.Mutex
	latest [2]piece
}

type piece struct {
	number int64 // from 1; 0: none
	data   []byte
}

// ReadAt implements [io.ReaderAt]. Errors: those of Get and of the object's body, and
// [io.ErrUnexpectedEOF] for an object that is shorter than Size.
func (p *Pieces) ReadAt(buf []byte, at int64) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(buf) {
		if at >= p.Size {
			return n, io.EOF
		}
		data, err := p.piece(at / p.Piece)
		if err != nil {
			return n, err
		}
		copied := copy(buf[n:], data[at%p.Piece:])
		n, at = n+copied, at+int64(copied)
	}
	return n, nil
}

// piece gives the piece of this index.
func (p *Pieces) piece(index int64) ([]byte, error) {
	for i := range p.latest {
		if p.latest[i].number == index+1 {
			p.latest[0], p.latest[1] = p.latest[i], p.latest[1-i]
			return p.latest[0].data, nil
		}
	}
	from := index * p.Piece
	data := make([]byte, min(p.Piece, p.Size-from))
	o, err := p.Get(from, int64(len(data)))
	if err != nil {
		return nil, err
	}
	_, err = io.ReadFull(o.Body, data)
	if err := errors.Join(err, o.Body.Close()); err != nil {
		return nil, err
	}
	p.latest[0], p.latest[1] = piece{index + 1, data}, p.latest[0]
	return data, nil
}
