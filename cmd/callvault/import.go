package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

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

func (c *importCmd) Run(ctx context.Context, d *deps) error {
	in, size, err := c.open(d)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it is only read
	if err := c.checkAudio(); err != nil {
		return err
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		out, err := c.checkedLoad(ctx, d, p, in, size)
		setError(&out, err)
		unwritten := c.audit(ctx, p, out, err)
		if err = errors.Join(err, unwritten); err != nil && !c.JSON {
			return err
		}
		return errors.Join(err, d.show(c.JSON, out, out.text))
	})
}

// checkAudio checks that --audio names a directory that can be opened.
func (c *importCmd) checkAudio() error {
	if c.Audio == "" {
		return nil
	}
	root, err := os.OpenRoot(c.Audio)
	if err != nil {
		return &usageError{fmt.Sprintf("--audio: %v; name the directory below which the audio lies", err)}
	}
	return root.Close()
}

// checkedLoad checks all that can be checked before the first line is read, then loads the file.
func (c *importCmd) checkedLoad(ctx context.Context, d *deps, p *app.Parts, in io.ReadSeekCloser, size int64) (importJSON, error) {
	if _, err := p.Catalog.Tenant(ctx, c.Tenant); err != nil {
		return importJSON{}, err
	}
	if c.Audio != "" {
		if err := p.CheckRecordings(ctx); err != nil {
			return importJSON{}, fmt.Errorf("nothing is imported: %w", err)
		}
	}
	if err := p.RepeatErasures(ctx, zap.NewNop()); err != nil {
		return importJSON{}, fmt.Errorf("nothing is imported: %w", err)
	}
	out, err := c.load(ctx, d, p, in, size)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w\n%s", err, out.afterError(err))
	}
	return out, err
}

// afterError says what is stored after an error, and what to do.
func (r importJSON) afterError(err error) string {
	stored, audio := "No line is stored", ""
	if r.AudioFiles > 0 {
		audio = " Audio in the store, which is not sent again: " + count(int(r.AudioFiles), "file") + "."
	}
	if r.Batches > 0 {
		stored = "Stored: " + count(r.Lines, "line") + ", all before the batch that failed, and none of that batch"
	}
	stored += "." + audio
	var line *catalog.LineError
	if errors.As(err, &line) {
		return fmt.Sprintf("%s Mend line %d, then import it again", stored, line.Line)
	}
	return stored + " Import the file again: what is stored already is not stored twice"
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
	if r.Erased > 0 {
		s += fmt.Sprintf("\nof erased conversations, and not stored: %s", count(r.Erased, "line"))
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
