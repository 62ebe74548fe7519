//go:build !race

// The race detector would take minutes for these gigabytes, and find nothing more than with small
// entries.

package archiver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

// zeros is a body of zeros.
type zeros struct{ left int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := int(min(z.left, int64(len(b))))
	clear(b[:n])
	z.left -= int64(n)
	return n, nil
}

func (z *zeros) Close() error { return nil }

// An entry larger than 4 GiB, and the headers after it, need ZIP64 fields. Every program reads
// them, also from a pipe.
func TestBeyondFourGiB(t *testing.T) {
	const size = 1<<32 + 12345
	s := newStore()
	entries := normalHour(s, 10, 1000)
	large := Entry{
		Key: "k/large.opus", ExternalConversationID: "conv", SessionID: "session", MessageID: 1,
		Type: "user", Timestamp: testDay, Size: size,
	}
	entries = append(entries, large)
	src := func(ctx context.Context, e Entry, from, n int64, etag string) (Object, error) {
		if e.Key == large.Key {
			return Object{Body: &zeros{n}, Size: size, ETag: "zeros"}, nil
		}
		return s.open(ctx, e, from, n, etag)
	}
	out := newFileSink(t)
	r, err := Build(t.Context(), Config{}, testHour, entries, src, out)
	if err != nil || r.Files != 11 {
		t.Fatalf("%+v: %v", r, err)
	}
	path := out.f.Name()
	python := output(t, program(t, "python3", "testdata/read_zip.py", path))
	if want := fmt.Sprintf(" %d conv/session/large.opus\n", int64(size)); !strings.Contains(python, want) || strings.Count(python, "\n") != 13 {
		t.Errorf("python3 reads\n%s", python)
	}
	if java := output(t, piped(t, path, program(t, "java", "testdata/ReadZip.java"))); java != python {
		t.Errorf("java reads\n%s\nand python3\n%s", java, python)
	}
	output(t, program(t, "unzip", "-tqq", path))
	output(t, program(t, "7z", "t", "-bd", path))
	tar := piped(t, path, program(t, "bsdtar", "-xOf", "-"))
	counted := &counter{}
	tar.Stdout = counted
	if err := tar.Run(); err != nil || counted.n < size {
		t.Errorf("bsdtar gave %d bytes: %v", counted.n, err)
	}
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}
