package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// DefaultPoll is how often a waiting pull asks again: four times an hour, which
// leaves one of the five requests that servers grant for a link that expired.
const DefaultPoll = 15 * time.Minute

// Options says what a Pull fetches and what it waits for.
type Options struct {
	Days     []string // YYYY-MM-DD, UTC
	Dir      string   // gets DAY/HH.zip and DAY/day.json; made when absent
	Parallel int      // downloads at a time; default 4

	WaitPending    bool          // ask again until no hour is pending
	WaitRebuilding bool          // ask again until no hour waits for a newer revision
	WaitLimits     bool          // sit out 429 as long as the server says; else those hours are limited
	Poll           time.Duration // between two such questions; default DefaultPoll
}

// Pull brings the archives of the days into the directory: those that are not
// there, and newer revisions of those that are. Each day costs one request of the
// hourly limit, one more when its links expire, and one for each further
// question of a wait. Archives are checked before they get their name, and
// replaced as a whole. What an interrupted pull left is continued.
//
// progress may be nil. The result tells of every day, also beside an error; the
// error is only about the pull as a whole: ErrBusy, ctx's, or a directory that
// can't be used.
func (c *Client) Pull(ctx context.Context, opts Options, progress Progress) (Result, error) {
	if progress == nil {
		progress = silent{}
	}
	setDefault(&opts.Parallel, 4)
	setDefault(&opts.Poll, DefaultPoll)
	for _, day := range opts.Days {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return Result{}, fmt.Errorf("pull: %q is not a day such as 2025-12-12", day)
		}
	}
	lock, err := lockDir(opts.Dir)
	if err != nil {
		return Result{}, fmt.Errorf("pull: %w", err)
	}
	p := &pull{client: c, opts: opts, progress: progress, slots: make(chan struct{}, max(1, opts.Parallel)), misses: map[int]int{}}
	err = p.run(ctx)
	if unlocked := lock.Close(); unlocked != nil {
		err = errors.Join(err, fmt.Errorf("unlock the directory: %w", unlocked))
	}
	if err != nil {
		err = fmt.Errorf("pull: %w", err)
	}
	return p.result, err
}

// pull is one call of Pull.
type pull struct {
	client   *Client
	opts     Options
	progress Progress
	slots    chan struct{} // taken by running downloads
	result   Result
	misses   map[int]int // questions about a day in a row that were not answered
}

// maxMisses is how many of them a wait outlives, each after several attempts of its own.
const maxMisses = 4

// run goes through the days, and again through those that are waited for.
func (p *pull) run(ctx context.Context) error {
	due := make([]int, len(p.opts.Days))
	p.result.Days = make([]DayResult, len(p.opts.Days))
	for i, day := range p.opts.Days {
		due[i] = i
		p.result.Days[i] = DayResult{Date: day, State: DayIncomplete}
	}
	for {
		if err := p.round(ctx, due); err != nil {
			return err
		}
		due = p.waiting()
		if len(due) == 0 {
			return nil
		}
		p.progress.Note(fmt.Sprintf("%s; asking again at %s", p.waitsFor(due), p.at(p.opts.Poll)))
		if err := pause(ctx, p.opts.Poll); err != nil {
			return err
		}
	}
}

// round looks at each of the days. Once the server refuses the credentials or
// the tenant, it is asked no more.
func (p *pull) round(ctx context.Context, days []int) error {
	var barred error
	for _, i := range days {
		before := p.result.Days[i]
		if barred != nil {
			p.result.Days[i] = DayResult{Date: before.Date, State: DayRefused, Hours: before.Hours, Err: barred}
			continue
		}
		d, err := p.day(ctx, before.Date)
		if err != nil {
			return err
		}
		d.continues(before)
		p.result.Days[i] = d
		if p.misses[i]++; d.Err == nil {
			p.misses[i] = 0
		}
		var refused *RefusedError
		if errors.As(d.Err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden) {
			barred = d.Err
		}
	}
	return nil
}

