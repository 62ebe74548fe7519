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

	_ "github.com/jackc/pgx/v5/stdlib" // the test reads the catalog's database itself
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite" // and a standalone's

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

const internalToken = "the-internal-token-of-the-tests-of-processes"

// fixture is one installation: its parts, its settings and what was registered.
type fixture struct {
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
	api      string // host:port of the API that clients use
	redis    *testenv.RedisServer
	minio    *testenv.MinIOServer
	postgres *testenv.PostgresServer
}

type application struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// newFixture makes an installation on servers that are shared with other tests.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	return setUp(t, &fixture{}, testenv.Redis(t), testenv.Postgres(t), testenv.MinIO(t))
}

// newPrivateFixture makes an installation whose servers the test may stop.
func newPrivateFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{redis: testenv.NewRedis(t), minio: testenv.NewMinIO(t), postgres: testenv.NewPostgres(t)}
	return setUp(t, f, f.redis.URL(), f.postgres.URL(), f.minio.S3)
}

func setUp(t *testing.T, f *fixture, redis, postgres string, s3 testenv.S3) *fixture {
	t.Helper()
	f.began = time.Now()
	f.t, f.bin, f.dir, f.apps = t, testenv.Program(t), t.TempDir(), map[string]application{}
	f.env = map[string]string{
		"CALLVAULT_DATABASE_URL": postgres, "CALLVAULT_REDIS_URL": redis,
		"CALLVAULT_S3_ENDPOINT": s3.Endpoint, "CALLVAULT_S3_REGION": s3.Region,
		"CALLVAULT_S3_ACCESS_KEY": s3.AccessKey, "CALLVAULT_S3_SECRET_KEY": s3.SecretKey,
		"CALLVAULT_RECORDINGS_BUCKET": testenv.BucketName("recordings"), "CALLVAULT_ARCHIVES_BUCKET": testenv.BucketName("archives"),
		"CALLVAULT_PUBLIC_URL": "http://" + publicHost, "CALLVAULT_LISTEN": "127.0.0.1:0", "CALLVAULT_INTERNAL_TOKEN": internalToken,
		"CALLVAULT_SCHEDULE": "0 0 * * *", // yesterday is planned at once
		"CALLVAULT_LEASE":    "2s", "CALLVAULT_HEAL_INTERVAL": "1s", "CALLVAULT_LATE_DELAY": "200ms",
		"CALLVAULT_STOP_DELAY": "0s", // only one test sends requests to a stopping API
	}
	f.objectStore(s3)
	f.ok("migrate", "up")
	f.open(postgres)
	return f
}

// objectStore connects the test to the buckets.
func (f *fixture) objectStore(s3 testenv.S3) {
	f.t.Helper()
	endpoint, err := url.Parse(s3.Endpoint)
	f.must(err)
	f.s3, err = minio.New(endpoint.Host, &minio.Options{Creds: credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, ""), Region: s3.Region})
	f.must(err)
}

