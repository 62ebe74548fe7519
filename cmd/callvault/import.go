package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
)

// importCmd takes lines and audio in from files.
type importCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `required:"" help:"The tenant's id."`
	Audio        string `help:"Directory below which audio lies under its object key; what is found is uploaded." placeholder:"DIR"`
	File         string `arg:"" help:"NDJSON file, or - for standard input." placeholder:"FILE.ndjson"`
	JSON         bool   `help:"Print JSON."`
}

func (*importCmd) Help() string {
	return "One JSON object a line: agent, conversation, message or recording. Up to 5,000 lines are one transaction: when a line is bad, " +
		"nothing of its batch is stored, and all before it stays. Importing a file again changes nothing. " +
		"A line of an hour that is planned already makes it due again after CALLVAULT_LATE_DELAY, as this process has it set.\n\n" +
		"Examples:\n\n    callvault import --tenant acme day.ndjson\n    callvault import --tenant acme --audio ./audio day.ndjson --json\n" +
		"    gunzip -c day.ndjson.gz | callvault import --tenant acme -"
}

// importJSON is what --json prints.
type importJSON struct {
	ingest.Result
	AudioFiles   int64 `json:"audioFiles"`
	AudioExisted int64 `json:"audioStood"` // of these, the store had them already
	AudioBytes   int64 `json:"audioBytes"`

	AudioAbsent int      `json:"audioAbsent,omitempty"` // with --audio: recordings without audio, there or in the store
	AbsentKeys  []string `json:"absentKeys,omitempty"`  // the first of them

	Error string `json:"error,omitempty"` // why it ended early
	Line  int    `json:"line,omitempty"`  // the line that is refused
}

// setError sets why the import ended early, with the same text as the ingest API.
func setError(r *importJSON, err error) {
	if err == nil {
		return
	}
	r.Error = err.Error()
	var line *catalog.LineError
	if errors.As(err, &line) {
		r.Line, r.Error = line.Line, fmt.Sprintf("line %d: %s", line.Line, domain.SafeMessage(line.Err))
	}
}

// maxAbsentKeys is how many keys without audio are listed.
const maxAbsentKeys = 5

// absentAudio collects keys without audio.
type absentAudio struct {
	mu    sync.Mutex
	count int
	keys  []string
}

func (a *absentAudio) add(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count++; len(a.keys) < maxAbsentKeys {
		a.keys = append(a.keys, key)
	}
}

func (c *importCmd) Run(ctx context.Context, d *deps) error {
	in, size, err := c.open(d)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it is only read
	if c.Audio != "" {
		if info, err := os.Stat(c.Audio); err != nil || !info.IsDir() {
			return &usageError{fmt.Sprintf("--audio %s is no directory that can be read", c.Audio)}
		}
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if err := p.TakesAudio(); c.Audio != "" && err != nil {
			return err
		}
		out, err := c.load(ctx, d, p, in, size)
		setError(&out, err)
		unwritten := c.audit(ctx, p, out, err)
		if err != nil && out.Batches > 0 {
			err = fmt.Errorf("%w\nStored are the %s lines of the batches before it; mend the file and import it again", err, humanize.Comma(int64(out.Lines)))
		}
		if err = errors.Join(err, unwritten); err != nil && !c.JSON {
			return err
		}
		return errors.Join(err, d.show(c.JSON, out, out.text))
	})
}

// importDetail is the detail of a run in the audit log.
type importDetail struct {
	Source string `json:"source"` // the file's name, - for standard input
	Whole  bool   `json:"whole"`  // false when it ended early; the counts are of what is stored
	Lines  int    `json:"lines"`
	catalog.Counts
	AudioFiles int64 `json:"audioFiles"`
	AudioBytes int64 `json:"audioBytes"`
}

// auditTimeout bounds writing the audit log after an interruption.
const auditTimeout = 5 * time.Second

