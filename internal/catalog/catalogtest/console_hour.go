package catalogtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// hourHistory reads an hour's history after a failure, a revision with a missing file and another
// revision.
func hourHistory(f *fixture) {
	s, err := f.c.HourHistory(f.ctx, f.key(7))
	f.must(err)
	equal(f, "archives of an hour nobody knows", len(s.Archives), 0)
	f.failHour(f.key(7))
	f.pass(time.Minute)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 7})
	f.must(err)
	claim := f.claim(7)
	f.must(f.c.StartArchive(f.ctx, claim))
	in, err := f.c.BuildInput(f.ctx, claim)
	f.must(err)
	f.must(f.c.Commit(f.ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Size: 10, Files: 1, Took: 3 * time.Second,
		Missing: []catalog.MissingFile{{ObjectKey: "k", MessageID: 5, Reason: "not_found"}}}))
	f.pass(time.Minute)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 7, Force: true})
	f.must(err)
	f.must(f.c.StartArchive(f.ctx, f.claim(7)))

	s, err = f.c.HourHistory(f.ctx, f.key(7))
	f.must(err)
	var states []string
	for _, a := range s.Archives {
		states = append(states, a.State)
	}
	equal(f, "archives, newest first", strings.Join(states, " "), "writing published")
	equal(f, "revision written", s.Archives[0].Revision, 2)
	equal(f, "published", s.Archives[1].Published.IsZero(), false)
	equal(f, "missing", len(s.Missing), 1)
	equal(f, "missing object", s.Missing[0].ObjectKey, "k")
	equal(f, "wanted and built", [2]int64{s.Wanted, s.Built}, [2]int64{2, 1})
	equal(f, "took", s.Took, 3*time.Second)
	equal(f, "looked for again", s.Recheck.IsZero(), false)
	equal(f, "lease", s.Lease.IsZero(), false)
	equal(f, "end of links that nobody has", s.Archives[1].LinksEnd.IsZero(), true)
	issued, err := f.issue()
	f.must(err)
	s, err = f.c.HourHistory(f.ctx, f.key(7))
	f.must(err)
	equal(f, "end of links", s.Archives[1].LinksEnd.After(issued.LinksEnd), true)
	f.ended()
	deleted := func() bool {
		f.Helper()
		s, err := f.c.HourHistory(f.ctx, f.key(7))
		f.must(err)
		return s.Archives[1].Deleted
	}
	equal(f, "deleted at the day's end", deleted(), false)
	f.pass(time.Hour)
	f.deleted(claim.ObjectKey())
	equal(f, "deleted", deleted(), true)
}

// failedFiles reads the files for which an hour failed: those of the last build, until a build
// succeeds.
func failedFiles(f *fixture) {
	gone, changed := catalog.MissingFile{ObjectKey: "k", MessageID: 5, Reason: catalog.ReasonNotFound}, catalog.MissingFile{ObjectKey: "l", Reason: catalog.ReasonSize}
	named := func(what string, want ...catalog.MissingFile) {
		f.Helper()
		s, err := f.c.HourHistory(f.ctx, f.key(7))
		f.must(err)
		equal(f, what, fmt.Sprint(s.Missing), fmt.Sprint(want))
	}
	fail := func(kind domain.Kind, missing ...catalog.MissingFile) {
		f.Helper()
		_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 7, Force: true})
		f.must(err)
		f.must(f.c.Fail(f.ctx, f.claim(7), catalog.Failure{Kind: kind, Message: "no", Final: true, Missing: missing}))
	}
	f.add(7)
	fail(domain.KindAllMissing, gone, changed)
	named("after a failure", gone, changed)
	fail(domain.KindAllMissing, changed)
	named("after another", changed)
	fail(domain.KindStoreFault)
	named("after one for another reason")
	fail(domain.KindAllMissing, gone)
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 7, Force: true})
	f.must(err)
	f.must(f.c.Release(f.ctx, f.claim(7)))
	named("after a drain", gone)
	f.publish(7)
	named("after a success")
	fail(domain.KindAllMissing, gone)
	named("of a newer revision that failed", gone)
}

// download begins a download of an hour's archive, as often as the tenant may.
func (f *fixture) download(hour int) {
	f.Helper()
	v, err := f.c.Day(f.ctx, f.tenant, f.day)
	f.must(err)
	_, err = f.c.BeginDownload(f.ctx, catalog.Download{HourKey: f.key(hour), Token: v.Hours[hour].Archive.Token, Revision: v.Hours[hour].Revision,
		Origin: audit.Origin{Actor: "link", Remote: "192.0.2.1"}})
	f.must(err)
}

func (f *fixture) twoHours() {
	f.Helper()
	f.add(8, 19)
	_, err := f.c.PlanDay(f.ctx, f.tenant, f.day)
	f.must(err)
	f.publish(8)
	f.publish(19)
}

func downloadCounts(f *fixture) {
	f.twoHours()
	for range 3 {
		f.download(8)
	}
	f.download(19)
	// Neither another day's nor another tenant's.
	f.must(f.c.AppendAudit(f.ctx, audit.Origin{Actor: "link"}, f.tenant, catalog.ActionDownload, map[string]any{"day": f.day.Add(1), "hour": "08"}))
	f.must(f.c.AppendAudit(f.ctx, audit.Origin{Actor: "link"}, "other", catalog.ActionDownload, map[string]any{"day": f.day, "hour": "08"}))
	counts, err := f.c.DayDownloads(f.ctx, f.tenant, f.day)
	f.must(err)
	var want [24]int
	want[8], want[19] = 3, 1
	equal(f, "downloads", counts, want)
}

