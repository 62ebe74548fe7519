package doctor_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/catalog/migrations"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

// TestChangesNothing compares the database, Redis and the buckets before and after, on databases in
// several states, also while somebody holds the lock of migrations.
func TestChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.s.Try, f.s.Config.RedisURL = false, config.Secret(testenv.NewRedis(t).URL())
	f.fillQueue()
	var writes atomic.Int64
	f.s.Config.S3Endpoint = f.between(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writes.Add(1)
		}
		return false
	}, nil)
	state := func() map[string]any {
		m := testenv.MinIO(t)
		return map[string]any{"database": testenv.PostgresText(t, f.s.Config.DatabaseURL.Reveal()), "redis": f.redisKeys(),
			"recordings": m.Keys(t, f.s.Config.Recordings), "archives": m.Keys(t, f.s.Config.Archives)}
	}
	former := testenv.Postgres(t)
	migrateFirst(t, former)
	for name, c := range map[string]struct {
		database   config.Secret
		free, held doctor.Status // of the schema, while nobody or somebody holds the lock of migrations
	}{
		"as it should be":  {f.s.Config.DatabaseURL, doctor.OK, doctor.Warn},
		"empty":            {config.Secret(testenv.Postgres(t)), doctor.Fail, doctor.Fail},
		"of a former step": {config.Secret(former), doctor.Fail, doctor.Fail},
	} {
		f.s.Config.DatabaseURL = c.database
		for _, held := range []bool{false, true} {
			want := c.free
			if held {
				want = c.held
				f.strand()
			}
			before, begun := state(), time.Now()
			got := f.examine()
			if took := time.Since(begun); took > f.s.Limit {
				t.Errorf("%s, lock held %t: it took %s", name, held, took)
			}
			if d := cmp.Diff(before, state()); d != "" || writes.Load() > 0 {
				t.Errorf("%s, lock held %t: it wrote %d times to the store, and changed (-before +after):\n%s", name, held, writes.Load(), d)
			}
			schema := got["catalog schema"]
			if named := strings.Contains(schema.Saw, "the PostgreSQL session with pid"); schema.Status != want || named != held {
				t.Errorf("%s, lock held %t: %+v", name, held, schema)
			}
			if w := got["workers"]; w.Status != doctor.Warn || !strings.Contains(w.Saw, "workers: 0; hours waiting for one: 1; paused queues, from which no worker takes anything: build") {
				t.Errorf("of the paused queue it says %+v", w)
			}
		}
	}
}

// migrateFirst takes the first step alone, as the program of that time did.
func migrateFirst(t *testing.T, url string) {
	t.Helper()
	const first = "postgres/00031_schema.sql"
	text, err := fs.ReadFile(migrations.Files, first)
	if err == nil {
		var d *db.DB
		if d, err = db.Open(t.Context(), url, fstest.MapFS{first: {Data: text}}); err == nil {
			_, err = d.Migrate(t.Context())
			err = errors.Join(err, d.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fillQueue enqueues a task, pauses its queue, and leaves a worker that ended without saying so.
func (f *fixture) fillQueue() {
	f.Helper()
	q, err := queue.Connect(f.s.Config.RedisURL.Reveal())
	f.must(err)
	f.must(q.Enqueue(f.Context(), domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 1}, 1))
	f.must(q.Redis().Set(f.Context(), "asynq:{build}:paused", "1", 0).Err())
	f.must(q.Redis().ZAdd(f.Context(), "asynq:servers", redis.Z{Score: 1, Member: "dead"}).Err())
	f.must(q.Close())
}

// redisKeys gives every key with its value and whether it lapses.
func (f *fixture) redisKeys() map[string]string {
	f.Helper()
	opts, err := redis.ParseURL(f.s.Config.RedisURL.Reveal())
	f.must(err)
	client := redis.NewClient(opts)
	defer func() { f.must(client.Close()) }()
	all := map[string]string{}
	keys, err := client.Keys(f.Context(), "*").Result()
	f.must(err)
	for _, key := range keys {
		all[key] = client.Dump(context.WithoutCancel(f.Context()), key).Val()
		if client.TTL(f.Context(), key).Val() > 0 {
			all[key] += " lapses"
		}
	}
	return all
}
