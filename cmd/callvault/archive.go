package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// archiveCmd plans a tenant's day now.
type archiveCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string `required:"" help:"The tenant's id."`
	Day          string `required:"" help:"The UTC day: YYYY-MM-DD, yesterday or today." placeholder:"DAY"`
	Hour         *int   `help:"Only this hour, 0 to 23." placeholder:"H"`
	Force        bool   `help:"Rebuild also what is complete."`
	Reopen       bool   `help:"Grant the day another retention period, counted from now."`
	Wait         bool   `help:"Wait until no hour is pending or being rebuilt; exits with 1 if one failed, or if recordings that a total counts were not registered."`
	JSON         bool   `help:"Print JSON."`
}

func (*archiveCmd) Help() string {
	return "Builds what is due at once instead of at its time. Without running workers it builds in this process and waits.\n\n" +
		"Examples:\n\n    callvault archive --tenant acme --day yesterday --wait\n" +
		"    callvault archive --tenant acme --day 2025-12-12 --hour 14 --force\n" +
		"    callvault archive --tenant acme --day 2025-12-12 --reopen --wait"
}

// archiveJSON is what --json prints.
type archiveJSON struct {
	Tenant  string     `json:"tenant"`
	Day     domain.Day `json:"day"`
	Due     int        `json:"due"`     // hours that were made due
	Waiting int        `json:"waiting"` // hours still pending or being rebuilt
	Failed  int        `json:"failed"`

	Complete     int   `json:"complete"`     // hours without recordings, or whose archive holds all that is registered
	Incomplete   int   `json:"incomplete"`   // available hours with missing recordings that are not being rebuilt
	Empty        int   `json:"empty"`        // hours without recordings
	MissingFiles int   `json:"missingFiles"` // recordings that archives declare missing
	ShortBy      int64 `json:"shortBy"`      // recordings that are fewer than the totals say
	Surplus      int64 `json:"surplus"`      // recordings that are more
	Enabled      bool  `json:"enabled"`      // the tenant may fetch them: it has daily_audio_recordings

	off      []string  // totals that are not what is registered
	started  time.Time // by the catalog's clock, before the hours were made due
	queueErr error     // why the hours could not be enqueued now
}

// setHours counts the states of all hours, or of one when hour >= 0.
func setHours(r *archiveJSON, v catalog.DayView, hour int) {
	n := v.CountsOf(hour)
	r.Waiting, r.Failed, r.Empty, r.MissingFiles = n.Pending+n.Rebuilding, n.Failed, n.NoData, n.Missing
	r.ShortBy, r.Surplus = v.OffBy(hour)
	r.off = nil
	v.Totals.Each(func(of int, total, registered int64) {
		if total != registered && (hour < 0 || of == hour) {
			name := "the day"
			if of != domain.WholeDay {
				name = fmt.Sprintf("hour %02d", of)
			}
			r.off = append(r.off, fmt.Sprintf("%s has %d of %d", name, registered, total))
		}
	})
	r.Complete, r.Incomplete = n.Complete(), n.Lacking-n.Rebuilding
}

