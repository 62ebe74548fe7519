package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/client/evidence"
	"github.com/callvault/callvault/client/verify"
	"github.com/callvault/callvault/cmd/callvault/internal/console"
)

// verifyCmd checks downloaded archives without a server.
type verifyCmd struct {
	Path   []string `arg:"" help:"ZIPs, directories whose ZIPs are all checked, and evidence packs." placeholder:"FILE.zip|DIR"`
	LogKey string   `help:"File with the log's public keys, one a line, former ones too: seals must be proven by them." placeholder:"FILE"`
	JSON   bool     `help:"Print one JSON document."`
}

func (*verifyCmd) Help() string {
	return `Checks the structure, every checksum, SHA256SUMS, and that metadata.json lists each recording.
Recordings that metadata.json itself declares missing are counted, not an error. In a directory
that callvault pull wrote, day.json says which hours there must be, and each file must be the
one that was pulled; callvault pull --recheck downloads again what is not. A day.seal must be of
these archives; --log-key FILE checks its proof and signature, without a server, and then each
archive must have a seal. A directory that callvault evidence made is checked as a pack:
each line and seal must stand in the log. Symbolic links in a directory are not followed. Exits with 1 when
anything is wrong or absent.

Examples:

    callvault verify acme_2025-12-12_14.zip
    callvault verify ./archives/2025-12-12
    callvault verify ./archives --log-key log-key.txt
    callvault verify ./acme-december --log-key log-key.txt
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
	absent  bool // day.json has it, and the directory does not
	unknown bool // the directory has it, and day.json does not
	err     error
}

func (v *verifyResult) good() bool { return v.err == nil && v.OK() }

// missed reports whether a download would give an archive that is broken or absent.
func (v *verifyResult) missed() bool { return !v.good() && !v.unknown }

// Run verifies one archive after the other. If one is broken, absent or cannot be read, it still
// checks the others, and returns errReported.
func (c *verifyCmd) Run(ctx context.Context, d *deps) error {
	defer collectOften()()
	keys, err := readLogKeys(c.LogKey)
	if err != nil {
		return err
	}
	targets := verifyTargets{days: map[string]*client.PulledDay{}, seals: map[string]*sealed{}, keys: keys}
	for _, path := range c.Path {
		if err := targets.add(path); err != nil {
			return err
		}
	}
	if err := c.verifyPacks(ctx, d.stdout, &targets); err != nil {
		return err
	}
	var list []verifyResult
	problems := 0
	add := func(v verifyResult) error {
		if !c.JSON && !v.absent {
			if err := v.print(d.stdout); err != nil {
				return err
			}
		}
		v.shorten(c.JSON, &problems)
		list = append(list, v)
		return nil
	}
	for _, path := range targets.zips {
		v, err := verifyOne(ctx, path)
		if err != nil {
			return err
		}
		if day := targets.days[filepath.Dir(path)]; day != nil && v.err == nil {
			v.unknown = !day.Check(&v.Report)
		}
		if v.err == nil {
			targets.checkSeal(&v)
		}
		if err := add(v); err != nil {
			return err
		}
	}
	targets.addAbsent()
	for _, v := range append(targets.unread, targets.absent...) {
		if err := add(v); err != nil {
			return err
		}
	}
	ok := targets.packsOK() && !slices.ContainsFunc(list, func(v verifyResult) bool { return !v.good() })
	if c.JSON {
		err = verifyJSON(d.stdout, list, &targets, ok)
	} else if targets.count() > 0 {
		err = printClean(d.stdout, slices.Concat(targets.absentLines(), targets.sealLines(), targets.summary(list))...)
	}
	if err == nil && !ok {
		return errReported
	}
	return err
}

// maxKept is how many problems of all archives together are kept for the JSON document, since
// hostile archives could fill the memory. Of each archive after that ten are kept.
const maxKept = 20_000

// shorten drops what will not be printed any more.
func (v *verifyResult) shorten(keep bool, problems *int) {
	most := 0
	if keep {
		if most = 10; *problems < maxKept {
			most = maxKept
		}
	}
	if more := len(v.Problems) - most; more > 0 && !v.absent {
		v.MoreProblems += more
		v.Problems = slices.Clone(v.Problems[:most])
	}
	if len(v.Missing) > most {
		v.Missing = slices.Clone(v.Missing[:most])
	}
	*problems += len(v.Problems) + len(v.Missing)
}

// collectOften keeps the garbage of checks small beside what they need: a ZIP of a million entries
// takes 150 MB of memory. The returned function undoes it.
func collectOften() func() {
	before := debug.SetGCPercent(25)
	return func() { debug.SetGCPercent(before) }
}

// verifyOne checks one file. Its error is only that ctx has ended.
func verifyOne(ctx context.Context, path string) (verifyResult, error) {
	report, err := verify.File(ctx, path)
	if ctx.Err() != nil {
		return verifyResult{}, fmt.Errorf("verify %s: %w", path, ctx.Err())
	}
	return verifyResult{Report: report, err: err}, nil
}

func verifyJSON(w io.Writer, list []verifyResult, targets *verifyTargets, ok bool) error {
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
		Days     []dayJSON  `json:"days"`  // directories with a day.json
		Seals    []*sealed  `json:"seals"` // each day.seal

		Packs []evidence.Report `json:"packs"` // of evidence
	}{ok, files, append([]dayJSON{}, targets.checkedDays...), append([]*sealed{}, targets.sealList...), append([]evidence.Report{}, targets.reports...)})
}

// print prints one line, and one more for each problem.
func (v *verifyResult) print(w io.Writer) error {
	var lines []string
	switch {
	case v.good():
		lines = append(lines, fmt.Sprintf("ok      %s  %s hour %s, %s, %s, %s%s",
			v.Path, v.UTCDay, v.Hour, count(v.Files, "recording"), count(v.Sessions, "session"), bytesOf(v.Bytes), missingOf(&v.Report)))
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

// summary has the last lines: how many archives are good, what was not checked, and what to do
// about the others.
func (w *verifyTargets) summary(list []verifyResult) []string {
	all, bad, beside := 0, 0, 0 // beside: a day.json or day.seal, of which only bad ones are listed
	for i := range list {
		switch name := filepath.Base(list[i].Path); {
		case list[i].absent:
		case name == "day.json" || name == "day.seal":
			beside++
		default:
			if all++; !list[i].good() {
				bad++
			}
		}
	}
	var parts []string
	switch {
	case bad+beside > 0:
		parts = append(parts, badText(all, bad, beside)+" cannot be relied on")
	case len(w.absent) > 0:
	case all == 1:
		parts = append(parts, "the archive is as it should be")
	default:
		parts = append(parts, count(all, "archive")+", all as they should be")
	}
	if n := len(w.absent); n > 0 {
		parts = append(parts, count(n, "hour")+" without an archive")
	}
	if n := len(w.checkedDays); n > 0 && bad+beside+len(w.absent) == 0 {
		parts = append(parts, "complete by day.json: "+count(n, "day"))
	}
	if n := w.sealedDays(); n > 0 && bad+beside+len(w.absent) == 0 {
		parts = append(parts, "complete by day.seal: "+count(n, "day"))
	}
	if w.withoutDay > 0 {
		parts = append(parts, "whether hours are missing beside "+count(w.withoutDay, "archive")+" was not checked, only the day.json of callvault pull says so")
	}
	lines := []string{strings.Join(parts, "; ")}
	commands := w.pullCommands(list)
	switch {
	case len(commands) > 0:
		lines[0] += "; to download again what is broken or absent:"
		for _, command := range commands {
			lines = append(lines, "    "+command)
		}
	case slices.ContainsFunc(list, func(v verifyResult) bool { return v.missed() }):
		lines[0] += "; download again what is broken or absent"
	}
	return lines
}

// badText says how many of all archives, and how many files beside them, are bad.
func badText(all, bad, beside int) string {
	text := humanize.Comma(int64(bad)) + " of " + count(all, "archive")
	switch {
	case bad == 0:
		return count(beside, "day.json or day.seal file")
	case all == 1:
		text = "this archive"
	}
	if beside > 0 {
		text += " and " + count(beside, "other file")
	}
	return text
}

func missingOf(r *verify.Report) string {
	if r.MissingCount == 0 {
		return ""
	}
	return fmt.Sprintf("; %s declared missing", count(r.MissingCount, "recording"))
}
