package catalogtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// story follows an hour through a failure, a revision with a missing file and another one.
func story(b *bench) {
	s, err := b.c.HourHistory(b.ctx, b.key(7))
	b.must(err)
	equal(b, "archives of an hour nobody knows", len(s.Archives), 0)
	b.failHour(b.key(7))
	b.pass(time.Minute)
	_, err = b.c.Rebuild(b.ctx, b.tenant, b.day, 7, false)
	b.must(err)
	claim := b.claim(7)
	b.must(b.c.StartArchive(b.ctx, claim))
	in, err := b.c.BuildInput(b.ctx, claim)
	b.must(err)
	b.must(b.c.Commit(b.ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Size: 10, Files: 1, Took: 3 * time.Second,
		Missing: []catalog.MissingFile{{ObjectKey: "k", MessageID: 5, Reason: "not_found"}}}))
	b.pass(time.Minute)
	_, err = b.c.Rebuild(b.ctx, b.tenant, b.day, 7, true)
	b.must(err)
	b.must(b.c.StartArchive(b.ctx, b.claim(7)))

	s, err = b.c.HourHistory(b.ctx, b.key(7))
	b.must(err)
	var states []string
	for _, a := range s.Archives {
		states = append(states, a.State)
	}
	equal(b, "archives, newest first", strings.Join(states, " "), "writing published")
	equal(b, "revision written", s.Archives[0].Revision, 2)
	equal(b, "published", s.Archives[1].Published.IsZero(), false)
	equal(b, "missing", len(s.Missing), 1)
	equal(b, "missing object", s.Missing[0].ObjectKey, "k")
	equal(b, "wanted and built", [2]int64{s.Wanted, s.Built}, [2]int64{2, 1})
	equal(b, "took", s.Took, 3*time.Second)
	equal(b, "looked for again", s.Recheck.IsZero(), false)
	equal(b, "lease", s.Lease.IsZero(), false)
}

// failedFiles follows the files that an hour failed for: the last build's, until one succeeds.
func failedFiles(b *bench) {
	gone, changed := catalog.MissingFile{ObjectKey: "k", MessageID: 5, Reason: catalog.ReasonNotFound}, catalog.MissingFile{ObjectKey: "l", Reason: catalog.ReasonSize}
	named := func(what string, want ...catalog.MissingFile) {
		b.Helper()
		s, err := b.c.HourHistory(b.ctx, b.key(7))
		b.must(err)
		equal(b, what, fmt.Sprint(s.Missing), fmt.Sprint(want))
	}
	fail := func(kind domain.Kind, missing ...catalog.MissingFile) {
		b.Helper()
		_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, 7, true)
		b.must(err)
		b.must(b.c.Fail(b.ctx, b.claim(7), catalog.Failure{Kind: kind, Message: "no", Final: true, Missing: missing}))
	}
	b.add(7)
	fail(domain.KindAllMissing, gone, changed)
	named("after a failure", gone, changed)
	fail(domain.KindAllMissing, changed)
	named("after another", changed)
	fail(domain.KindStoreFault)
	named("after one for another reason")
	fail(domain.KindAllMissing, gone)
	_, err := b.c.Rebuild(b.ctx, b.tenant, b.day, 7, true)
	b.must(err)
	b.must(b.c.Release(b.ctx, b.claim(7)))
	named("after a drain", gone)
	b.publish(7)
	named("after a success")
	fail(domain.KindAllMissing, gone)
	named("of a newer revision that failed", gone)
}

// download begins a download of an hour's archive, as often as the tenant may.
func (b *bench) download(hour int) {
	b.Helper()
	v, err := b.c.Day(b.ctx, b.tenant, b.day)
	b.must(err)
	_, err = b.c.BeginDownload(b.ctx, catalog.Download{HourKey: b.key(hour), Token: v.Hours[hour].Archive.Token, Revision: v.Hours[hour].Revision,
		Origin: catalog.Origin{Actor: "link", Remote: "192.0.2.1"}})
	b.must(err)
}

func (b *bench) twoHours() {
	b.Helper()
	b.add(8, 19)
	_, err := b.c.PlanDay(b.ctx, b.tenant, b.day)
	b.must(err)
	b.publish(8)
	b.publish(19)
}

func downloadCounts(b *bench) {
	b.twoHours()
	for range 3 {
		b.download(8)
	}
	b.download(19)
	// Neither another day's nor another tenant's.
	b.must(b.c.AppendAudit(b.ctx, catalog.Origin{Actor: "link"}, b.tenant, catalog.ActionDownload, map[string]any{"day": b.day.Add(1), "hour": "08"}))
	b.must(b.c.AppendAudit(b.ctx, catalog.Origin{Actor: "link"}, "other", catalog.ActionDownload, map[string]any{"day": b.day, "hour": "08"}))
	counts, err := b.c.DayDownloads(b.ctx, b.tenant, b.day)
	b.must(err)
	var want [24]int
	want[8], want[19] = 3, 1
	equal(b, "downloads", counts, want)
}