// waiting is the days to ask for again. A limit that may not be sat out ends the wait; an outage
// of the server does not, unless it lasts.
func (p *pull) waiting() (due []int) {
	for i := range p.result.Days {
		d := &p.result.Days[i]
		asks := d.Err == nil || d.State == DayFailed && p.misses[i] < maxMisses
		if asks && d.count(p.waited) > 0 {
			due = append(due, i)
		}
	}
	return due
}

func (p *pull) waited(h HourResult) bool {
	return p.opts.WaitPending && h.State == HourPending || p.opts.WaitRebuilding && h.Rebuilding
}

func (p *pull) waitsFor(due []int) string {
	hours := 0
	for _, i := range due {
		hours += p.result.Days[i].count(p.waited)
	}
	text := fmt.Sprintf("%d hours are not ready", hours)
	if hours == 1 {
		text = "1 hour is not ready"
	}
	if len(due) == 1 {
		return text + " on " + p.result.Days[due[0]].Date
	}
	return fmt.Sprintf("%s on %d days", text, len(due))
}

// at is the time after a wait, for people.
func (p *pull) at(wait time.Duration) string {
	return p.client.cfg.Now().Add(wait).UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// ask asks for the day, and sits limits out if it may.
func (p *pull) ask(ctx context.Context, day string) (*Day, error) {
	for {
		d, err := p.client.Day(ctx, day)
		if err == nil {
			return d, nil
		}
		if err := p.sitOut(ctx, "the server's limit of requests for days is reached", err); err != nil {
			return nil, err
		}
	}
}

// sitOut waits as long as a limit says; the error itself when it is none, or may
// not be waited for.
func (p *pull) sitOut(ctx context.Context, what string, err error) error {
	var limited *LimitedError
	if !p.opts.WaitLimits || !errors.As(err, &limited) {
		return err
	}
	p.progress.Note(fmt.Sprintf("%s; going on at %s", what, p.at(limited.RetryAfter)))
	return pause(ctx, limited.RetryAfter)
}

// day brings one day. Its error ends the pull.
func (p *pull) day(ctx context.Context, date string) (DayResult, error) {
	failed := func(state DayState, err error) (DayResult, error) {
		if ctx.Err() != nil {
			return DayResult{Date: date, State: DayIncomplete}, ctx.Err()
		}
		return DayResult{Date: date, State: state, Err: err}, nil
	}
	folder, err := openFolder(filepath.Join(p.opts.Dir, date))
	if err != nil {
		return failed(DayFailed, err)
	}
	d, err := p.ask(ctx, date)
	var refused *RefusedError
	var limited *LimitedError
	switch {
	case err == nil:
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound && folder.whole(ctx):
		return kept(folder), nil
	case errors.As(err, &refused):
		return failed(DayRefused, err)
	case errors.As(err, &limited):
		return failed(DayIncomplete, err)
	default:
		return failed(DayFailed, err)
	}
	if err := folder.answered(d); err != nil {
		return failed(DayFailed, err)
	}
	f := &fetch{pull: p, folder: folder, day: d, round: 1}
	result, err := f.run(ctx)
	if err != nil {
		return failed(DayFailed, err)
	}
	return result, nil
}

// kept is a day that the server has no more and the folder has whole.
func kept(f *folder) DayResult {
	d := DayResult{Date: f.dayOf(), State: DayComplete, Kept: true}
	for _, l := range f.last.Links {
		h := HourResult{Hour: l.Hour, State: HourNoData}
		if l.Status == StatusAvailable {
			h = HourResult{Hour: l.Hour, State: HourPresent, Path: f.path(l.Hour + ".zip"), SizeBytes: l.SizeBytes, Revision: l.Revision, Missing: l.MissingFileCount}
		}
		d.Hours = append(d.Hours, h)
	}
	return d
}
