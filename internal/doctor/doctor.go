package doctor

import (
	"context"
	"fmt"
	"strings"
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

func pass(format string, args ...any) Result {
	return Result{Status: OK, Saw: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) Result {
	return Result{Status: Skipped, Saw: fmt.Sprintf(format, args...)}
}

func warn(saw, advice string) Result { return Result{Status: Warn, Saw: saw, Advice: advice} }

func fail(saw, advice string) Result { return Result{Status: Fail, Saw: saw, Advice: advice} }

// failErr is fail with an error. It shows the cause too, since only operators read it.
func failErr(err error, advice string) Result { return fail(err.Error(), advice) }

// check examines one thing.
type check struct {
	name  string
	needs []string                         // checks that must not fail or be skipped, else this one is skipped
	after []string                         // checks that must have ended, since it uses what they found
	run   func(ctx context.Context) Result // without its name
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
			r.result = Result{Name: r.name, Status: f.Status, Saw: clean(f.Saw), Advice: clean(f.Advice)}
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

// because says why checks that need one that is failing or skipped are skipped. They all give the
// first reason.
func because(other Result) string {
	if other.Status == Skipped && strings.HasPrefix(other.Saw, "because ") {
		return other.Saw
	}
	return fmt.Sprintf("because %s is %s", other.Name, map[Status]string{Fail: "failing", Skipped: "skipped"}[other.Status])
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

func (r *checkRun) wait(ctx context.Context, needs, after []*checkRun, limit time.Duration) Result {
	for _, other := range append(after, needs...) {
		select {
		case <-other.done:
		case <-ctx.Done():
			return skip("interrupted")
		}
	}
	for _, other := range needs {
		if s := other.result.Status; s == Fail || s == Skipped {
			return skip("%s", because(other.result))
		}
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan Result, 1)
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
