package client

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxProblems bounds a report: a ZIP that is all wrong needs no longer list.
const maxProblems = 1000

// Problem is one thing that is wrong with a ZIP.
type Problem struct {
	Entry string // name of the entry, "" when it is about the whole ZIP
	Text  string // a sentence
}

// String returns the sentence with the entry's name before it, quoted so that
// a hostile name can't play tricks on a terminal.
func (p Problem) String() string {
	if p.Entry == "" {
		return p.Text
	}
	return fmt.Sprintf("%q: %s", p.Entry, p.Text)
}

// MissingFile is a recording that metadata.json says could not be archived.
type MissingFile struct {
	OriginalPath string `json:"originalPath"`
	MessageID    int64  `json:"messageId"`
	Reason       string `json:"reason"` // not_found, size_changed, checksum_mismatch or unreadable
}

// Report says what a ZIP holds and what is wrong with it.
type Report struct {
	Path           string // as given, "" for a reader
	Size           int64  // of the ZIP in bytes
	Files          int    // recordings in it
	Bytes          int64  // their sizes added up
	Sessions       int    // in metadata.json: pairs of externalConversationId and sessionId
	UTCDay         string // YYYY-MM-DD
	Hour           string // "00" to "23"
	GeneratedAt    time.Time
	ManifestSHA256 string        // hex, of the SHA256SUMS entry, to compare with the link's
	MissingCount   int           // recordings that metadata.json lists as missing
	Missing        []MissingFile // the first thousand of them
	Problems       []Problem     // the first thousand
	MoreProblems   int           // that are not listed
}

// OK reports whether nothing is wrong. Missing files that the ZIP declares are
// nothing wrong with the ZIP.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) problem(entry, format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.MoreProblems++
		return
	}
	if len(entry) > 1024 {
		entry = strings.ToValidUTF8(entry[:1024], "") + "…"
	}
	r.Problems = append(r.Problems, Problem{Entry: entry, Text: fmt.Sprintf(format, args...)})
}

// VerifyFile checks a ZIP file; see VerifyReader.
func VerifyFile(path string) (Report, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file to check
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verify: %w", err)
	}
	report, err := VerifyReader(f, info.Size())
	report.Path = path
	return report, err
}

// VerifyReader checks a ZIP of size bytes: that its two sets of headers agree
// and nothing lies between, before or after the entries; that names are safe
// on every file system; every CRC-32; that SHA256SUMS covers every other entry
// and is right; and that metadata.json lists each recording once, with its size.
//
// It reads every byte of the audio once, in order, and needs some 500 bytes of
// memory an entry. What is wrong stands in the report; the error is about reading only.
func VerifyReader(r io.ReaderAt, size int64) (Report, error) {
	v := &verifier{
		src:    &source{r: r, size: size},
		report: Report{Size: size},
		index:  map[string]int{},
		folded: map[string]int{},
	}
	v.run()
	if err := v.src.err; err != nil {
		return v.report, fmt.Errorf("verify: %w", err)
	}
	return v.report, nil
}

// VerifyPath checks a ZIP, or every file below a directory whose name ends in
// .zip, in the order of their paths. An error of one file does not keep the
// others from being checked; the first error is returned with all the reports.
func VerifyPath(path string) ([]Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if !info.IsDir() {
		report, err := VerifyFile(path)
		return []Report{report}, err
	}
	var reports []Report
	var first error
	keep := func(err error) {
		if first == nil && err != nil {
			first = err
		}
	}
	keep(filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			keep(fmt.Errorf("verify: %w", err))
			return nil
		}
		if d.IsDir() || !strings.EqualFold(filepath.Ext(name), ".zip") {
			return nil
		}
		report, err := VerifyFile(name)
		reports = append(reports, report)
		keep(err)
		return nil
	}))
	if first == nil && len(reports) == 0 {
		first = fmt.Errorf("verify: no ZIP below %s: %w", path, fs.ErrNotExist)
	}
	return reports, first
}

// source reads a ZIP and remembers an error that is not the ZIP's fault.
type source struct {
	r    io.ReaderAt
	size int64
	err  error
}

// section returns a reader of n bytes at offset. The range must be inside.
func (s *source) section(offset, n int64) io.Reader {
	return &watched{s, io.NewSectionReader(s.r, offset, n)}
}

// bytes reads n bytes at offset; false if the ZIP does not have them.
func (s *source) bytes(offset, n int64) ([]byte, bool) {
	if offset < 0 || n < 0 || offset > s.size-n || s.err != nil {
		return nil, false
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.section(offset, n), b)
	return b, err == nil
}

// watched notes read errors. A file that got shorter meanwhile is one too.
type watched struct {
	s *source
	r io.Reader
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if err != nil && err != io.EOF && w.s.err == nil {
		w.s.err = err
	}
	return n, err
}
