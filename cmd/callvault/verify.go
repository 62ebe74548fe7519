package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/client/verify"
	"github.com/callvault/callvault/cmd/callvault/internal/console"
)

// verifyCmd checks downloaded archives without a server.
type verifyCmd struct {
	Path []string `arg:"" help:"ZIPs, and directories whose ZIPs are all checked." placeholder:"FILE.zip|DIR"`
	JSON bool     `help:"Print one JSON document."`
}

func (*verifyCmd) Help() string {
	return `Checks the structure, every checksum, SHA256SUMS, and that metadata.json lists each recording.
Recordings that metadata.json itself declares missing are counted, not an error. In a directory
that callvault pull wrote, day.json says which hours there must be, and each file must be the
one that was pulled. Exits with 1 when anything is wrong or absent.

Examples:

    callvault verify acme_2025-12-12_14.zip
    callvault verify ./archives/2025-12-12
    callvault verify ./archives --json`
}

// fileJSON is one archive in the output of --json.
type fileJSON struct {
	Path   string `json:"path"`
	OK     bool   `json:"ok"`
	Absent bool   `json:"absent,omitempty"` // day.json has it, and the directory does not
	verify.Report
}

// verifyResult is the report of one archive, or why it could not be read.
type verifyResult struct {
	verify.Report
	absent bool // day.json has it, and the directory does not
	err    error
}

func (v *verifyResult) good() bool { return v.err == nil && v.OK() }

// Run verifies one archive after the other. If one is broken, absent or cannot be read, it still
// checks the others, and returns errReported.
func (c *verifyCmd) Run(ctx context.Context, d *deps) error {
	work := verifyTargets{days: map[string]*client.PulledDay{}}
	for _, path := range c.Path {
		if err := work.add(path); err != nil {
			return err
		}
	}
	var list []verifyResult
	tell := func(v verifyResult) error {
		list = append(list, v)
		if c.JSON {
			return nil
		}
		return v.print(d.stdout)
	}
	for _, path := range work.zips {
		v, err := verifyOne(ctx, path)
		if err != nil {
			return err
		}
		if day := work.days[filepath.Dir(path)]; day != nil && v.err == nil {
			day.Check(&v.Report)
		}
		if err := tell(v); err != nil {
			return err
		}
	}
	for _, v := range work.absent {
		if err := tell(v); err != nil {
			return err
		}
	}
	bad := 0
	for i := range list {
		if !list[i].good() {
			bad++
		}
	}
	var err error
	if c.JSON {
		err = verifyJSON(d.stdout, list, work.checkedDays, bad == 0)
	} else {
		err = verifySummary(d.stdout, &work, len(list), bad)
	}
	if err == nil && bad > 0 {
		return errReported
	}
	return err
}

// verifyOne checks one file. Its error is only that ctx has ended.
func verifyOne(ctx context.Context, path string) (verifyResult, error) {
	report, err := verify.File(ctx, path)
	if ctx.Err() != nil {
		return verifyResult{}, fmt.Errorf("verify %s: %w", path, ctx.Err())
	}
	return verifyResult{Report: report, err: err}, nil
}

func verifyJSON(w io.Writer, list []verifyResult, days []dayJSON, ok bool) error {
	files := make([]fileJSON, len(list))
	for i := range list {
		r := &list[i]
		f := fileJSON{r.Path, r.good(), r.absent, r.Report}
		if r.err != nil {
			f.Problems = append(f.Problems, verify.Problem{Text: r.err.Error()})
		}
		// Lists are never null.
		f.Missing, f.Problems = append([]verify.MissingFile{}, f.Missing...), append([]verify.Problem{}, f.Problems...)
		files[i] = f
	}
	return console.JSON(w, struct {
		OK       bool       `json:"ok"`
		Archives []fileJSON `json:"archives"`
		Days     []dayJSON  `json:"days"` // directories with a day.json
	}{ok, files, append([]dayJSON{}, days...)})
}

// print prints one line, and one more for each problem.
func (v *verifyResult) print(w io.Writer) error {
	var lines []string
	switch {
	case v.good():
		lines = append(lines, fmt.Sprintf("ok      %s  %s hour %s, %s, %s, %s%s",
			v.Path, v.UTCDay, v.Hour, count(v.Files, "recording"), count(v.Sessions, "session"), bytesOf(v.Bytes), missingOf(&v.Report)))
	case v.absent:
		lines = append(lines, "ABSENT  "+v.Path)
	case v.err != nil:
		lines = append(lines, "UNREAD  "+v.Path, "        "+v.err.Error())
	default:
		lines = append(lines, "BROKEN  "+v.Path)
	}
	for _, p := range v.Problems {
		lines = append(lines, "        "+p.String())
	}
	if v.MoreProblems > 0 {
		lines = append(lines, fmt.Sprintf("        and %d more", v.MoreProblems))
	}
	return printClean(w, lines...)
}

// verifySummary prints the last line: what to do about bad archives, and what was not checked.
func verifySummary(w io.Writer, work *verifyTargets, all, bad int) error {
	line := count(all, "archive") + ", all as they should be"
	switch {
	case bad > 0 && all == 1:
		line = "this archive cannot be relied on; download it again"
	case bad > 0:
		line = humanize.Comma(int64(bad)) + " of " + count(all, "archive") + " cannot be relied on; download again what is named above"
	case all == 1:
		line = "the archive is as it should be"
	}
	if n := len(work.checkedDays); n > 0 && bad == 0 {
		line += fmt.Sprintf("; complete by day.json: %s", count(n, "day"))
	}
	if work.withoutDay > 0 {
		line += fmt.Sprintf("; whether hours are missing beside %s was not checked, no day.json says so", count(work.withoutDay, "archive"))
	}
	return printLine(w, line)
}

func missingOf(r *verify.Report) string {
	if r.MissingCount == 0 {
		return ""
	}
	return fmt.Sprintf("; %s declared missing", count(r.MissingCount, "recording"))
}
