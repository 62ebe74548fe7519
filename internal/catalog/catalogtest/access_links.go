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
	"github.com/callvault/callvault/internal/domain"
)

// audit writes, reads by tenant and time, and never changes.
func audit(b *bench) {
	from := b.now()
	_, err := b.issue()
	b.must(err)
	b.newTenant("other", 3)
	for i := range 2100 { // more than two pages
		tenant := "acme"
		if i%3 == 0 {
			tenant = "other"
		}
		b.must(b.c.AppendAudit(b.ctx, catalog.Origin{Actor: "command"}, tenant, "test.row", map[string]int{"n": i}))
	}
	to := b.now().Add(time.Second)
	var rows []catalog.AuditEntry
	read := func(from, to time.Time) []catalog.AuditEntry {
		b.Helper()
		rows = nil
		b.must(b.c.Audit(b.ctx, "acme", from, to, func(e catalog.AuditEntry) error {
			rows = append(rows, e)
			return nil
		}))
		return rows
	}
	equal(b, "rows", len(read(from, to)), 1401)
	equal(b, "first", rows[0].Action+rows[0].Actor, "day.linksapp:x")
	equal(b, "says from where", strings.Contains(string(rows[0].Detail), `"remote":"192.0.2.1"`), true)
	for i, e := range rows[1:] {
		if e.Seq <= rows[i].Seq || e.Tenant != "acme" {
			b.Fatalf("row %d: %+v after %+v", i+1, e, rows[i])
		}
	}
	equal(b, "rows before", len(read(from.Add(-time.Hour), from)), 0)
	stop := errors.New("stop")
	err = b.c.Audit(b.ctx, "acme", from, to, func(catalog.AuditEntry) error { return stop })
	equal(b, "stopped", errors.Is(err, stop), true)
}

// manyAtOnce asks for days of several tenants at once: every window is exact, and a refusal undoes
// nothing of its neighbours.
func manyAtOnce(b *bench) {
	const tenants, each = 4, 25
	for i := range tenants {
		b.newTenant(fmt.Sprint("t", i), 3)
	}
	var passed [tenants]atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, tenants*each*2)
	for i := range tenants * each {
		all.Go(func() {
			_, err := b.c.IssueDay(b.ctx, catalog.DayRequest{Tenant: fmt.Sprint("t", i%tenants), Day: b.day, LinkTTL: time.Hour,
				Origin: catalog.Origin{Actor: "app:x"}})
			switch domain.KindOf(err) {
			case "":
				passed[i%tenants].Add(1)
			case domain.KindLimited:
			default:
				failures <- err
			}
			_, err = b.c.IssueDay(b.ctx, catalog.DayRequest{Tenant: "nobody", Day: b.day})
			if domain.KindOf(err) != domain.KindNotFound {
				failures <- fmt.Errorf("an unknown tenant: %w", err)
			}
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		b.Error(err)
	}
	for i := range tenants {
		equal(b, "passed", passed[i].Load(), 5)
		rows := 0
		b.must(b.c.Audit(b.ctx, fmt.Sprint("t", i), b.now().Add(-time.Hour), b.now().Add(time.Hour), func(catalog.AuditEntry) error {
			rows++
			return nil
		}))
		equal(b, "audit rows", rows, 5)
	}
}

// commit publishes the next revision of an hour, as a worker would.
func (b *bench) commitNext(hour int, size int64) catalog.Claim {
	b.Helper()
	b.add(hour)
	b.plan()
	_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, hour, false)
	b.must(err)
	claim := b.claim(hour)
	in, err := b.c.BuildInput(b.ctx, claim)
	b.must(err)
	b.must(b.c.StartArchive(b.ctx, claim))
	b.must(b.c.Commit(b.ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Size: size, Files: len(in.Recordings), Sessions: []domain.Session{{SessionID: "s1"}}}))
	return claim
}

// linksKeep holds superseded bytes for as long as their last link lives, also when the day was
// handed out from memory, and shows every change at once.
func linksKeep(b *bench) {
	first := b.commitNext(5, 10)
	for range 2 { // the second one finds the day in memory
		issued, err := b.issue()
		b.must(err)
		equal(b, "revision", issued.View.Hours[5].Archive.Revision, 1)
	}
	equal(b, "lines that tell of the archive", b.lines(first.ObjectKey()), 2)
	equal(b, "made", b.made, 1)
	b.pass(8 * time.Minute) // within the slack: nothing has to be raised
	issued, err := b.issue()
	b.must(err)
	second := b.commitNext(5, 20)
	equal(b, "made after a while", b.made, 1)
	issuedNext, err := b.issue()
	b.must(err)
	equal(b, "made of what changed", b.made, 2)
	equal(b, "revision after a rebuild", issuedNext.View.Hours[5].Archive.Revision, 2)
	for _, c := range []catalog.Claim{first, second} {
		a, err := b.c.LinkAccess(b.ctx, b.key(5), c.Token)
		b.must(err)
		if a.Archive == nil || a.Archive.ObjectKey != c.ObjectKey() {
			b.Fatalf("the link to revision %d gives %+v", c.Revision, a.Archive)
		}
	}
	other, err := b.c.LinkAccess(b.ctx, b.key(6), first.Token)
	b.must(err)
	equal(b, "under another hour", other.Archive == nil, true)
	b.pass(issued.LinksEnd.Sub(b.now()) - time.Second)
	_, err = b.c.DoomUnused(b.ctx, 10)
	b.must(err)
	a, err := b.c.LinkAccess(b.ctx, b.key(5), first.Token)
	b.must(err)
	equal(b, "a second before its last link ends", a.Archive != nil, true)
	b.pass(3 * time.Hour)
	n, err := b.c.DoomUnused(b.ctx, 10)
	b.must(err)
	equal(b, "doomed", n, 1)
	b.pass(24 * time.Hour * 4)
	_, err = b.issue()
	b.wantKind(err, domain.KindExpired)
}

// lines counts the audit log's lines of days that hold a text, and wants each to be JSON.
func (b *bench) lines(text string) (n int) {
	b.Helper()
	b.must(b.c.Audit(b.ctx, b.tenant, b.now().Add(-time.Hour), b.now().Add(time.Hour), func(e catalog.AuditEntry) error {
		if !json.Valid(e.Detail) {
			b.Fatalf("not JSON: %s", e.Detail)
		}
		if e.Action == catalog.ActionDay && strings.Contains(string(e.Detail), text) {
			n++
		}
		return nil
	}))
	return n
}

// unknownDay asks for a day that nobody named, which leaves no day behind.
func unknownDay(b *bench) {
	issued, err := b.issue()
	b.must(err)
	equal(b, "hours", issued.View.Hours[7].State, catalog.StatePending)
	equal(b, "known", b.view().Known, false)
	equal(b, "lines without links", b.lines(`"request":"r1","links":[]}`), 1)
	equal(b, "end", issued.LinksEnd.Sub(issued.Now), time.Hour)
	b.plan()
	b.pass(-10 * time.Second) // links that end before those of the first answer
	issued, err = b.issue()
	b.must(err)
	equal(b, "hours of the day as it is", issued.View.Hours[7].State, catalog.StateNoData)
}