func eventsOfAnHour(b *bench) {
	b.twoHours()
	_, err := b.c.IssueDay(b.ctx, catalog.DayRequest{Tenant: b.tenant, Day: b.day, LinkTTL: time.Hour, Origin: catalog.Origin{Actor: "app:x"}})
	b.must(err)
	b.download(8)
	_, err = b.c.RebuildAudited(b.ctx, catalog.RebuildRequest{Tenant: b.tenant, Day: b.day, Hour: 19, Origin: catalog.Origin{Actor: "admin"}})
	b.must(err)
	_, err = b.c.RebuildAudited(b.ctx, catalog.RebuildRequest{Tenant: b.tenant, Day: b.day, Hour: -1, Origin: catalog.Origin{Actor: "admin"}})
	b.must(err)
	b.must(b.c.AppendAudit(b.ctx, catalog.Origin{Actor: "command"}, b.tenant, "key.create", map[string]any{"id": "k"}))
	for _, c := range []struct {
		day   domain.Day
		hour  int
		limit int
		want  string
	}{
		{"", -1, 10, "key.create archive archive download.begun day.links"},
		{b.day, -1, 10, "archive archive download.begun day.links"},
		{b.day, 8, 10, "archive download.begun day.links"},
		{b.day, 19, 10, "archive archive day.links"},
		{b.day, 3, 10, "archive"},
		{b.day, 19, 2, "archive archive"},
		{b.day.Add(-1), -1, 10, ""},
	} {
		list, err := b.c.LatestAudit(b.ctx, b.tenant, c.day, c.hour, c.limit)
		b.must(err)
		var got []string
		for _, e := range list {
			got = append(got, e.Action)
		}
		equal(b, "events of "+string(c.day), strings.Join(got, " "), c.want)
	}
}

// last gives the latest line of the tenant's audit log.
func (b *bench) last() (catalog.AuditEntry, map[string]any) {
	b.Helper()
	list, err := b.c.LatestAudit(b.ctx, b.tenant, "", -1, 1)
	b.must(err)
	if len(list) == 0 {
		return catalog.AuditEntry{}, nil
	}
	var detail map[string]any
	b.must(json.Unmarshal(list[0].Detail, &detail))
	return list[0], detail
}

func rebuildWritten(b *bench) {
	b.twoHours()
	due, err := b.c.RebuildAudited(b.ctx, catalog.RebuildRequest{Tenant: b.tenant, Day: b.day, Hour: -1, Force: true,
		Origin: catalog.Origin{Actor: "admin", Remote: "192.0.2.7", Request: "r-1"}})
	b.must(err)
	equal(b, "due", due, 2)
	e, detail := b.last()
	equal(b, "line", e.Actor+" "+e.Action, "admin "+catalog.ActionArchive)
	equal(b, "force", detail["force"], any(true))
	equal(b, "due in the line", detail["due"], any(2.0))
	equal(b, "request", detail["request"], any("r-1"))
	_, named := detail["hour"]
	equal(b, "an hour is named", named, false)
}

func retryWritten(b *bench) {
	b.failHour(b.key(0))
	done, err := b.c.RetryHour(b.ctx, b.key(0), catalog.Origin{Actor: "admin"})
	b.must(err)
	equal(b, "done", done, true)
	e, detail := b.last()
	equal(b, "line", e.Action, catalog.ActionRetry)
	equal(b, "hour 0 is named", detail["hour"], any("00"))
	done, err = b.c.RetryHour(b.ctx, b.key(0), catalog.Origin{Actor: "admin"})
	b.must(err)
	equal(b, "done twice", done, false)
	again, _ := b.last()
	equal(b, "lines", again.Seq, e.Seq)
	b.claim(0)
}

func featureSwitched(b *bench) {
	t, err := b.c.SetFeature(b.ctx, b.tenant, domain.FeatureExport, true, catalog.Origin{Actor: "admin"})
	b.must(err)
	equal(b, "export", t.Export, true)
	equal(b, "recordings", t.Recordings, true)
	e, detail := b.last()
	equal(b, "line", e.Action, catalog.ActionTenant)
	equal(b, "changed", fmt.Sprint(detail["changed"]), "map[export_api:map[from:false to:true]]")
	_, err = b.c.SetFeature(b.ctx, b.tenant, domain.FeatureRecordings, false, catalog.Origin{Actor: "admin"})
	b.must(err)
	t, err = b.c.Tenant(b.ctx, b.tenant)
	b.must(err)
	equal(b, "features", [2]bool{t.Recordings, t.Export}, [2]bool{false, true})
}

func refusalUnwritten(b *bench) {
	o := catalog.Origin{Actor: "admin"}
	_, err := b.c.RebuildAudited(b.ctx, catalog.RebuildRequest{Tenant: b.tenant, Day: b.day.Add(1), Hour: -1, Origin: o})
	b.wantKind(err, domain.KindInvalid)
	_, err = b.c.RebuildAudited(b.ctx, catalog.RebuildRequest{Tenant: b.tenant, Day: b.day.Add(-30), Hour: -1, Origin: o})
	b.wantKind(err, domain.KindExpired)
	_, err = b.c.RebuildAudited(b.ctx, catalog.RebuildRequest{Tenant: "nobody", Day: b.day, Hour: -1, Origin: o})
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.RetryHour(b.ctx, domain.HourKey{Tenant: "nobody", Day: b.day, Hour: 1}, o)
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.SetFeature(b.ctx, b.tenant, "flying", true, o)
	b.wantKind(err, domain.KindNotFound)
	_, err = b.c.SetFeature(b.ctx, "nobody", domain.FeatureExport, true, o)
	b.wantKind(err, domain.KindNotFound)
	_, detail := b.last()
	equal(b, "lines", len(detail), 0)
}
