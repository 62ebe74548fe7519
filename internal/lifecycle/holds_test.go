package lifecycle_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/worker"
)

// archived is a fixture with a bucket of archives too, and two conversations in one hour's archive.
type archived struct {
	*fixture
	archives *objstore.Bucket
	builder  *worker.Builder
	held     domain.Recording // of c-held
	other    domain.Recording // of c-other
	clock    time.Time
}

func newArchived(t *testing.T) *archived {
	t.Helper()
	f := &archived{fixture: newFixture(t, catalogtest.Open(t, catalogtest.Postgres(t)))}
	f.archives = objstoretest.Open(t, objstoretest.MinIO(t)).Archives()
	f.builder = worker.NewBuilder(worker.Config{Name: "tester"}, f.c, f.bucket, f.archives, time.Now, zaptest.NewLogger(t))
	f.held, f.other = f.whole("c-held"), f.whole("c-other")
	f.pass(day.End().Add(2 * time.Hour).Sub(day.Start()))
	f.build(day, 1)
	return f
}

// pass moves the clock on.
func (f *archived) pass(d time.Duration) {
	f.Helper()
	if f.clock.IsZero() {
		f.clock = day.Start()
	}
	f.clock = f.clock.Add(d)
	f.at(f.clock)
}

func (f *archived) sweeper(c lifecycle.Sweeps) *lifecycle.Sweeper {
	return lifecycle.NewSweeper(lifecycle.SweepConfig{Parallel: 2}, c, f.bucket, f.archives, time.Now, zaptest.NewLogger(f))
}

// build plans a day and builds one of its hours.
func (f *archived) build(day domain.Day, hour int) {
	f.Helper()
	_, err := f.c.PlanDay(f.ctx, tenant, day)
	f.must(err)
	f.must(f.builder.BuildHour(f.ctx, queue.Task{Key: domain.HourKey{Tenant: tenant, Day: day, Hour: hour}, Dispatch: 1}))
}

// rebuild makes the hour's next revision.
func (f *archived) rebuild() {
	f.Helper()
	_, err := f.c.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 1, Force: true})
	f.must(err)
	f.build(day, 1)
}

// everything does what a scheduler and the workers do in three weeks.
func (f *archived) everything() {
	f.Helper()
	for range 8 {
		f.endDay()
		_, err := f.sweeper(f.c).Sweep(f.ctx)
		f.must(err)
		f.sweep()
		f.deleteBytes()
		f.pass(60 * time.Hour)
	}
}

// archivesWith counts the archives in the store that have a recording's audio.
func (f *archived) archivesWith(audio string) (n int) {
	f.Helper()
	for _, key := range f.keys() {
		o, err := f.archives.Get(f.ctx, key, objstore.GetOptions{})
		f.must(err)
		data, err := io.ReadAll(o.Body)
		f.must(errors.Join(err, o.Body.Close()))
		z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		f.must(err)
		for _, entry := range z.File {
			r, err := entry.Open()
			f.must(err)
			content, err := io.ReadAll(r)
			f.must(errors.Join(err, r.Close()))
			if string(content) == audio {
				n++
			}
		}
	}
	return n
}

// keys gives the keys of archives that the catalog says are kept.
func (f *archived) keys() []string {
	f.Helper()
	keys, err := db.Collect(f.ctx, f.c.DB(), db.Value[string], `SELECT object_key FROM archives WHERE state IN ('published', 'superseded', 'retained')`)
	f.must(err)
	return keys
}

// ways are the ways in which something ends or is deleted. Each is tried on what a hold covers:
// then nothing of it may go. Without a hold all of it goes, so that each way is one.
func ways() map[string]func(f *archived) {
	return map[string]func(f *archived){
		"retention": func(*archived) {},
		"a shorter retention": func(f *archived) {
			for _, days := range []int{9, 1} {
				_, err := f.c.SetTenant(f.ctx, tenant, func(t *domain.Tenant) { t.RetentionDays = days }, audit.Origin{})
				f.must(err)
				f.pass(72 * time.Hour)
			}
		},
		"a feature that is switched off": func(f *archived) {
			_, err := f.c.SetFeature(f.ctx, tenant, domain.FeatureRecordings, false, audit.Origin{})
			f.must(err)
		},
		"a closed tenant": func(f *archived) {
			_, err := f.c.CloseTenant(f.ctx, tenant, "contract ended", audit.Origin{})
			f.must(err)
		},
		"another revision": func(f *archived) {
			f.rebuild()
			f.pass(10 * time.Hour)
		},
		"an archive that is taken for gone": func(f *archived) {
			for _, key := range f.keys() {
				_, err := f.c.Gone(f.ctx, catalog.ServedArchive{HourKey: domain.HourKey{Tenant: tenant, Day: day, Hour: 1}, ObjectKey: key})
				f.must(err)
			}
			f.build(day, 1)
		},
		"recordings that move to another hour": func(f *archived) {
			later := f.held.Timestamp.Add(time.Hour)
			for _, rec := range []domain.Recording{f.held, f.other} {
				_, err := f.c.Correct(f.ctx, catalog.Correction{Tenant: tenant, ObjectKey: rec.ObjectKey, Reason: "r", Timestamp: &later})
				if err != nil && domain.KindOf(err) != domain.KindConflict { // a hold covers it
					f.must(err)
				}
			}
			f.pass(time.Hour)
			f.rebuild() // mostly without recordings
			f.pass(10 * time.Hour)
		},
		"a day that is reopened": func(f *archived) {
			f.pass(72 * time.Hour)
			f.endDay()
			_, err := f.sweeper(f.c).Sweep(f.ctx)
			f.must(err)
			f.must(f.c.Reopen(f.ctx, tenant, day, audit.Origin{}))
		},
		"a former program that ends the day": formerEnd,
		"erasure":                            (*archived).erase,
		"the release of another hold": func(f *archived) {
			f.hold("another", func(o *holds.Order) { o.All = true })
			f.pass(50 * time.Hour)
			f.endDay()
			_, err := f.c.ReleaseHold(f.ctx, tenant, "another", "r", audit.Origin{})
			f.must(err)
		},
	}
}

