package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// maxProblems is the most problems that a report lists.
const maxProblems = 1000

// Problem is one thing that is wrong with a ZIP.
type Problem struct {
	Entry string `json:"entry,omitempty"` // name of the entry, "" when it is about the whole ZIP
	Text  string `json:"text"`            // a sentence
}

// String returns the text after the quoted name of the entry. Quoting makes a hostile name harmless
// for a terminal.
func (p Problem) String() string {
	if p.Entry == "" {
		return p.Text
	}
	return fmt.Sprintf("%q: %s", p.Entry, p.Text)
}

// MissingFile is a recording that could not be archived, as metadata.json lists it.
type MissingFile struct {
	OriginalPath string `json:"originalPath"`
	MessageID    int64  `json:"messageId"`
	Reason       string `json:"reason"` // not_found, size_changed, checksum_mismatch or unreadable
}

// Report is the result of checking a ZIP.
type Report struct {
	Path           string        `json:"path"`      // as given; "" from Reader
	Size           int64         `json:"sizeBytes"` // of the ZIP
	UTCDay         string        `json:"utcDay,omitempty"`
	Hour           string        `json:"hour,omitempty"` // "00" to "23"
	GeneratedAt    time.Time     `json:"generatedAt,omitzero"`
	Files          int           `json:"files"`                    // recordings in it
	Bytes          int64         `json:"fileBytes"`                // sum of their sizes
	Sessions       int           `json:"sessions"`                 // pairs of externalConversationId and sessionId
	ManifestSHA256 string        `json:"manifestSha256,omitempty"` // hex, of the SHA256SUMS entry, to compare with the link's
	MissingCount   int           `json:"missingFileCount"`         // recordings that metadata.json lists as missing
	Missing        []MissingFile `json:"missingFiles"`             // the first thousand of these
	Problems       []Problem     `json:"problems"`                 // the first thousand
	MoreProblems   int           `json:"moreProblems,omitempty"`   // problems beyond these
}

// OK reports whether the ZIP has no problems. Files that metadata.json lists as missing are no
// problem of the ZIP.
func (r *Report) OK() bool { return len(r.Problems)+r.MoreProblems == 0 }

// AddProblem adds what else is wrong with the ZIP. entry is "" when it is about the whole ZIP.
func (r *Report) AddProblem(entry, format string, args ...any) {
	if r.full() {
		r.MoreProblems++
		return
	}
	r.Problems = append(r.Problems, Problem{Entry: shorten(entry), Text: shorten(fmt.Sprintf(format, args...))})
}

func (r *Report) full() bool { return len(r.Problems) == maxProblems }

// shorten cuts a text from a ZIP, so that a report is not large.
func shorten(text string) string {
	const most = 1024 // bytes
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// File checks a ZIP file; see Reader. A path that is no regular file is an error.
func File(ctx context.Context, path string) (Report, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the user names the file; opening a pipe does not block
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verify: %w", err)
	}
	report, err := Reader(ctx, f, info.Size())
	report.Path = path
	return report, err
}

// Reader checks a ZIP of size bytes: that each byte of its headers and end records is the one that
// callvault writes for such entries, and that there are no bytes before, between or after the
// entries; that names are safe on every file system; every CRC-32; that SHA256SUMS has the right
// sum of every other entry; and that metadata.json lists each recording once, with its size and
// time, in the order of the times.
//
// It reads every byte of the audio once, in order, and needs some 100 bytes of memory for an entry,
// whatever the ZIP says. A ZIP of more than a million entries is refused.
// The report has the problems of the ZIP; the error is only about reading, or that of ctx.
func Reader(ctx context.Context, r io.ReaderAt, size int64) (Report, error) {
	v := &verifier{
		src:    &source{ctx: ctx, r: r, size: size},
		report: Report{Size: size},
	}
	v.run()
	if err := v.src.err; err != nil {
		return v.report, fmt.Errorf("verify: %w", err)
	}
	return v.report, nil
}

// source reads a ZIP and keeps the first error of reading, which is no problem of the ZIP.
type source struct {
	ctx  context.Context
	r    io.ReaderAt
	size int64
	err  error
}

// section returns a reader of n bytes at offset. The range must be inside the ZIP.
func (s *source) section(offset, n int64) io.Reader {
	return &errorRecorder{s, io.NewSectionReader(s.r, offset, n)}
}

// bytes reads n bytes at offset; false if the range is outside the ZIP.
func (s *source) bytes(offset, n int64) ([]byte, bool) {
	if offset < 0 || n < 0 || offset > s.size-n || s.err != nil {
		return nil, false
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.section(offset, n), b)
	return b, err == nil
}

// errorRecorder keeps errors of reading in the source. It fails once ctx has ended.
type errorRecorder struct {
	s *source
	r io.Reader
}

func (w *errorRecorder) Read(b []byte) (n int, err error) {
	if err = w.s.ctx.Err(); err == nil {
		n, err = w.r.Read(b)
	}
	if err != nil && !errors.Is(err, io.EOF) && w.s.err == nil {
		w.s.err = err
	}
	return n, err
}
