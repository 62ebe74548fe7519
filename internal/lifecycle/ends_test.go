package lifecycle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
)

const (
	tenant    = "acme"
	day       = domain.Day("2031-03-10")
	retention = 10 // days, of sources
)

// ended is a time at which what was recorded on the day has ended.
func ended() time.Time { return day.End().Add((retention + 2) * 24 * time.Hour) }

// fixture is a catalog with a tenant, and a bucket of recordings in MinIO.
type fixture struct {
	*testing.T
	ctx    context.Context
	c      *catalog.Catalog
	bucket *objstore.Bucket
	ends   *lifecycle.Ends
	delete *lifecycle.Deleter
	serial int64
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(f *fixture)) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "catalog.db") },
		"postgres": func(t *testing.T) string { return catalogtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) { test(newFixture(t, catalogtest.Open(t, url(t)))) })
	}
}

func newFixture(t *testing.T, c *catalog.Catalog) *fixture {
	t.Helper()
	f := &fixture{T: t, ctx: t.Context(), c: c, bucket: objstoretest.Open(t, objstoretest.MinIO(t)).Recordings()}
	f.restart()
	f.at(day.Start().Add(time.Hour))
	f.createTenant(tenant)
	return f
}

func (f *fixture) createTenant(id string) {
	f.Helper()
	made := domain.NewTenant(id, 1)
	made.Recordings, made.SourceRetentionDays = true, retention
	_, err := f.c.CreateTenant(f.ctx, made, audit.Origin{})
	f.must(err)
}

// restart makes new parts, which look at each conversation again.
func (f *fixture) restart() {
	log := zaptest.NewLogger(f)
	f.ends = lifecycle.NewEnds(lifecycle.EndsConfig{Page: 3, Together: 2, Most: 4}, f.c.DB(), f.c, f.bucket, time.Now, log)
	f.delete = lifecycle.NewDeleter(lifecycle.DeleterConfig{}, f.c.DB(), f.bucket, log)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) at(now time.Time) {
	f.Helper()
	f.must(catalogtest.ShiftClock(f.ctx, f.c, time.Until(now)))
}

func lines[T any](values ...T) (out []catalog.Line[T]) {
	for i, v := range values {
		out = append(out, catalog.Line[T]{Number: i + 1, Value: v})
	}
	return out
}

// conversation is a conversation's line of the day.
func conversation(id string) domain.Conversation {
	raw := `[{"role":"user","content":"of ` + id + `"}]`
	return domain.Conversation{ID: id, AgentID: "agent", Start: day.Start().Add(time.Hour), TranscriptRaw: &raw}
}

// recording is a line of the next recording of a conversation.
func (f *fixture) recording(id string) domain.Recording {
	f.serial++
	return domain.Recording{ObjectKey: fmt.Sprintf("calls/%s/%d.opus", id, f.serial), ConversationID: id, SessionID: "s", MessageID: f.serial, Type: "agent_tts",
		Timestamp: day.Start().Add(time.Hour + time.Duration(f.serial)*time.Second)}
}

func (f *fixture) message(id string) domain.Message {
	f.serial++
	return domain.Message{ID: fmt.Sprintf("m-%s-%d", id, f.serial), ConversationID: id, Time: day.Start().Add(time.Hour), Type: "UserInput",
		Body: json.RawMessage(`{"userInput":"of ` + id + `"}`)}
}

func (f *fixture) take(b catalog.Batch) error {
	_, err := f.c.Register(f.ctx, tenant, b)
	return err
}

// upload stores audio as the API does.
func (f *fixture) upload(key, text string) error { return f.uploadOf(tenant, key, text) }

func (f *fixture) uploadOf(tenant, key, text string) error {
	reserved, err := f.c.ReserveUpload(f.ctx, tenant, key)
	if err != nil {
		return err
	}
	u := f.put(key, text)
	u.Since = reserved.Since
	return f.c.RegisterUpload(f.ctx, tenant, u)
}

// put writes the bytes of an upload, unless they are there.
func (f *fixture) put(key, text string) catalog.Upload {
	_, err := f.bucket.PutStream(f.ctx, key, strings.NewReader(text), int64(len(text)), "audio/ogg")
	if err != nil && domain.KindOf(err) != domain.KindConflict {
		f.Error(err)
	}
	return catalog.Upload{Key: key, Size: int64(len(text)), CRC32: crc32.ChecksumIEEE([]byte(text)), New: err == nil}
}

// platformPut stores audio beside callvault.
func (f *fixture) platformPut(key, text string) {
	f.Helper()
	_, err := f.bucket.Put(f.ctx, key, []byte(text), objstore.PutOptions{})
	f.must(err)
}

// whole registers a conversation with a recording whose audio is uploaded, a message and a former
// value, and gives the recording.
func (f *fixture) whole(id string) domain.Recording {
	f.Helper()
	rec := f.recording(id)
	f.must(f.take(catalog.Batch{Conversations: lines(conversation(id)), Recordings: lines(rec), Messages: lines(f.message(id))}))
	f.must(f.upload(rec.ObjectKey, "audio of "+id))
	changed := conversation(id)
	changed.Status = "done"
	f.must(f.take(catalog.Batch{Conversations: lines(changed)}))
	return rec
}

