package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// DefaultPoll is the time between two requests of a waiting pull. Four requests an hour leave one
// of the five that a server allows, for links that expire.
const DefaultPoll = 15 * time.Minute

// Options says what a Pull fetches and what it waits for.
type Options struct {
	Days     []string // YYYY-MM-DD, UTC
	Dir      string   // gets DAY/HH.zip, DAY/day.json and DAY/day.seal; made when absent
	Parallel int      // downloads at a time; default 4
	Recheck  bool     // read and check also the archives that are there, and download damaged ones again

	WaitPending    bool          // repeat until no hour is pending
	WaitRebuilding bool          // repeat until no hour is being rebuilt
	WaitLimits     bool          // wait after 429 as long as the server says; else the hour is limited
	Poll           time.Duration // between two repetitions; default DefaultPoll
}

// Pull downloads the archives of the days into the directory: those that are not there, and newer
// revisions of those that are. Each day takes one request of the server's hourly limit, one more
// when its links expire, and one for each repetition. Archives are checked before they get their
// name, and replaced as a whole. When all of a day are there, its seal is stored in DAY/day.seal.
// Downloads that an earlier pull has begun are resumed. Symbolic
// links in the directory are not followed, and a download for which the disk has no room is
// refused.
//
// progress may be nil. The result has every day, even with an error. The error is only about the
// pull as a whole: ErrBusy, that of ctx, or a directory that can't be used.
func (c *Client) Pull(ctx context.Context, opts Options, progress Progress) (Result, error) {
	if progress == nil {
		progress = noProgress{}
	}
	opts.Parallel = cmp.Or(opts.Parallel, 4)
	opts.Poll = cmp.Or(opts.Poll, DefaultPoll)
	for _, day := range opts.Days {
		if !isDay(day) {
			return Result{}, fmt.Errorf("pull: %q is not a day such as 2025-12-12", day)
		}
	}
	dir, err := lockDir(opts.Dir)
	if err != nil {
		return Result{}, fmt.Errorf("pull: %w", err)
	}
	p := &pull{
		client: c, opts: opts, progress: progress, dir: dir.Root, slots: make(chan struct{}, max(1, opts.Parallel)), failures: map[int]int{},
		disk: disk{dir: opts.Dir, running: map[*part]struct{}{}}, checks: checks{all: opts.Recheck, good: map[string]bool{}},
	}
	err = p.run(ctx)
	if unlocked := dir.Close(); unlocked != nil {
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
	dir      *os.Root
	slots    chan struct{} // holds one value for each running download
	disk     disk
	checks   checks
	result   Result
	failures map[int]int // failed requests in a row, by day

	noSeals    bool          // the server makes none
	sealWaited time.Duration // for seals, over all days
}

// maxFailures is after how many failed requests in a row, each with several attempts, a wait ends.
const maxFailures = 4

// run fetches the days, and repeats those that it has to wait for.
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

// round fetches each of the days. After a refusal of the credentials or the tenant, and when the
// URL is wrong, it sends no more requests.
func (p *pull) round(ctx context.Context, days []int) error {
	var refusal error
	var state DayState
	for _, i := range days {
		before := p.result.Days[i]
		if refusal != nil {
			p.result.Days[i] = DayResult{Date: before.Date, State: state, Hours: before.Hours, Err: refusal}
			continue
		}
		d, err := p.day(ctx, before.Date)
		if err != nil {
			return err
		}
		d.keepEarlier(before)
		p.result.Days[i] = d
		if p.failures[i]++; d.Err == nil {
			p.failures[i] = 0
		}
		var refused *RefusedError
		var address *AddressError
		if errors.As(d.Err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden) || errors.As(d.Err, &address) {
			refusal, state = &skippedError{before.Date, d.Err}, d.State
		}
	}
	return nil
}

// skippedError is that of a day that was not asked for, since the error of an earlier one is about
// all days.
type skippedError struct {
	asked string // the earlier day
	err   error
}

func (e *skippedError) Error() string { return "not asked for; see " + e.asked }
func (e *skippedError) Unwrap() error { return e.err }

// waiting returns the days to repeat. A day whose last request failed is repeated up to maxFailures
// times, but not after a limit or a refusal.
func (p *pull) waiting() (due []int) {
	for i := range p.result.Days {
		d := &p.result.Days[i]
		asks := d.Err == nil || d.State == DayFailed && p.failures[i] < maxFailures
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

// at returns the time after a wait, for people.
func (p *pull) at(wait time.Duration) string {
	return p.client.cfg.Now().Add(wait).UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// A limit counts the requests of one hour. A server that asks for a longer wait, or for one again
// and again, gets none: then the hour or day is limited, and the next pull tries it.
const (
	maxLimitWait  = 2 * time.Hour
	maxLimitWaits = 12 // in a row
)

// ask gets the day, and waits for the limit if the options say so.
func (p *pull) ask(ctx context.Context, day string) (*Day, error) {
	for waits := 1; ; waits++ {
		d, err := p.client.Day(ctx, day)
		if err == nil {
			return d, nil
		}
		if err := p.waitForLimit(ctx, "the server's limit of requests for days is reached", err, waits); err != nil {
			return nil, err
		}
	}
}

// waitForLimit waits as long as the server says, if err is a limit and the options allow it. Else
// it returns err.
func (p *pull) waitForLimit(ctx context.Context, what string, err error, waits int) error {
	var limited *LimitedError
	if !p.opts.WaitLimits || !errors.As(err, &limited) || limited.RetryAfter > maxLimitWait || waits > maxLimitWaits {
		return err
	}
	p.progress.Note(fmt.Sprintf("%s; going on at %s", what, p.at(limited.RetryAfter)))
	return pause(ctx, limited.RetryAfter)
}

// day fetches one day. Its error ends the pull.
func (p *pull) day(ctx context.Context, date string) (DayResult, error) {
	d := DayResult{Date: date, State: DayFailed}
	folder, err := openFolder(p.dir, date, &p.checks)
	if err == nil {
		d = p.fetchDay(ctx, folder)
		err = folder.close()
	}
	if err != nil && d.Err == nil {
		d.State, d.Err = DayFailed, err
	}
	if ctx.Err() != nil {
		return DayResult{Date: date, State: DayIncomplete}, ctx.Err()
	}
	return d, nil
}

// fetchDay fetches a day into its folder.
func (p *pull) fetchDay(ctx context.Context, folder *folder) DayResult {
	failed := func(state DayState, err error) DayResult {
		return DayResult{Date: folder.date, State: state, Err: err}
	}
	d, err := p.ask(ctx, folder.date)
	var refused *RefusedError
	var limited *LimitedError
	switch {
	case err == nil:
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound && refused.Message != http.StatusText(http.StatusNotFound):
		// callvault's own words: the day is past retention.
		if hours := p.kept(ctx, folder); hours != nil {
			kept := DayResult{Date: folder.date, Kept: true, Hours: hours}
			kept.Seal, kept.SealErr = p.keptSeal(folder)
			kept.setState()
			return kept
		}
		return failed(DayRefused, err)
	case errors.As(err, &refused):
		return failed(DayRefused, err)
	case errors.As(err, &limited):
		return failed(DayIncomplete, err)
	default:
		return failed(DayFailed, err)
	}
	if err := folder.setDay(d); err != nil {
		return failed(DayFailed, err)
	}
	f := &fetch{pull: p, folder: folder, day: d, round: 1}
	result, err := f.run(ctx)
	if err != nil {
		return failed(DayFailed, err)
	}
	if result.sealable() {
		result.Seal, result.SealErr = p.seal(ctx, folder, f.day)
		result.setState()
	}
	return result
}

// kept returns the hours of a day that is past the server's retention, if the last answer in
// day.json is of a complete day and its archives are in the folder; else nil.
func (p *pull) kept(ctx context.Context, f *folder) (hours []HourResult) {
	if f.last.Date != f.date {
		return nil
	}
	whole := true
	for _, l := range f.last.Links {
		h := HourResult{Hour: l.Hour, State: HourNoData}
		if l.Status != StatusNoData {
			h = HourResult{Hour: l.Hour, State: HourPresent, Path: f.path(l.Hour + ".zip"), SizeBytes: l.SizeBytes, Revision: l.Revision, Missing: l.MissingFileCount}
			there, err := f.find(ctx, l.link())
			h.Checked = there.checked
			if there.damaged != nil {
				p.progress.Note(fmt.Sprintf("%s/%s.zip: %s The server no longer has it.", f.date, l.Hour, there.damaged))
			}
			whole = whole && l.Status == StatusAvailable && err == nil && there.present
		}
		hours = append(hours, h)
	}
	if !whole {
		return nil
	}
	return hours
}