// audit writes one line for the run, unless it failed before it stored anything.
func (c *importCmd) audit(ctx context.Context, p *app.Parts, r importJSON, failed error) error {
	if failed != nil && r.Batches == 0 && r.AudioFiles == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout) // also after an interruption
	defer cancel()
	r.Ahead = 0 // not in the audit log
	detail := importDetail{filepath.Base(c.File), failed == nil, r.Lines, r.Counts, r.AudioFiles, r.AudioBytes}
	if err := p.Catalog.AppendAudit(ctx, commandOrigin(), c.Tenant, "import", detail); err != nil {
		return fmt.Errorf("what was imported is stored, but the audit log could not be told: %w", err)
	}
	return nil
}

// lateAdvice says what an operator can do about recordings that are too late.
const lateAdvice = "see: callvault archive --reopen; or, where its timestamp is wrong: callvault recording correct --timestamp"

func (r importJSON) text() string {
	var kinds []string
	for _, k := range r.Kinds() {
		kinds = append(kinds, count(k.Lines, k.Kind))
	}
	s := fmt.Sprintf("%s taken in: %s; %s new or changed", count(r.Lines, "line"), strings.Join(kinds, ", "), count(r.Changed, "row"))
	if r.AudioFiles > 0 {
		s += fmt.Sprintf("; %s of %s, %d of them stored before", count(int(r.AudioFiles), "audio file"), bytesOf(r.AudioBytes), r.AudioExisted)
	}
	switch {
	case r.TooLate == 1:
		s += "\n1 recording is too late: its day is past retention, or ends before a build does; it is kept; " + lateAdvice
	case r.TooLate > 1:
		s += fmt.Sprintf("\n%d recordings are too late: their days are past retention, or end before a build does; they are kept; %s", r.TooLate, lateAdvice)
	}
	if r.Ahead > 0 {
		s += fmt.Sprintf("\nmore than a day ahead of the clock: %s; kept, but look at their timestamps; a wrong one: callvault recording correct --timestamp", count(r.Ahead, "recording"))
	}
	if r.AudioAbsent > 0 {
		have, more := "have", ""
		if r.AudioAbsent == 1 {
			have = "has"
		}
		if r.AudioAbsent > len(r.AbsentKeys) {
			more = ", …"
		}
		s += fmt.Sprintf("\n%s %s no audio yet, neither below --audio nor in the object store: %s%s", count(r.AudioAbsent, "recording"), have,
			console.Clean(strings.Join(r.AbsentKeys, ", ")), more)
	}
	return s
}

// open opens the file. size is 0 if not known.
func (c *importCmd) open(d *deps) (in io.ReadCloser, size int64, err error) {
	if c.File == "-" {
		return io.NopCloser(d.stdin), 0, nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, 0, fmt.Errorf("nothing to import: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if info.IsDir() {
		return nil, 0, errors.Join(&usageError{c.File + " is a directory; name an NDJSON file"}, f.Close())
	}
	return f, info.Size(), nil
}

func (c *importCmd) load(ctx context.Context, d *deps, p *app.Parts, in io.Reader, size int64) (importJSON, error) {
	var files, existed, bytes atomic.Int64
	var absent absentAudio
	var to ingest.Registrar = p.Catalog
	if c.Audio != "" {
		to = &ingest.AudioDir{Dir: c.Audio, Catalog: p.Catalog, Bucket: p.Recordings, Absent: absent.add, Uploaded: func(n int64, before bool) {
			files.Add(1)
			bytes.Add(n)
			if before {
				existed.Add(1)
			}
		}}
	}
	to = ingest.KeyChecker{Registrar: to, CheckKey: p.Recordings.CheckKey}
	progress := console.NewProgress(ctx, d.stderr, console.IsTerminal(d.stderr), time.Now)
	bar := progress.Start("import", size)
	r, err := ingest.Load(ctx, ingest.WithOrigin(commandOrigin(), to), c.Tenant, &countingReader{in, bar}, nil)
	bar.End(err)
	progress.Close()
	var line *catalog.LineError
	if errors.As(err, &line) {
		err = fmt.Errorf("%w; nothing of its batch is stored", err)
	}
	return importJSON{
		Result: r, AudioFiles: files.Load(), AudioExisted: existed.Load(), AudioBytes: bytes.Load(),
		AudioAbsent: absent.count, AbsentKeys: absent.keys,
	}, err
}

// countingReader adds what it reads to a progress bar.
type countingReader struct {
	io.Reader
	bar *console.Task
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bar.Add(int64(n))
	return n, err
}
