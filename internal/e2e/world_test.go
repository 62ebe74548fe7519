package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the test looks into the catalog by itself
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite" // and into a standalone's

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

const internalToken = "the-internal-token-of-the-tests"

// world is one installation: its parts, its settings, and what was registered in it.
type world struct {
	t        *testing.T
	began    time.Time
	bin      string
	dir      string
	env      map[string]string
	cat      *catalog.Catalog
	db       *sql.DB
	s3       *minio.Client
	truth    truth
	apps     map[string]application
	api      string // host:port of the API that clients ask
	redis    *testenv.RedisServer
	minio    *testenv.MinIOServer
	postgres *testenv.PostgresServer
}

type application struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// newWorld makes an installation on servers that other tests use as well.
func newWorld(t *testing.T) *world {
	t.Helper()
	return settle(t, &world{}, testenv.Redis(t), testenv.Postgres(t), testenv.MinIO(t))
}

// newPrivateWorld makes an installation whose servers the test may stop.
func newPrivateWorld(t *testing.T) *world {
	t.Helper()
	w := &world{redis: testenv.NewRedis(t), minio: testenv.NewMinIO(t), postgres: testenv.NewPostgres(t)}
	return settle(t, w, w.redis.URL(), w.postgres.URL(), w.minio.S3)
}

func settle(t *testing.T, w *world, redis, postgres string, s3 testenv.S3) *world {
	t.Helper()
	w.began = time.Now()
	w.t, w.bin, w.dir, w.apps = t, testenv.Program(t), t.TempDir(), map[string]application{}
	w.env = map[string]string{
		"CALLVAULT_DATABASE_URL": postgres, "CALLVAULT_REDIS_URL": redis,
		"CALLVAULT_S3_ENDPOINT": s3.Endpoint, "CALLVAULT_S3_REGION": s3.Region,
		"CALLVAULT_S3_ACCESS_KEY": s3.AccessKey, "CALLVAULT_S3_SECRET_KEY": s3.SecretKey,
		"CALLVAULT_RECORDINGS_BUCKET": testenv.BucketName("recordings"), "CALLVAULT_ARCHIVES_BUCKET": testenv.BucketName("archives"),
		"CALLVAULT_PUBLIC_URL": "http://" + publicHost, "CALLVAULT_LISTEN": "127.0.0.1:0", "CALLVAULT_INTERNAL_TOKEN": internalToken,
		"CALLVAULT_SCHEDULE": "0 0 * * *", // yesterday is over: it is planned at once
		"CALLVAULT_LEASE":    "2s", "CALLVAULT_HEAL_INTERVAL": "1s", "CALLVAULT_LATE_DELAY": "200ms",
		"CALLVAULT_STOP_DELAY": "0s", // no test but one asks an API that stops
	}
	w.objectStore(s3)
	w.ok("migrate", "up")
	w.open(postgres)
	return w
}

// objectStore looks into the buckets.
func (w *world) objectStore(s3 testenv.S3) {
	w.t.Helper()
	endpoint, err := url.Parse(s3.Endpoint)
	w.must(err)
	w.s3, err = minio.New(endpoint.Host, &minio.Options{Creds: credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, ""), Region: s3.Region})
	w.must(err)
}

// open looks into the catalog.
func (w *world) open(database string) {
	w.t.Helper()
	var err error
	w.cat, err = catalog.Open(w.t.Context(), database, catalog.Rules{})
	w.must(err)
	w.t.Cleanup(func() { w.must(w.cat.Close()) })
	driver, source := "pgx", database
	if path, isFile := strings.CutPrefix(database, "sqlite://"); isFile {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	w.db, err = sql.Open(driver, source)
	w.must(err)
	w.t.Cleanup(func() { w.must(w.db.Close()) })
}

// step notes how long the test took to get here.
func (w *world) step(name string) {
	w.t.Helper()
	w.t.Logf("%5.1f s: %s", time.Since(w.began).Seconds(), name)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// run runs a command to its end.
func (w *world) run(stdin []byte, args ...string) *process {
	w.t.Helper()
	p := launch(w.t, w.bin, w.dir, w.env, bytes.NewReader(stdin), args...)
	p.code()
	return p
}

// ok runs a command that must succeed and gives its output.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	p := w.run(nil, args...)
	if code := p.code(); code != 0 {
		w.t.Fatalf("callvault %s exited with %d: %s", strings.Join(args, " "), code, p.log)
	}
	return p.out.String()
}

// start starts roles and waits until they serve. An API is the one that clients ask from now on.
func (w *world) start(roles string, more ...string) *process {
	w.t.Helper()
	return w.startWith(nil, append([]string{"run", roles}, more...)...)
}

// startWith is start with other settings than the world's.
func (w *world) startWith(other map[string]string, args ...string) *process {
	w.t.Helper()
	p := w.launch(w.bin, other, args...)
	address := p.serving()
	if strings.Contains(strings.Join(args, " "), "api") || args[0] == "standalone" {
		w.api = address
	}
	return p
}

// launch starts a process of the given program, with other settings than the world's.
func (w *world) launch(bin string, other map[string]string, args ...string) *process {
	w.t.Helper()
	env := maps.Clone(w.env)
	maps.Copy(env, other)
	return launch(w.t, bin, w.dir, env, nil, args...)
}

// tenant makes a tenant with an application and limits that do not stand in the way.
func (w *world) tenant(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.ok("tenant", "create", id, "--feature", domain.FeatureRecordings)
		w.ok("tenant", "set", id, "--day-limit", "100000", "--download-limit", "100000")
		var a application
		w.must(json.Unmarshal([]byte(w.ok("app", "create", "--tenant", id, "--json")), &a))
		w.apps[id] = a
	}
}