// Run plans the day, and waits for it if the flags say so.
func (c *archiveCmd) Run(ctx context.Context, d *deps) error {
	day, err := parseDay(c.Day, time.Now())
	if err != nil {
		return err
	}
	hour := -1
	if c.Hour != nil {
		if hour = *c.Hour; hour < 0 || hour > 23 {
			return &usageError{fmt.Sprintf("--hour %d is no hour of the day; use 0 to 23", hour)}
		}
	}
	cfg, log, err := d.commandConfig(c.Parts)
	if err != nil {
		return err
	}
	return app.WithWorker(ctx, cfg, log, func(ctx context.Context, p *app.Parts, builds bool) error {
		if err := p.Catalog.DB().CheckSchema(ctx); err != nil {
			return err
		}
		out, err := c.start(ctx, p, day, hour)
		if err != nil {
			return err
		}
		if out.queueErr != nil {
			_, _ = fmt.Fprintf(d.stderr, "the queue does not answer; what is due is built once it does: %v\nTo learn more, run: callvault doctor\n", out.queueErr)
		}
		if c.Wait || builds {
			if err := c.wait(ctx, d, p, day, hour, &out); err != nil {
				return err
			}
		}
		if err := d.show(c.JSON, out, out.text); err != nil {
			return err
		}
		if !out.Enabled {
			_, _ = fmt.Fprintf(d.stderr, "%s lacks the feature daily_audio_recordings: it is answered 403 until callvault tenant set %s --feature daily_audio_recordings\n", c.Tenant, c.Tenant)
		}
		if (out.Failed > 0 || out.ShortBy > 0) && (c.Wait || builds) {
			return errReported
		}
		return nil
	})
}

func (r archiveJSON) text() string {
	were := "were"
	if r.Due == 1 {
		were = "was"
	}
	s := fmt.Sprintf("%s of %s: %s %s due; now %d complete (%d no data), %d pending, %d failed", r.Day, r.Tenant, count(r.Due, "hour"), were,
		r.Complete, r.Empty, r.Waiting, r.Failed)
	if r.MissingFiles > 0 {
		s += fmt.Sprintf(", %d incomplete; %s missing from the archives", r.Incomplete, count(r.MissingFiles, "recording"))
	}
	if r.ShortBy > 0 {
		s += fmt.Sprintf("; not complete: %s fewer than the platform's totals say", count(int(r.ShortBy), "recording"))
	}
	if r.Surplus > 0 {
		s += fmt.Sprintf("; %s more than the platform's totals say", count(int(r.Surplus), "recording"))
	}
	if len(r.off) > 0 {
		s += " (" + strings.Join(r.off, ", ") + ")"
	}
	return s
}

// start makes the hours due and writes that into the audit log.
func (c *archiveCmd) start(ctx context.Context, p *app.Parts, day domain.Day, hour int) (archiveJSON, error) {
	out := archiveJSON{Tenant: c.Tenant, Day: day}
	tenant, err := p.Catalog.Tenant(ctx, c.Tenant)
	if err != nil {
		return out, err
	}
	out.Enabled = tenant.Recordings
	if out.started, err = p.Catalog.Now(ctx); err != nil {
		return out, err
	}
	if c.Reopen {
		if err := p.Catalog.Reopen(ctx, c.Tenant, day, commandOrigin()); err != nil {
			return out, err
		}
	}
	r := catalog.RebuildRequest{Tenant: c.Tenant, Day: day, Hour: hour, Force: c.Force, Origin: commandOrigin()}
	out.Due, err = p.Planner(zap.NewNop()).Archive(ctx, r)
	if err != nil && (out.Due == 0 || domain.KindOf(err) != domain.KindUnavailable) {
		return out, err
	}
	out.queueErr = err // the planner's next pass enqueues what is due
	v, err := p.Catalog.Day(ctx, c.Tenant, day)
	setHours(&out, v, hour)
	return out, err
}

const (
	waitPoll  = 100 * time.Millisecond
	feedEvery = 10 // polls
)

// wait waits for the day and prints which hours failed.
func (c *archiveCmd) wait(ctx context.Context, d *deps, p *app.Parts, day domain.Day, hour int, out *archiveJSON) error {
	progress := console.NewProgress(ctx, d.stderr, console.IsTerminal(d.stderr), time.Now)
	defer progress.Close()
	bar := progress.StartCount(fmt.Sprintf("hours of %s", day), int64(hoursOf(hour)))
	v, err := waitForDay(ctx, p, c.Tenant, day, hour, out.started, bar)
	bar.End(err)
	if err != nil {
		return err
	}
	setHours(out, v, hour)
	stuck := stuckHours(v, hour, out.started)
	out.Waiting, out.Failed = out.Waiting-len(stuck), out.Failed+len(stuck)
	return c.printFailures(ctx, d, p, v, hour, stuck)
}

