package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/telemetry"
)

// doctorCmd examines an installation.
type doctorCmd struct {
	config.Config `embed:""`
	Roles         string        `help:"Ask also for every setting that these roles cannot do without: api, worker, scheduler, with commas between." placeholder:"ROLES"`
	Timeout       time.Duration `help:"What each check may take (default 10s)." default:"10s" placeholder:"TIME"`
	Try           bool          `help:"Try rights, by small objects, a key in Redis and a file, that are removed again."`
	JSON          bool          `help:"Print JSON."`
}

func (*doctorCmd) Help() string {
	return `Reaches every part with the settings and credentials of this process, and says of each what it
saw, what is wrong and what to do. Run it where a role runs, with the role's variables. Beside a
running callvault standalone it examines that one's parts.

It changes nothing: no row, no lock, no key, no object, no file. Of the buckets it says what callvault
migrate up found out about them. With --try it tries that again, by small objects below PREFIX/probes/
(callvault/probes/ in the recordings bucket) that it removes; it also writes a key into Redis and a file
into the directory of embedded parts, and removes them. It mends and migrates nothing, and remembers
nothing.

Exits with 1 when a check fails; warnings do not count.

Examples:

    callvault doctor
    callvault doctor --roles api,worker
    callvault doctor --try
    callvault doctor --json | jq '.checks[] | select(.status != "ok")'`
}

// doctorJSON is what --json prints.
type doctorJSON struct {
	Status doctor.Status   `json:"status"` // the worst of all checks: ok, warn or fail
	Checks []doctor.Result `json:"checks"`
}

// Run examines the installation, and prints each result when it is known.
func (c *doctorCmd) Run(ctx context.Context, d *deps) error {
	use := config.Command()
	if c.Roles != "" {
		roles, err := config.ParseRoles(c.Roles)
		if err != nil {
			return &usageError{err.Error()}
		}
		use = config.Production(roles...)
	}
	if c.Timeout < time.Second {
		return &usageError{fmt.Sprintf("--timeout %s is too short; use 1s or more", c.Timeout)}
	}
	var settings *config.Error
	if err := d.settings.Finish(&c.Config, use); err != nil && !errors.As(err, &settings) {
		return err
	}
	log, err := telemetry.NewLogger("error", d.stderr, console.IsTerminal(d.stderr))
	if err != nil {
		return err
	}
	var printed error
	s := doctor.Subject{Config: c.Config, Settings: settings, Unknown: config.Unknown(d.env), Try: c.Try, Limit: c.Timeout, Now: time.Now}
	done, text := c.progress(ctx, d), doctorText{advised: map[string]string{}}
	results, err := app.Diagnose(ctx, s, func(r doctor.Result) {
		done()
		if !c.JSON && printed == nil {
			_, printed = fmt.Fprint(d.stdout, text.next(r))
		}
	}, log)
	if err := errors.Join(err, printed); err != nil {
		return err
	}
	if _, err := fmt.Fprint(d.stdout, text.rest()); err != nil {
		return err
	}
	return c.printSummary(d, results)
}

// progress shows a bar on a terminal when results are printed only at the end, as JSON.
func (c *doctorCmd) progress(ctx context.Context, d *deps) (one func()) {
	if !c.JSON || !console.IsTerminal(d.stderr) {
		return func() {}
	}
	bars := console.NewProgress(ctx, d.stderr, true, time.Now)
	bar, left := bars.StartCount("checks", int64(len(doctor.Names()))), len(doctor.Names())
	return func() {
		bar.Add(1)
		if left--; left == 0 {
			bar.End(nil)
			bars.Close()
		}
	}
}

func (c *doctorCmd) printSummary(d *deps, results []doctor.Result) error {
	out := doctorJSON{Status: doctor.OK, Checks: results}
	count := map[doctor.Status]int{}
	for _, r := range results {
		count[r.Status]++
	}
	switch {
	case count[doctor.Fail] > 0:
		out.Status = doctor.Fail
	case count[doctor.Warn] > 0:
		out.Status = doctor.Warn
	}
	err := d.show(c.JSON, out, func() string {
		return fmt.Sprintf("\n%d ok, %d to look at, %d failing, %d skipped", count[doctor.OK], count[doctor.Warn], count[doctor.Fail], count[doctor.Skipped])
	})
	if err == nil && count[doctor.Fail] > 0 {
		return errReported
	}
	return err
}
