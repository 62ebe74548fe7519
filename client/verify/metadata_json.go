package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxValue is the most bytes of one value in metadata.json, to bound memory. The largest honest one
// is a file with a key of 1,024 bytes, each of which may be escaped.
const maxValue = 64 << 10

var errValue = errors.New("a value is too long")

// boundedReader fails after left bytes. Before each value left is set to maxValue again.
type boundedReader struct {
	r    io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errValue
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// value reads the next value whole.
func (m *metadata) value(into any) error {
	m.in.left = maxValue
	return m.dec.Decode(into)
}

// token reads the next token and compares it.
func (m *metadata) token(want json.Delim) error {
	m.in.left = maxValue
	t, err := m.dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("there is %.50q instead of %q", fmt.Sprint(t), want.String())
	}
	return nil
}

// more reports whether the current object or array has another element.
func (m *metadata) more() bool {
	m.in.left = maxValue
	return m.dec.More()
}

// object reads an object, calling member for each key.
func (m *metadata) object(member func(key string) error) error {
	if err := m.token('{'); err != nil {
		return err
	}
	for m.more() {
		m.in.left = maxValue
		t, err := m.dec.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return errors.New("a key is no string")
		}
		if err := member(key); err != nil {
			return err
		}
	}
	return m.token('}')
}

// array reads an array, calling element for each element.
func (m *metadata) array(element func() error) error {
	if err := m.token('['); err != nil {
		return err
	}
	for m.more() {
		if err := element(); err != nil {
			return err
		}
	}
	return m.token(']')
}
