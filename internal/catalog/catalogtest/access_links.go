package catalogtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// auditLog writes lines and reads them by tenant and time.
func auditLog(f *fixture) {
	from := f.now()
	_, err := f.issue()
	f.must(err)
	f.newTenant("other", 3)
	for i := range 2100 { // more than two pages
		tenant := "acme"
		if i%3 == 0 {
			tenant = "other"
		}
		f.must(f.c.AppendAudit(f.ctx, audit.Origin{Actor: "command"}, tenant, "test.row", map[string]int{"n": i}))
	}
	to := f.now().Add(time.Second)
	var rows []audit.Entry
	read := func(from, to time.Time) []audit.Entry {
		f.Helper()
		rows = nil
		f.must(f.c.Audit(f.ctx, "acme", from, to, func(e audit.Entry) error {
			rows = append(rows, e)
			return nil
		}))
		return rows
	}
	equal(f, "rows", len(read(from, to)), 1401)
	equal(f, "first", rows[0].Action+rows[0].Actor, "day.linksapp:x")
	equal(f, "says from where", strings.Contains(string(rows[0].Detail), `"remote":"192.0.2.1"`), true)
	for i, e := range rows[1:] {
		if e.Seq <= rows[i].Seq || e.Tenant != "acme" {
			f.Fatalf("row %d: %+v after %+v", i+1, e, rows[i])
		}
	}
	equal(f, "rows before, of the tenant", len(read(from.Add(-time.Hour), from)), 1)
	stop := errors.New("stop")
	err = f.c.Audit(f.ctx, "acme", from, to, func(audit.Entry) error { return stop })
	equal(f, "stopped", errors.Is(err, stop), true)
}

// manyAtOnce asks for days of several tenants at the same time: every window is exact, and a
// refusal undoes no other request.
func manyAtOnce(f *fixture) {
	const tenants, each = 4, 25
	for i := range tenants {
		f.newTenant(fmt.Sprint("t", i), 3)
	}
	var passed [tenants]atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, tenants*each*2)
	for i := range tenants * each {
		all.Go(func() {
			_, err := f.c.IssueDay(f.ctx, f.dayRequest(fmt.Sprint("t", i%tenants)))
			switch domain.KindOf(err) {
			case "":
				passed[i%tenants].Add(1)
			case domain.KindLimited:
			default:
				failures <- err
			}
			_, err = f.c.IssueDay(f.ctx, f.dayRequest("nobody"))
			if domain.KindOf(err) != domain.KindNotFound {
				failures <- fmt.Errorf("an unknown tenant: %w", err)
			}
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		f.Error(err)
	}
	for i := range tenants {
		equal(f, "passed", passed[i].Load(), 5)
		rows := 0
		f.must(f.c.Audit(f.ctx, fmt.Sprint("t", i), f.now().Add(-time.Hour), f.now().Add(time.Hour), func(e audit.Entry) error {
			if e.Actor != fixtureActor {
				rows++
			}
			return nil
		}))
		equal(f, "audit rows", rows, 5)
	}
}

// commitNext publishes the next revision of an hour, as a worker would.
func (f *fixture) commitNext(hour int, size int64) catalog.Claim {
	f.Helper()
	f.add(hour)
	f.plan()
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: hour})
	f.must(err)
	claim := f.claim(hour)
	in, err := f.c.BuildInput(f.ctx, claim)
	f.must(err)
	f.must(f.c.StartArchive(f.ctx, claim))
	f.must(f.c.Commit(f.ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Size: size, Files: len(in.Recordings), Sessions: []domain.Session{{SessionID: "s1"}}}))
	return claim
}

// linksKeep checks that superseded bytes stay until their last link ends, and that every change of
// a day is shown at once.
func linksKeep(f *fixture) {
	r := f.dayRequest(f.tenant)
	r.LinkTTL = 6 * time.Hour // superseded bytes stay for an hour without links, too
	first := f.commitNext(5, 10)
	for range 2 {
		issued, err := f.c.IssueDay(f.ctx, r)
		f.must(err)
		equal(f, "revision", issued.Hours[5].Archive.Revision, 1)
	}
	equal(f, "lines that tell of the archive", f.lines(first.ObjectKey()), 2)
	f.pass(8 * time.Minute) // within the slack: nothing has to be raised
	issued, err := f.c.IssueDay(f.ctx, r)
	f.must(err)
	second := f.commitNext(5, 20)
	earlier := f.commitNext(4, 10)
	issuedNext, err := f.c.IssueDay(f.ctx, r)
	f.must(err)
	f.commitNext(4, 20)
	equal(f, "revision after a rebuild", issuedNext.Hours[5].Archive.Revision, 2)
	for _, c := range []catalog.Claim{first, second} {
		a, err := f.c.LinkAccess(f.ctx, f.key(5), c.Token, catalog.Holder{})
		f.must(err)
		if a.Archive == nil || a.Archive.ObjectKey != c.ObjectKey() {
			f.Fatalf("the link to revision %d gives %+v", c.Revision, a.Archive)
		}
	}
	other, err := f.c.LinkAccess(f.ctx, f.key(6), first.Token, catalog.Holder{})
	f.must(err)
	equal(f, "under another hour", other.Archive == nil, true)
	f.pass(issued.LinksEnd.Sub(f.now()) - time.Second)
	_, err = f.c.DoomUnused(f.ctx, 10)
	f.must(err)
	for key, token := range map[domain.HourKey]string{f.key(5): first.Token, f.key(4): earlier.Token} {
		a, err := f.c.LinkAccess(f.ctx, key, token, catalog.Holder{})
		f.must(err)
		equal(f, "a second before its last link ends", a.Archive != nil, true)
	}
	f.pass(3 * time.Hour)
	n, err := f.c.DoomUnused(f.ctx, 10)
	f.must(err)
	equal(f, "doomed", n, 2)
	f.pass(24 * time.Hour * 4)
	_, err = f.issue()
	f.wantKind(err, domain.KindExpired)
}

// lines counts the day.links lines that have a text, and checks that each one is JSON.
func (f *fixture) lines(text string) (n int) {
	f.Helper()
	f.must(f.c.Audit(f.ctx, f.tenant, f.now().Add(-time.Hour), f.now().Add(time.Hour), func(e audit.Entry) error {
		if !json.Valid(e.Detail) {
			f.Fatalf("not JSON: %s", e.Detail)
		}
		if e.Action == catalog.ActionDay && strings.Contains(string(e.Detail), text) {
			n++
		}
		return nil
	}))
	return n
}

// unknownDay asks for a day without a row, and checks that no row is inserted.
func unknownDay(f *fixture) {
	issued, err := f.issue()
	f.must(err)
	equal(f, "hours", issued.Hours[7].State, catalog.StatePending)
	equal(f, "known", f.view().Known, false)
	equal(f, "lines without links", f.lines(`"request":"r1","links":[]}`), 1)
	equal(f, "end", issued.LinksEnd.Sub(issued.Now), time.Hour)
	f.plan()
	f.pass(-10 * time.Second) // links that end before those of the first answer
	issued, err = f.issue()
	f.must(err)
	equal(f, "hours of the day as it is", issued.Hours[7].State, catalog.StateNoData)
}
