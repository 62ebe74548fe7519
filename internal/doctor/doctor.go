package doctor

import (
	"context"
	"fmt"
	"time"
)

// Status is the outcome of a check.
type Status string

const (
	OK      Status = "ok"
	Warn    Status = "warn"    // it works now, but may fail later
	Fail    Status = "fail"    // callvault does not work like this
	Skipped Status = "skipped" // the check was not possible, or not needed
)

// Result is one check with its outcome.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Saw    string `json:"saw"`              // what the check found, or why it was skipped
	Advice string `json:"advice,omitempty"` // what to do
}

// finding is a Result without its name.
type finding struct {
	status Status
	saw    string
	advice string
}

func pass(format string, args ...any) finding { return finding{OK, fmt.Sprintf(format, args...), ""} }

func skip(format string, args ...any) finding {
	return finding{Skipped, fmt.Sprintf(format, args...), ""}
}

func warn(saw, advice string) finding { return finding{Warn, saw, advice} }

func fail(saw, advice string) finding { return finding{Fail, saw, advice} }

// failErr is fail with an error. It shows the cause too, since only operators read it.
func failErr(err error, advice string) finding { return finding{Fail, err.Error(), advice} }

// check examines one thing.
type check struct {
	name  string
	needs []string // checks that must not fail or be skipped, else this one is skipped
	after []string // checks that must have ended, since it uses what they found
	run   func(ctx context.Context) finding
}

// checkRun is a running check. Its result may be read once done is closed.
type checkRun struct {
	check
	done   chan struct{}
	result Result
}

// examine runs the checks at the same time, each when those that it waits for have ended, and each
// for at most limit. It reports the results in the order of the checks.
func examine(ctx context.Context, checks []check, limit time.Duration, clean func(string) string, report func(Result)) []Result {
	all := map[string]*checkRun{}
	order := make([]*checkRun, 0, len(checks))
	for _, c := range checks {
		r := &checkRun{check: c, done: make(chan struct{})}
		needs, after := find(all, c.needs), find(all, c.after)
		all[c.name] = r
		order = append(order, r)
		go func() {
			defer close(r.done)
			f := r.wait(ctx, needs, after, limit)
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

// find returns earlier checks by name.
func find(all map[string]*checkRun, names []string) []*checkRun {
	var list []*checkRun
	for _, name := range names {
		if r := all[name]; r != nil {
			list = append(list, r)
		}
	}
	return list
}

func (r *checkRun) wait(ctx context.Context, needs, after []*checkRun, limit time.Duration) finding {
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
	go func() { done <- r.run(within) }() // some clients ignore the context and have own timeouts
	select {
	case f := <-done:
		return f
	case <-within.Done():
	}
	if ctx.Err() != nil {
		return skip("interrupted")
	}
	select { // a result that comes late is better than none
	case f := <-done:
		return f
	case <-time.After(grace):
	}
	return fail(fmt.Sprintf("no answer within %s", limit), "look whether the part hangs, or something between drops what is sent to it")
}

// grace is for a check that reports its own timeout: its result says more.
const grace = 500 * time.Millisecond
