package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// memory is a Registrar that keeps the lines' numbers and fails at a chosen batch.
type memory struct {
	batches []int
	lines   []int
	fail    int // the batch that fails, from 1
}

var errRefused = errors.New("refused")

func (m *memory) Register(_ context.Context, _ string, b catalog.Batch) (catalog.Counts, error) {
	if len(m.batches)+1 == m.fail {
		return catalog.Counts{}, errRefused
	}
	m.batches = append(m.batches, b.Len())
	for _, a := range b.Agents {
		m.lines = append(m.lines, a.Number)
	}
	return catalog.Counts{Agents: len(b.Agents), Conversations: len(b.Conversations)}, nil
}

func agents(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"kind":"agent","agentId":"a%d"}`+"\n", i)
	}
	return b.String()
}

func load(t *testing.T, m *memory, r io.Reader) (Result, error) {
	t.Helper()
	return Load(t.Context(), m, "t", r, nil)
}

func TestLoadCutsBatches(t *testing.T) {
	for n, want := range map[int][]int{0: nil, 1: {1}, 4999: {4999}, 5000: {5000}, 5001: {5000, 1}, 10_000: {5000, 5000}} {
		m := &memory{}
		res, err := load(t, m, strings.NewReader(agents(0, n)))
		if err != nil || res.Lines != n || res.Batches != len(want) || res.Agents != n || fmt.Sprint(m.batches) != fmt.Sprint(want) {
			t.Errorf("%d lines: %+v %v, batches %v", n, res, err, m.batches)
		}
	}
}

func TestLoadStopsAtTheBadLine(t *testing.T) {
	m := &memory{}
	res, err := load(t, m, strings.NewReader(agents(0, 5002)+"{bad}\n"+agents(6000, 6005)))
	var line *catalog.LineError
	if !errors.As(err, &line) || line.Line != 5003 || res.Lines != 5000 || len(m.batches) != 1 {
		t.Fatalf("%+v %v", res, err)
	}
	if want := "line 5003: not valid JSON at byte 2"; err.Error() != want {
		t.Fatalf("got %q, want %q", err, want)
	}
}

func TestLoadKeepsWholeBatchesOnly(t *testing.T) {
	broken := errors.New("connection reset")
	m := &memory{}
	res, err := load(t, m, io.MultiReader(strings.NewReader(agents(0, 7000)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || res.Lines != 5000 {
		t.Fatalf("%+v %v", res, err)
	}
	m = &memory{fail: 2}
	if res, err = load(t, m, strings.NewReader(agents(0, 7000))); !errors.Is(err, errRefused) || res.Lines != 5000 {
		t.Fatalf("%+v %v", res, err)
	}
}

func TestLineEnds(t *testing.T) {
	m := &memory{}
	in := "\xef\xbb\xbf" + `{"kind":"agent","agentId":"a"}` + "\r\n\n  \n" + `{"kind":"agent","agentId":"b"}` + "\n\n" + `{"kind":"agent","agentId":"c"}`
	if res, err := load(t, m, iotest.OneByteReader(strings.NewReader(in))); err != nil || res.Lines != 3 || fmt.Sprint(m.lines) != "[1 4 6]" {
		t.Fatalf("%+v %v %v", res, err, m.lines)
	}
}

func TestLongLines(t *testing.T) {
	long := func(n int) string {
		return `{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z","transcript":{"raw":"` + strings.Repeat("x", n) + `"}}` + "\n"
	}
	m := &memory{}
	// A batch ends by its size, and after a line of more than 4 MiB.
	res, err := load(t, m, strings.NewReader(agents(0, 2)+long(9<<20)+long(9<<20)+strings.Repeat(long(3<<20), 7)+agents(0, 3)))
	if err != nil || res.Lines != 14 || fmt.Sprint(m.batches) != "[3 1 6 4]" {
		t.Fatalf("%+v %v %v", res, err, m.batches)
	}
	_, err = load(t, &memory{}, io.MultiReader(strings.NewReader(agents(0, 1)), endless('x')))
	var line *catalog.LineError
	if !errors.As(err, &line) || line.Line != 2 || !errors.Is(err, domain.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
}

// endless repeats one byte without end.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(agents(0, 3)))
	f.Add([]byte("\n\r\n" + okMessage + "\n" + okRecording))
	f.Fuzz(func(t *testing.T, in []byte) {
		m := &memory{}
		res, err := load(t, m, bytes.NewReader(in))
		if lines := bytes.Count(in, []byte("\n")) + 1; res.Lines > lines {
			t.Fatalf("%d lines of %d", res.Lines, lines)
		}
		var line *catalog.LineError
		if err != nil && !errors.As(err, &line) {
			t.Fatal(err)
		}
	})
}

func BenchmarkParseLine(b *testing.B) {
	for name, text := range map[string]string{"recording": okRecording, "message": okMessage, "conversation": strings.ReplaceAll(fullConversation, "\n", "")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := parseLine([]byte(text), 1, &catalog.Batch{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