// formerEnd ends the day as a program does that knows no holds.
func formerEnd(f *archived) {
	for _, statement := range []string{
		`UPDATE days SET expired_us = (SELECT now_us FROM catalog_clock)`,
		`UPDATE hours SET state = 'expired', archive = NULL, due_us = NULL`,
		`UPDATE archives SET state = 'doomed', delete_after_us = (SELECT now_us FROM catalog_clock) WHERE state <> 'doomed'`,
	} {
		_, err := f.c.DB().ExecContext(f.ctx, statement)
		f.must(err)
	}
}

func (f *archived) hold(name string, change func(*holds.Order)) catalog.HoldResult {
	f.Helper()
	o := holds.Order{Tenant: tenant, Name: name, Reason: "matter 7"}
	change(&o)
	r, err := f.c.CreateHold(f.ctx, o, audit.Origin{Actor: "admin"})
	f.must(err)
	return r
}

func TestHeldThingsStay(t *testing.T) {
	scopes := map[string]func(*holds.Order){
		"days":         func(o *holds.Order) { o.From, o.To = day, day },
		"conversation": func(o *holds.Order) { o.Conversations = []string{"c-held"} },
	}
	for name, try := range ways() {
		t.Run(name, func(t *testing.T) {
			for scope, change := range scopes {
				f := newArchived(t)
				f.hold("h", change)
				try(f)
				f.everything()
				f.isThere(f.held.ObjectKey, "audio of c-held")
				if f.archivesWith("audio of c-held") == 0 {
					t.Errorf("a hold over %s: no archive has the recording any more", scope)
				}
				if scope != "conversation" {
					f.isThere(f.other.ObjectKey, "audio of c-other")
				} else {
					f.isThere(f.other.ObjectKey, "")
				}
			}
			f := newArchived(t)
			try(f)
			f.everything()
			f.isThere(f.held.ObjectKey, "")
			if n := f.archivesWith("audio of c-held"); n > 0 {
				t.Errorf("without a hold %d archives have the recording", n)
			}
			f.nothingLeft()
		})
	}
}

// What the only whole revision has stays when the platform's bucket loses the audio and the hour is
// built again.
func TestHeldRevisionOfLostAudioStays(t *testing.T) {
	f := newArchived(t)
	f.hold("h", func(o *holds.Order) { o.Conversations = []string{"c-held"} })
	f.must(f.bucket.Remove(f.ctx, f.held.ObjectKey))
	f.rebuild()
	f.everything()
	if f.archivesWith("audio of c-held") != 1 {
		t.Error("the revision that has the lost recording is gone")
	}
}

// A day that is opened again is built without the conversations that ended meanwhile, also where a
// hold on another one has kept the archive.
func TestReopenedAfterAnEnd(t *testing.T) {
	eraseOnBoth(t, func(e *erasing) {
		e.archivedTwo()
		e.fixture.hold("matter-7", "stays")
		e.at(ended())
		e.endDay()
		e.sweep()
		if n := e.rows("conversations"); n != 1 {
			e.Fatalf("%d conversations are left", n)
		}
		e.must(e.c.Reopen(e.ctx, tenant, day, audit.Origin{Actor: "admin"}))
		e.buildAll()
		if files := e.files(1); len(files) != 1 || e.view(1).Revision != 2 {
			e.Errorf("revision %d has %d files", e.view(1).Revision, len(files))
		}
	})
}

// Also without a hold, the only revision that has lost audio stays until the day's end, or until
// the audio is there again. The served archive may be gone meanwhile. Nothing counts it as held.
func TestRevisionOfLostAudioStays(t *testing.T) {
	for _, back := range []bool{false, true} {
		f := newArchived(t)
		f.must(f.bucket.Remove(f.ctx, f.held.ObjectKey))
		f.rebuild()
		for n := range 2 {
			if n == 1 {
				_, err := f.c.Gone(f.ctx, catalog.ServedArchive{HourKey: domain.HourKey{Tenant: tenant, Day: day, Hour: 1}, ObjectKey: f.keys()[1]})
				f.must(err)
			}
			f.pass(3 * time.Hour)
			_, err := f.sweeper(f.c).Sweep(f.ctx)
			f.must(err)
			if f.archivesWith("audio of c-held") != 1 {
				t.Fatal("the revision that has the lost recording is gone")
			}
			if f.rows(`(SELECT tenant FROM archives WHERE delete_after_us IS NULL AND state = 'superseded') x`) > 0 {
				t.Error("it counts as held")
			}
		}
		want := 0
		if back {
			f.platformPut(f.held.ObjectKey, "audio of c-held")
			f.rebuild()
			f.pass(3 * time.Hour)
			want = 1
		} else {
			f.pass(72 * time.Hour)
			f.endDay()
		}
		_, err := f.sweeper(f.c).Sweep(f.ctx)
		f.must(err)
		if n := f.archivesWith("audio of c-held"); n != want {
			t.Errorf("%d archives have the recording, not %d", n, want)
		}
	}
}