// waitForDay waits until no hour of the day, or the one hour, is pending or being rebuilt. bar may
// be nil. Only some hours of a tenant are dispatched at a time, and the next pass of the scheduler
// may be a minute later, so this function dispatches as well.
func waitForDay(ctx context.Context, p *app.Parts, tenant string, day domain.Day, hour int, started time.Time, bar *console.Task) (catalog.DayView, error) {
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	planner := p.Planner(zap.NewNop())
	done := 0
	for poll := 1; ; poll++ {
		v, err := p.Catalog.Day(ctx, tenant, day)
		if ctx.Err() != nil { // SQLite returns another error then
			return v, ctx.Err()
		}
		if err != nil {
			return v, err
		}
		waiting, _ := v.Unfinished(hour)
		waiting -= len(stuckHours(v, hour, started))
		if bar != nil {
			bar.Add(int64(hoursOf(hour) - waiting - done))
			done = hoursOf(hour) - waiting
		}
		if waiting == 0 {
			return v, nil
		}
		if poll%feedEvery == 0 {
			_, _ = planner.DispatchPass(ctx) // the scheduler repeats it and logs errors
			if p.Abandoned() {
				return v, domain.Errorf(domain.KindUnavailable, "the callvault that builds on this data directory (pid %d) has ended; what is due stays due: start it again", p.Standalone.PID)
			}
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-tick.C:
		}
	}
}

func hoursOf(hour int) int {
	if hour >= 0 {
		return 1
	}
	return 24
}

// maxRetryWait is the longest wait before a retry that archive --wait waits for.
const maxRetryWait = 30 * time.Minute

// stuckHours lists the hours whose next revision has failed since started, and is not tried again
// soon. Their older revision is still served.
func stuckHours(v catalog.DayView, hour int, started time.Time) (stuck []int) {
	for _, h := range v.Hours {
		if (hour < 0 || h.Hour == hour) && h.Rebuilding && h.Worker == "" && h.FailedAt.After(started) && h.Due.Sub(h.FailedAt) > maxRetryWait {
			stuck = append(stuck, h.Hour)
		}
	}
	return stuck
}

// printFailures prints which hours failed and why, and which recordings the archives lack.
func (c *archiveCmd) printFailures(ctx context.Context, d *deps, p *app.Parts, v catalog.DayView, hour int, stuck []int) error {
	for _, h := range v.Hours {
		failed := h.State == catalog.StateFailed || slices.Contains(stuck, h.Hour)
		if !failed && (h.Archive == nil || h.Archive.MissingCount == 0) || hour >= 0 && h.Hour != hour {
			continue
		}
		history, err := p.Catalog.HourHistory(ctx, domain.HourKey{Tenant: c.Tenant, Day: v.Day, Hour: h.Hour})
		if err != nil {
			return err
		}
		if failed {
			_, err = fmt.Fprintf(d.stderr, "hour %02d failed: %s\n", h.Hour, console.Clean(h.LastError))
		} else {
			_, err = fmt.Fprintf(d.stderr, "hour %02d lacks recordings. %s\n", h.Hour, catalog.Advice(history.Missing))
		}
		if err := errors.Join(err, printMissing(d, history.Missing)); err != nil {
			return err
		}
	}
	return nil
}

// maxListed is how many missing recordings of an hour are printed. Its page in the console has all.
const maxListed = 20

func printMissing(d *deps, missing []catalog.MissingFile) (err error) {
	for i, m := range missing {
		if i == maxListed {
			_, err = fmt.Fprintf(d.stderr, "  and %d more, which the hour's page in the console names\n", len(missing)-i)
			return err
		}
		if _, err = fmt.Fprintf(d.stderr, "  %s %s\n", m.Reason, console.Clean(m.ObjectKey)); err != nil {
			return err
		}
	}
	return nil
}