// open connects the test to the catalog.
func (f *fixture) open(database string) {
	f.t.Helper()
	var err error
	f.cat, err = catalog.Open(f.t.Context(), database, catalog.Rules{})
	f.must(err)
	f.t.Cleanup(func() { f.must(f.cat.Close()) })
	driver, source := "pgx", database
	if path, isFile := strings.CutPrefix(database, "sqlite://"); isFile {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	f.db, err = sql.Open(driver, source)
	f.must(err)
	f.t.Cleanup(func() { f.must(f.db.Close()) })
}

// step logs how long the test took so far.
func (f *fixture) step(name string) {
	f.t.Helper()
	f.t.Logf("%5.1f s: %s", time.Since(f.began).Seconds(), name)
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// run runs a command to its end.
func (f *fixture) run(stdin []byte, args ...string) *process {
	f.t.Helper()
	p := launch(f.t, f.bin, f.dir, f.env, bytes.NewReader(stdin), args...)
	p.code()
	return p
}

// ok runs a command that must succeed and returns its output.
func (f *fixture) ok(args ...string) string {
	f.t.Helper()
	p := f.run(nil, args...)
	if code := p.code(); code != 0 {
		f.t.Fatalf("callvault %s exited with %d: %s", strings.Join(args, " "), code, p.log)
	}
	return p.out.String()
}

// start starts roles and waits until they serve. Clients use a started API from now on.
func (f *fixture) start(roles string, more ...string) *process {
	f.t.Helper()
	return f.startWith(nil, append([]string{"run", roles}, more...)...)
}

// startWith is start with some other settings.
func (f *fixture) startWith(other map[string]string, args ...string) *process {
	f.t.Helper()
	p := f.launch(f.bin, other, args...)
	address := p.serving()
	if strings.Contains(strings.Join(args, " "), "api") || args[0] == "standalone" {
		f.api = address
	}
	return p
}

// launch starts a process of the given program, with some other settings.
func (f *fixture) launch(bin string, other map[string]string, args ...string) *process {
	f.t.Helper()
	env := maps.Clone(f.env)
	maps.Copy(env, other)
	return launch(f.t, bin, f.dir, env, nil, args...)
}

// tenant makes tenants with an application and high limits.
func (f *fixture) tenant(ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		f.ok("tenant", "create", id, "--feature", domain.FeatureRecordings)
		f.ok("tenant", "set", id, "--day-limit", "100000", "--download-limit", "100000")
		var a application
		f.must(json.Unmarshal([]byte(f.ok("app", "create", "--tenant", id, "--json")), &a))
		f.apps[id] = a
	}
}

// yesterday is the day that the schedule plans first.
func (f *fixture) yesterday() domain.Day {
	f.t.Helper()
	at, err := f.cat.Now(f.t.Context())
	f.must(err)
	return domain.DayOf(at).Add(-1)
}

// put stores the recordings' bytes in the bucket, as a voice platform does.
func (f *fixture) put(list []recording) {
	f.t.Helper()
	group, ctx := errgroup.WithContext(f.t.Context())
	group.SetLimit(8)
	for i := range list {
		r := &list[i]
		group.Go(func() error { return f.store(ctx, r.Key, r.body) })
	}
	f.must(group.Wait())
}

func (f *fixture) store(ctx context.Context, key string, body []byte) error {
	_, err := f.s3.PutObject(ctx, f.env["CALLVAULT_RECORDINGS_BUCKET"], key, bytes.NewReader(body), int64(len(body)),
		minio.PutObjectOptions{ContentType: "audio/ogg", DisableMultipart: true})
	return err
}

// take stores recordings and registers them by the import command.
func (f *fixture) take(list []recording) {
	f.t.Helper()
	f.put(list)
	f.registered(list)
}

// takeFiles has the import command upload the recordings from a directory and register them.
func (f *fixture) takeFiles(list []recording) {
	f.t.Helper()
	dir, byTenant := f.t.TempDir(), map[string][]recording{}
	for _, r := range list {
		path := filepath.Join(dir, filepath.FromSlash(r.Key))
		f.must(os.MkdirAll(filepath.Dir(path), 0o700))
		f.must(os.WriteFile(path, r.body, 0o600))
		byTenant[r.Tenant] = append(byTenant[r.Tenant], r)
	}
	for tenant, some := range byTenant {
		file := filepath.Join(dir, tenant+".ndjson")
		f.must(os.WriteFile(file, lines(some), 0o600))
		f.ok("import", "--tenant", tenant, "--audio", dir, file)
	}
	f.truth.add(list...)
}

// registered registers recordings without storing their bytes.
func (f *fixture) registered(list []recording) {
	f.t.Helper()
	byTenant := map[string][]recording{}
	for _, r := range list {
		byTenant[r.Tenant] = append(byTenant[r.Tenant], r)
	}
	for tenant, some := range byTenant {
		p := f.run(lines(some), "import", "--tenant", tenant, "-")
		if code := p.code(); code != 0 {
			f.t.Fatalf("import exited with %d: %s", code, p.log)
		}
	}
	f.truth.add(list...)
}

// waitBuilt waits until no hour of these days is pending or being rebuilt.
func (f *fixture) waitBuilt(days ...day) {
	f.t.Helper()
	eventually(f.t, "the archives are built", func(ctx context.Context) string {
		for _, d := range days {
			v, err := f.cat.Day(ctx, d.tenant, d.day)
			if err != nil {
				return err.Error()
			}
			if waiting, _ := v.Unfinished(-1); waiting > 0 {
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

// sql changes the catalog's database directly.
func (f *fixture) sql(query string, args ...any) {
	f.t.Helper()
	_, err := f.db.ExecContext(f.t.Context(), query, args...)
	f.must(err)
}

// number reads one number from the catalog's database.
func (f *fixture) number(query string, args ...any) int64 {
	f.t.Helper()
	var n int64
	f.must(f.db.QueryRowContext(f.t.Context(), query, args...).Scan(&n))
	return n
}