// yesterday is the day that the schedule plans first.
func (w *world) yesterday() domain.Day {
	w.t.Helper()
	at, err := w.cat.Now(w.t.Context())
	w.must(err)
	return domain.DayOf(at).Add(-1)
}

// put stores the recordings' bytes in the bucket, as a voice platform does.
func (w *world) put(list []recording) {
	w.t.Helper()
	group, ctx := errgroup.WithContext(w.t.Context())
	group.SetLimit(8)
	for i := range list {
		r := &list[i]
		group.Go(func() error { return w.store(ctx, r.Key, r.body) })
	}
	w.must(group.Wait())
}

func (w *world) store(ctx context.Context, key string, body []byte) error {
	_, err := w.s3.PutObject(ctx, w.env["CALLVAULT_RECORDINGS_BUCKET"], key, bytes.NewReader(body), int64(len(body)),
		minio.PutObjectOptions{ContentType: "audio/ogg", DisableMultipart: true})
	return err
}

// take stores recordings and registers them by the import command, tenant by tenant.
func (w *world) take(list []recording) {
	w.t.Helper()
	w.put(list)
	w.registered(list)
}

// takeFiles has the import command upload the recordings from a directory and register them.
func (w *world) takeFiles(list []recording) {
	w.t.Helper()
	dir, byTenant := w.t.TempDir(), map[string][]recording{}
	for _, r := range list {
		path := filepath.Join(dir, filepath.FromSlash(r.Key))
		w.must(os.MkdirAll(filepath.Dir(path), 0o700))
		w.must(os.WriteFile(path, r.body, 0o600))
		byTenant[r.Tenant] = append(byTenant[r.Tenant], r)
	}
	for tenant, some := range byTenant {
		file := filepath.Join(dir, tenant+".ndjson")
		w.must(os.WriteFile(file, lines(some), 0o600))
		w.ok("import", "--tenant", tenant, "--audio", dir, file)
	}
	w.truth.add(list...)
}

// registered registers recordings whose bytes are where they should be, or not.
func (w *world) registered(list []recording) {
	w.t.Helper()
	byTenant := map[string][]recording{}
	for _, r := range list {
		byTenant[r.Tenant] = append(byTenant[r.Tenant], r)
	}
	for tenant, some := range byTenant {
		p := w.run(lines(some), "import", "--tenant", tenant, "-")
		if code := p.code(); code != 0 {
			w.t.Fatalf("import exited with %d: %s", code, p.log)
		}
	}
	w.truth.add(list...)
}

// settled waits until no hour of these days is pending or being rebuilt.
func (w *world) settled(days ...day) {
	w.t.Helper()
	eventually(w.t, "the archives are built", func(ctx context.Context) string {
		for _, d := range days {
			v, err := w.cat.Day(ctx, d.tenant, d.day)
			if err != nil {
				return err.Error()
			}
			if waiting, _ := v.Unsettled(-1); waiting > 0 {
				return d.tenant + " " + string(d.day) + " still waits: " + describe(v)
			}
		}
		return ""
	})
}

func describe(v catalog.DayView) string {
	var b strings.Builder
	for _, h := range v.Hours {
		if h.State == catalog.StatePending || h.Rebuilding {
			b.WriteString(time.Duration(h.Hour).String() + " " + h.State + " " + h.LastError + "; ")
		}
	}
	return b.String()
}

// sql changes the catalog behind everybody's back.
func (w *world) sql(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(), query, args...)
	w.must(err)
}

// number reads one number from the catalog.
func (w *world) number(query string, args ...any) int64 {
	w.t.Helper()
	var n int64
	w.must(w.db.QueryRowContext(w.t.Context(), query, args...).Scan(&n))
	return n
}
