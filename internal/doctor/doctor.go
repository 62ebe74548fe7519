package doctor

import (
	"context"
	"fmt"
	"time"
)

// Status is what a check came to.
type Status string

// What a check can come to.
const (
	OK      Status = "ok"
	Warn    Status = "warn"    // it works, and will not always
	Fail    Status = "fail"    // callvault does not work like this
	Skipped Status = "skipped" // there was no way, or no need, to look
)

// Result is one check with what came of it.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Saw    string `json:"saw"`              // what was found, or why nothing was looked for
	Advice string `json:"advice,omitempty"` // what to do
}

// finding is a Result without its name.
type finding struct {
	status Status
	saw    string
	advice string
}

func fine(format string, args ...any) finding { return finding{OK, fmt.Sprintf(format, args...), ""} }

func skip(format string, args ...any) finding {
	return finding{Skipped, fmt.Sprintf(format, args...), ""}
}

func warn(saw, advice string) finding { return finding{Warn, saw, advice} }

func fail(saw, advice string) finding { return finding{Fail, saw, advice} }

// failed is fail with an error, its cause included: the operator asks, not a stranger.
func failed(err error, advice string) finding { return finding{Fail, err.Error(), advice} }

// check is one thing to look at.
type check struct {
	name  string
	needs []string // checks without which this one makes no sense
	after []string // checks whose results it uses where there are some
	run   func(ctx context.Context) finding
}

// running is a check with its result, once done is closed.
type running struct {
	check
	done   chan struct{}
	result Result
}

// examine runs the checks side by side, each as soon as those before it have ended that it waits
// for, and for limit at most. It reports them in their order. Every check is run or skipped.
func examine(ctx context.Context, checks []check, limit time.Duration, clean func(string) string, report func(Result)) []Result {
	all := map[string]*running{}
	order := make([]*running, 0, len(checks))
	for _, c := range checks {
		r := &running{check: c, done: make(chan struct{})}
		needs, after := find(all, c.needs), find(all, c.after)
		all[c.name] = r
		order = append(order, r)
		go func() {
			defer close(r.done)
			f := r.look(ctx, needs, after, limit)
			r.result = Result{Name: r.name, Status: f.status, Saw: clean(f.saw), Advice: clean(f.advice)}
		}()
	}
	results := make([]Result, 0, len(order))
	for _, r := range order {
		<-r.done
		results = append(results, r.result)
		if report != nil {
			report(r.result)
		}
	}
	return results
}

// find gives earlier checks by name.
func find(all map[string]*running, names []string) []*running {
	var list []*running
	for _, name := range names {
		if r := all[name]; r != nil {
			list = append(list, r)
		}
	}
	return list
}

func (r *running) look(ctx context.Context, needs, after []*running, limit time.Duration) finding {
	for _, other := range append(after, needs...) {
		select {
		case <-other.done:
		case <-ctx.Done():
			return skip("interrupted")
		}
	}
	for _, other := range needs {
		if s := other.result.Status; s == Fail || s == Skipped {
			return skip("because %s is %s", other.name, map[Status]string{Fail: "failing", Skipped: "skipped"}[s])
		}
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan finding, 1)
	go func() { done <- r.run(within) }() // some clients end by their own timeouts only
	select {
	case f := <-done:
		return f
	case <-within.Done():
	}
	if ctx.Err() != nil {
		return skip("interrupted")
	}
	select { // both may have come: an answer is better than none
	case f := <-done:
		return f
	case <-time.After(grace):
	}
	return fail(fmt.Sprintf("no answer within %s", limit), "look whether the part hangs, or something between drops what is sent to it")
}

// grace is for a check that reports its own timeout, which says more.
const grace = 500 * time.Millisecond
