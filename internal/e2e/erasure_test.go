package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// locked moves the installation to a bucket of archives that locks them in governance mode.
func (f *fixture) locked() {
	f.t.Helper()
	bucket := testenv.BucketName("locked")
	f.must(f.s3.MakeBucket(f.t.Context(), bucket, minio.MakeBucketOptions{ObjectLocking: true}))
	f.env["CALLVAULT_ARCHIVES_BUCKET"], f.env["CALLVAULT_ARCHIVES_LOCK"] = bucket, "governance"
	f.ok("migrate", "up")
}

// ageing makes all of a tenant's conversations old enough for its source retention, and ends their
// days.
func (f *fixture) ageing(tenant string) {
	f.t.Helper()
	f.sql(`UPDATE days SET completed_us = closes_us WHERE tenant = $1`, tenant)
	f.ok("tenant", "set", tenant, "--retention-days", "1", "--yes")
	f.ok("tenant", "set", tenant, "--source-retention-days", "1", "--yes")
	old := time.Now().Add(-48 * time.Hour).UnixMicro()
	f.sql(`UPDATE recordings SET registered_us = $2 WHERE tenant = $1`, tenant, old)
	f.sql(`UPDATE conversations SET created_us = $2, updated_us = $2 WHERE tenant = $1`, tenant, old)
	f.sql(`UPDATE tenants SET ends_from_us = 0 WHERE id = $1`, tenant)
}

// killing kills processes of these roles at random moments and starts each again, twenty times and
// until ctx ends.
func (f *fixture) killing(ctx context.Context, roles ...string) (kills int) {
	f.t.Helper()
	running := make([]*process, len(roles))
	for i, role := range roles {
		running[i] = f.start(role)
	}
	for ; kills < 20 || ctx.Err() == nil; kills++ {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		i := rand.IntN(len(roles))
		running[i].kill()
		running[i] = f.start(roles[i])
	}
	return kills
}

// versions reads every version of every object of a bucket.
func (f *fixture) versions(bucket string, see func(o minio.ObjectInfo, body []byte)) {
	f.t.Helper()
	for o := range f.s3.ListObjects(f.t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		f.must(o.Err)
		if o.IsDeleteMarker {
			continue
		}
		object, err := f.s3.GetObject(f.t.Context(), bucket, o.Key, minio.GetObjectOptions{VersionID: o.VersionID})
		f.must(err)
		body, err := io.ReadAll(object)
		f.must(err)
		see(o, body)
	}
}

// TestKilledErasures kills workers and a scheduler while conversations are erased, others end by
// their source retention, and days are sealed, in a bucket with object lock. Each erasure ends,
// what ended is gone, and nothing else changes: least of all what a hold covers.
func TestKilledErasures(t *testing.T) {
	f := newFixture(t)
	f.locked()
	f.tenant("acme", "beta")
	yesterday := f.yesterday()
	before := yesterday.Add(-1)
	f.start("api")
	roles := f.start("scheduler,worker")
	var acme []recording
	for hour := range 4 {
		acme = append(acme, spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: hour}, "r", 16, 3000)...)
	}
	beta := spread(domain.HourKey{Tenant: "beta", Day: before, Hour: 5}, "r", 24, 3000)
	f.takeFiles(slices.Concat(acme, beta))
	f.waitBuilt(day{"acme", yesterday}, day{"beta", before})
	roles.term()
	held := acme[0].Conversation
	f.ok("hold", "create", "--tenant", "acme", "--name", "m", "--reason", "r", "--conversation", held)
	f.ok("hold", "create", "--tenant", "beta", "--name", "m", "--reason", "r", "--conversation", beta[0].Conversation)
	f.step("built")

	f.ageing("beta")
	var erased []string
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		for _, r := range acme {
			if r.Conversation == held || slices.Contains(erased, r.Conversation) || len(erased) == 6 {
				continue
			}
			erased = append(erased, r.Conversation)
			if p := f.run(nil, "erase", "--tenant", "acme", "--conversation", r.Conversation, "--reason", "r", "--yes"); p.code() != 0 {
				t.Errorf("erase: %s", p.log)
			}
			f.run(lines(acme), "import", "--tenant", "acme", "-") // what was erased comes again, or is being deleted
		}
	}()
	kills := f.killing(ctx, "scheduler", "worker", "worker")
	<-done
	f.step(fmt.Sprint("ordered, and killed ", kills))

	eventually(t, "erasures and ends are done", func(context.Context) string {
		f.sql(`UPDATE deletions SET due_us = 0`) // as if the claims of killed workers had lapsed
		for what, query := range map[string]string{
			"erasures are open":    `SELECT count(*) FROM erasures WHERE proven_us IS NULL`,
			"deletions wait":       `SELECT count(*) FROM deletions`,
			"conversations remain": `SELECT count(*) - 1 FROM conversations WHERE tenant = 'beta'`,
		} {
			if n := f.number(query); n > 0 {
				return fmt.Sprint(n, " ", what)
			}
		}
		return ""
	})
	f.step("done")
	again := f.run(lines(acme), "import", "--tenant", "acme", "-")
	if code := again.code(); code != 0 || !strings.Contains(again.out.String(), "of erased conversations, and not stored: ") {
		t.Errorf("erased lines that come again: exit %d\n%s%s", code, again.out.String(), again.log)
	}
	f.checkGone(acme, beta, erased)
	f.check(day{"acme", yesterday})
	f.checkProven(before, yesterday.Add(1))
}

