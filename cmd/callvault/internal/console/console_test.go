package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	var out bytes.Buffer
	err := Table(&out, []string{"ID", "NAME"}, [][]string{{"acme", "Acme\x1b[31m Inc"}, {"b", "tab\tand\nline\u202e"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "ID    NAME\nacme  Acme\ufffd[31m Inc\nb     tab\ufffdand\ufffdline\ufffd\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

func TestJSONIsWrittenAsItIs(t *testing.T) {
	var out bytes.Buffer
	if err := JSON(&out, map[string]string{"url": "http://h/?a=1&b=<2>"}); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"url\": \"http://h/?a=1&b=<2>\"\n}\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	hostile := map[string]string{"a": "\x1b\x7f\u009b\u202eé"}
	var back map[string]string
	if err := JSON(&out, hostile); err != nil || strings.ContainsAny(out.String(), "\x1b\x7f\u009b\u202e") {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["a"] != hostile["a"] {
		t.Errorf("%q comes back as %q, %v", hostile, back, err)
	}
	out.Reset()
	if err := JSONLine(&out, hostile); err != nil || strings.ContainsAny(out.String(), "\x1b\x7f\u009b\u202e") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("on one line %q, %v", out.String(), err)
	}
	if err := JSON(brokenWriter{}, 1); err == nil {
		t.Error("a failed write is not reported")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) || IsTerminal(&bytes.Buffer{}) {
		t.Error("a file or buffer is taken for a terminal")
	}
}

func TestPlainProgress(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	p := NewProgress(t.Context(), &out, false, func() time.Time { return at })
	good, bad, open := p.Start("00.zip", 4<<20), p.Start("01.zip\x07", 10), p.Start("02.zip", 0)
	good.Add(1 << 20)
	at = at.Add(lineEvery)
	good.Add(1 << 20)
	open.Add(5)
	good.Add(2 << 20)
	good.End(nil)
	bad.End(errors.New("reset"))
	p.Close()
	want := "00.zip: 2.0 MiB of 4.0 MiB (50 %)\n02.zip: 5 B\n00.zip: done, 4.0 MiB\n01.zip\ufffd: failed after 0 B\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// screen is the output of bars, which write from another goroutine.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func TestBars(t *testing.T) {
	var out screen
	p := NewProgress(t.Context(), &out, true, time.Now)
	good, bad := p.Start("00.zip", 2048), p.Start("01.zip", 10)
	good.Add(2048)
	good.End(nil)
	p.Printf("one of two")
	bad.End(errors.New("reset"))
	p.Close()
	for _, want := range []string{"00.zip", "2.0 KiB", " done", "01.zip", " failed", "one of two\n"} {
		if !strings.Contains(out.buf.String(), want) {
			t.Errorf("%q is not shown:\n%s", want, out.buf.String())
		}
	}
}

func TestABarOfAllBytesIsDoneOnlyWhenItsTaskIs(t *testing.T) {
	var out screen
	p := NewProgress(t.Context(), &out, true, time.Now)
	damaged := p.Start("00.zip", 10)
	damaged.Add(10)
	damaged.End(errors.New("its bytes are damaged"))
	p.Start("01.zip", 10).End(nil) // nothing was left to do
	p.Close()
	if shown := out.buf.String(); !strings.Contains(shown, "10.0 b failed") || strings.Contains(shown, "10.0 b done") || !strings.Contains(shown, "0.0 b done") {
		t.Errorf("got\n%s", shown)
	}
}

func TestBarsEndWithTheCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := NewProgress(ctx, &screen{}, true, time.Now)
	p.Start("00.zip", 10).Add(1)
	cancel()
	p.Close() // returns although the task has not ended
}