// endDay ends the day as the planner does.
func (f *fixture) endDay() {
	f.Helper()
	_, err := f.c.ExpireDays(f.ctx, 10)
	f.must(err)
}

// retire ends the day, when what was recorded on it has ended.
func (f *fixture) retire() {
	f.Helper()
	f.at(ended())
	f.endDay()
}

// sweep runs passes until nothing more is to be done.
func (f *fixture) sweep() (all lifecycle.EndsReport) {
	f.Helper()
	for more := true; more; {
		r, err := f.ends.Sweep(f.ctx)
		f.must(err)
		more = r.More
		all.Conversations += r.Conversations
		all.Recordings += r.Recordings
		all.Messages += r.Messages
		all.Blocked += r.Blocked
	}
	return all
}

func (f *fixture) deleteBytes() lifecycle.DeleterReport {
	f.Helper()
	r, err := f.delete.Sweep(f.ctx)
	f.must(err)
	return r
}

// sourceTables have what conversations consist of.
var sourceTables = []string{"conversations", "messages", "transcripts", "history", "recordings", "corrected_recordings", "objects", "endings", "deletions"}

// rows counts the tenant's rows of a table.
func (f *fixture) rows(table string) (n int) {
	f.Helper()
	f.must(f.c.DB().QueryRowContext(f.ctx, `SELECT count(*) FROM `+table+` WHERE tenant = $1`, tenant).Scan(&n))
	return n
}

// nothingLeft fails if the tenant has a row of source data.
func (f *fixture) nothingLeft() {
	f.Helper()
	for _, table := range sourceTables {
		if n := f.rows(table); n > 0 {
			f.Errorf("%s has %d rows of the tenant", table, n)
		}
	}
}

// isThere fails unless the bucket has these bytes under a key; "" for none.
func (f *fixture) isThere(key, want string) {
	f.Helper()
	o, err := f.bucket.Get(f.ctx, key, objstore.GetOptions{})
	if domain.KindOf(err) == domain.KindNotFound {
		if want != "" {
			f.Errorf("%s is not in the bucket", key)
		}
		return
	}
	f.must(err)
	defer o.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(o.Body)
	f.must(err)
	if b.String() != want {
		f.Errorf("%s has the bytes %q, want %q", key, b.String(), want)
	}
}

// lastDetail gives the detail of the latest audit line of an action.
func (f *fixture) lastDetail(action string) (detail map[string]any) {
	f.Helper()
	f.must(f.c.Audit(f.ctx, tenant, time.Unix(0, 0), time.Unix(1<<40, 0), func(e audit.Entry) error {
		if e.Action == action {
			detail = nil
			return json.Unmarshal(e.Detail, &detail)
		}
		return nil
	}))
	return detail
}

// TestEnds ends conversations whole, and neither others nor their audio.
func TestEnds(t *testing.T) {
	onBoth(t, func(f *fixture) {
		var gone []string
		for i := range 7 {
			gone = append(gone, f.whole(fmt.Sprintf("c-%d", i)).ObjectKey)
		}
		f.at(day.End().Add(2 * time.Hour))
		_, err := f.c.PlanDay(f.ctx, tenant, day)
		f.must(err)
		young := conversation("young")
		later := day.End().Add(3 * 24 * time.Hour)
		young.LastAction = &later
		f.must(f.take(catalog.Batch{Conversations: lines(young)}))
		late := f.message("c-late")
		late.Time = later
		f.must(f.take(catalog.Batch{Conversations: lines(conversation("c-late")), Messages: lines(late)}))

		f.at(ended())
		if r := f.sweep(); r.Conversations != 0 {
			f.Errorf("%d conversations of a day that has not ended have ended", r.Conversations)
		}
		f.endDay()
		f.restart()
		if r := f.sweep(); r.Conversations != 7 || r.Recordings != 7 || r.Messages != 7 {
			f.Errorf("ended %+v, want 7 of each", r)
		}
		if d := f.lastDetail(lifecycle.ActionEnd); d["recordings"] != 1.0 || d["objects"] != 1.0 || d["formerValues"] != 0.0 {
			f.Errorf("the audit log tells %v", d)
		}
		if n := f.rows("deletions"); n != 7 {
			f.Errorf("%d objects are queued, want 7", n)
		}
		if r := f.deleteBytes(); r.Deleted != 7 {
			f.Errorf("deleted %+v, want 7", r)
		}
		for _, key := range gone {
			f.isThere(key, "")
		}
		if n := f.rows("conversations"); n != 2 {
			f.Errorf("%d conversations are left, want the 2 that are younger", n)
		}
		f.at(ended().Add(4 * 24 * time.Hour))
		f.restart()
		f.sweep()
		f.nothingLeft()
	})
}