func auditOfAnHour(f *fixture) {
	f.twoHours()
	_, err := f.issue()
	f.must(err)
	f.download(8)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: 19, Origin: audit.Origin{Actor: "admin"}})
	f.must(err)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1, Origin: audit.Origin{Actor: "admin"}})
	f.must(err)
	f.must(f.c.AppendAudit(f.ctx, audit.Origin{Actor: "command"}, f.tenant, "key.create", map[string]any{"id": "k"}))
	for _, c := range []struct {
		day   domain.Day
		hour  int
		limit int
		want  string
	}{
		{"", -1, 10, "key.create archive archive download.begun day.links archive.publish archive.publish tenant.create"},
		{f.day, -1, 10, "archive archive download.begun day.links archive.publish archive.publish"},
		{f.day, 8, 10, "archive download.begun day.links archive.publish"},
		{f.day, 19, 10, "archive archive day.links archive.publish"},
		{f.day, 3, 10, "archive"},
		{f.day, 19, 2, "archive archive"},
		{f.day.Add(-1), -1, 10, ""},
	} {
		list, err := f.c.LatestAudit(f.ctx, f.tenant, c.day, c.hour, c.limit)
		f.must(err)
		var got []string
		for _, e := range list {
			got = append(got, e.Action)
		}
		equal(f, "events of "+string(c.day), strings.Join(got, " "), c.want)
	}
}

// last gives the latest line of the tenant's audit log.
func (f *fixture) last() (audit.Entry, map[string]any) {
	f.Helper()
	list, err := f.c.LatestAudit(f.ctx, f.tenant, "", -1, 1)
	f.must(err)
	if len(list) == 0 {
		return audit.Entry{}, nil
	}
	var detail map[string]any
	f.must(json.Unmarshal(list[0].Detail, &detail))
	return list[0], detail
}

func rebuildAudited(f *fixture) {
	f.twoHours()
	due, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day, Hour: -1, Force: true,
		Origin: audit.Origin{Actor: "admin", Remote: "192.0.2.7", Request: "r-1"}})
	f.must(err)
	equal(f, "due", due, 2)
	e, detail := f.last()
	equal(f, "line", e.Actor+" "+e.Action, "admin "+catalog.ActionArchive)
	equal(f, "force", detail["force"], any(true))
	equal(f, "due in the line", detail["due"], any(2.0))
	equal(f, "request", detail["request"], any("r-1"))
	_, named := detail["hour"]
	equal(f, "an hour is named", named, false)
}

func retryAudited(f *fixture) {
	f.failHour(f.key(0))
	done, err := f.c.RetryHour(f.ctx, f.key(0), audit.Origin{Actor: "admin"})
	f.must(err)
	equal(f, "done", done, true)
	e, detail := f.last()
	equal(f, "line", e.Action, catalog.ActionRetry)
	equal(f, "hour 0 is named", detail["hour"], any("00"))
	done, err = f.c.RetryHour(f.ctx, f.key(0), audit.Origin{Actor: "admin"})
	f.must(err)
	equal(f, "done twice", done, false)
	again, _ := f.last()
	equal(f, "lines", again.Seq, e.Seq)
	f.claim(0)
}

func featureSwitched(f *fixture) {
	t, err := f.c.SetFeature(f.ctx, f.tenant, domain.FeatureExport, true, audit.Origin{Actor: "admin"})
	f.must(err)
	equal(f, "export", t.Export, true)
	equal(f, "recordings", t.Recordings, true)
	e, detail := f.last()
	equal(f, "line", e.Action, catalog.ActionTenant)
	equal(f, "changed", fmt.Sprint(detail["changed"]), "map[export_api:map[from:false to:true]]")
	_, err = f.c.SetFeature(f.ctx, f.tenant, domain.FeatureRecordings, false, audit.Origin{Actor: "admin"})
	f.must(err)
	t, err = f.c.Tenant(f.ctx, f.tenant)
	f.must(err)
	equal(f, "features", [2]bool{t.Recordings, t.Export}, [2]bool{false, true})
}

func refusalNotAudited(f *fixture) {
	o := audit.Origin{Actor: "admin"}
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day.Add(1), Hour: -1, Origin: o})
	f.wantKind(err, domain.KindInvalid)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: f.tenant, Day: f.day.Add(-30), Hour: -1, Origin: o})
	f.wantKind(err, domain.KindExpired)
	_, err = f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: "nobody", Day: f.day, Hour: -1, Origin: o})
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.RetryHour(f.ctx, domain.HourKey{Tenant: "nobody", Day: f.day, Hour: 1}, o)
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.SetFeature(f.ctx, f.tenant, "flying", true, o)
	f.wantKind(err, domain.KindNotFound)
	_, err = f.c.SetFeature(f.ctx, "nobody", domain.FeatureExport, true, o)
	f.wantKind(err, domain.KindNotFound)
	line, _ := f.last()
	equal(f, "the latest line", line.Action, catalog.ActionCreate) // the fixture's
}
