package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
)

// logCmd holds the commands about the log over the audit lines.
type logCmd struct {
	Key    logKeyCmd    `cmd:"" help:"Print the log's public keys, by which its checkpoints are checked."`
	Rotate logRotateCmd `cmd:"" help:"Make a new key for the log."`
	Verify logVerifyCmd `cmd:"" help:"Recompute the log, and name every line that was changed, dropped or inserted."`
}

type logKeyCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Trust        string `placeholder:"FILE" help:"First add the keys of this file to the catalog, as after the restore of a backup that lacks them."`
	JSON         bool   `help:"Print JSON."`
}

func (*logKeyCmd) Help() string {
	return "Prints one key a line, the present one first. Keep the output: with it archives, seals and checkpoints are checked for ever. " +
		"It is also at /.well-known/callvault-log-key of the API.\n\n" +
		"Examples:\n\n    callvault log key > callvault-log.key\n    callvault log key --trust callvault-log.key"
}

func (c *logKeyCmd) Run(ctx context.Context, d *deps) error {
	var trusted []string
	if c.Trust != "" {
		text, err := os.ReadFile(c.Trust)
		if err != nil {
			return domain.Wrap(domain.KindInvalid, err, "cannot read the keys")
		}
		if trusted, err = evidence.ParseKeys(string(text)); err != nil {
			return err
		}
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		if trusted != nil {
			added, err := p.TrustLogKeys(ctx, trusted, commandOrigin())
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(d.stderr, "not known before: %s\n", count(added, "key"))
		}
		list, err := p.Catalog.LogKeys(ctx)
		if err != nil {
			return err
		}
		keys := make([]string, 0, len(list))
		for _, k := range list {
			keys = append(keys, k.Verifier)
		}
		return d.show(c.JSON, map[string][]string{"keys": keys}, func() string { return strings.Join(keys, "\n") })
	})
}

type logRotateCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	JSON         bool `help:"Print JSON."`
}

func (*logRotateCmd) Help() string {
	return "The next checkpoint is signed by the new key. For eight days the former one signs beside it, so that whoever has only that one can follow. " +
		"Give the new key to those who keep the former; callvault log key prints both.\n\n" +
		"Examples:\n\n    callvault log rotate"
}

func (c *logRotateCmd) Run(ctx context.Context, d *deps) error {
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		key, err := p.RotateLogKey(ctx, commandOrigin())
		if err != nil {
			return err
		}
		return d.show(c.JSON, map[string]string{"key": key}, func() string { return key })
	})
}

type logVerifyCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Since        string `placeholder:"FILE" help:"A checkpoint that somebody kept: also prove that the log only grew since."`
	Lost         int64  `placeholder:"N" help:"How many leaves may have lost their line, because the catalog was restored."`
	JSON         bool   `help:"Print JSON."`
}

func (*logVerifyCmd) Help() string {
	return "Recomputes the log from the catalog's rows, and compares it with the hashes in catalog and bucket and with every checkpoint and its signature. " +
		"Exits with 1 when something is wrong. What was changed before the first checkpoint over it, which is written within a minute, cannot be seen.\n\n" +
		"--since takes a checkpoint, a seal's proof or an object of the bucket's folder checkpoints.\n\n" +
		"Examples:\n\n    callvault log verify\n    callvault log verify --since december.checkpoint --json"
}

func (c *logVerifyCmd) Run(ctx context.Context, d *deps) error {
	opts := evidence.VerifyOptions{Lost: c.Lost}
	if c.Since != "" {
		text, err := os.ReadFile(c.Since)
		if err != nil {
			return domain.Wrap(domain.KindInvalid, err, "cannot read the checkpoint")
		}
		opts.Since = string(text)
	}
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		keys, err := p.LogKeys(ctx)
		if err != nil {
			return err
		}
		progress := console.NewProgress(ctx, d.stderr, console.IsTerminal(d.stderr), time.Now)
		var task *console.Task
		var before int64
		opts.Progress = func(done, total int64) {
			if task == nil {
				task = progress.StartCount("leaves", total)
			}
			task.Add(done - before)
			before = done
		}
		report, err := evidence.Verify(ctx, p.Catalog.Merkle(), p.Archives, p.Config.Prefix, keys, opts)
		if task != nil {
			task.End(err)
		}
		progress.Close()
		if err != nil {
			return err
		}
		return c.show(d, report)
	})
}

// show prints what was found, and fails when anything was.
func (c *logVerifyCmd) show(d *deps, r evidence.Report) error {
	if r.Findings == nil {
		r.Findings = []evidence.Finding{}
	}
	if c.JSON {
		if err := console.JSON(d.stdout, r); err != nil {
			return err
		}
	} else if err := printClean(d.stdout, logReport(r)...); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		return errReported
	}
	return nil
}

// logReport gives a report as sentences.
func logReport(r evidence.Report) (lines []string) {
	for _, f := range r.Findings {
		lines = append(lines, f.Kind+": "+f.Text)
	}
	if r.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", r.More))
	}
	if len(lines) == 0 {
		lines = append(lines, "the log is sound")
		if r.Since > 0 {
			lines = append(lines, fmt.Sprintf("it only grew since the kept checkpoint of %s", english.Plural(int(r.Since), "leaf", "leaves")))
		}
	}
	return append(lines, fmt.Sprintf("compared: %s, of which %d were lost by restores, %s, of which %d in the bucket too, and %s in the bucket; lines that wait for their number: %d",
		english.Plural(int(r.Size), "leaf", "leaves"), r.Lost, count(int(r.Checkpoints), "checkpoint"), r.Objects, count(int(r.Tiles), "tile"), r.Waiting))
}