// checkGone reads all versions in both buckets. No source audio is there of what was erased or has
// ended, and all other audio is. No archive has what was erased, and the store locks all of them.
func (f *fixture) checkGone(acme, beta []recording, erased []string) {
	f.t.Helper()
	gone := func(r recording) bool {
		return slices.Contains(erased, r.Conversation) || r.Tenant == "beta" && r.Conversation != beta[0].Conversation
	}
	audio := map[string]bool{}
	f.versions(f.env["CALLVAULT_RECORDINGS_BUCKET"], func(o minio.ObjectInfo, _ []byte) { audio[o.Key] = true })
	for _, r := range slices.Concat(acme, beta) {
		if audio[r.Key] == gone(r) {
			f.t.Errorf("the audio %s of %s is there: %t", r.Key, r.Conversation, audio[r.Key])
		}
	}
	f.versions(f.env["CALLVAULT_ARCHIVES_BUCKET"], func(o minio.ObjectInfo, body []byte) {
		for _, r := range acme {
			if slices.Contains(erased, r.Conversation) && bytes.Contains(body, r.body) {
				f.t.Errorf("%s still has %s of %s", o.Key, r.Key, r.Conversation)
			}
		}
		if besideArchives(o.Key) || path.Ext(o.Key) != ".zip" {
			return
		}
		mode, until, err := f.s3.GetObjectRetention(f.t.Context(), f.env["CALLVAULT_ARCHIVES_BUCKET"], o.Key, o.VersionID)
		if f.must(err); *mode != minio.Governance || time.Until(*until) < time.Hour {
			f.t.Errorf("%s is locked (%v) until %v", o.Key, mode, until)
		}
	})
	for _, r := range acme {
		if slices.Contains(erased, r.Conversation) {
			f.truth.remove(r.Key)
		}
	}
}

// checkProven checks the log, and an evidence pack of both tenants without a server. Each line
// of the audit log is in it once.
func (f *fixture) checkProven(from, to domain.Day) {
	f.t.Helper()
	eventually(f.t, "each audit line has one number", func(context.Context) string {
		if lines, leaves := f.number(`SELECT count(*) FROM audit`), f.number(`SELECT count(*) FROM log_leaves WHERE kind = 'line'`); lines != leaves {
			return fmt.Sprintf("%d lines have %d", lines, leaves)
		}
		return ""
	})
	f.ok("log", "verify")
	keys := filepath.Join(f.dir, "log-keys.txt")
	f.must(os.WriteFile(keys, []byte(f.ok("log", "key")), 0o600))
	for _, tenant := range []string{"acme", "beta"} {
		pack := filepath.Join(f.dir, "evidence-"+tenant)
		f.ok("evidence", "--tenant", tenant, "--from", string(from), "--to", string(to), "--archives", "--out", pack)
		f.ok("verify", pack, "--log-key", keys)
	}
	f.step("checked")
}
