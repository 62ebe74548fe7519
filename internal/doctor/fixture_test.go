package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/oauth"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const masterKey = "a-master-key-of-more-than-32-characters"

// fixture is an installation in which nothing is wrong until a test breaks something.
type fixture struct {
	*testing.T
	redis *testenv.RedisServer
	s     doctor.Subject
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, redis: testenv.NewRedis(t)}
	minio := testenv.MinIO(t)
	c := &f.s.Config
	c.DatabaseURL, c.RedisURL = config.Secret(migrated(t)), config.Secret(f.redis.URL())
	c.S3Endpoint, c.S3Region = minio.Endpoint, minio.Region
	c.S3AccessKey, c.S3SecretKey = config.Secret(minio.AccessKey), config.Secret(minio.SecretKey)
	c.Recordings, c.Archives = minio.NewBucket(t, "recordings"), minio.NewBucket(t, "archives")
	c.Prefix, c.RetentionDays = "callvault", 3
	c.MasterKey, c.Schedule, c.DownloadMode = masterKey, "0 2 * * *", "redirect"
	c.TakeAudio = true
	f.s.Limit, f.s.Now, f.s.Try = 5*time.Second, time.Now, true
	c.PublicURL = f.serve(c.DatabaseURL)
	f.work()
	f.own()
	return f
}

// own marks the archives bucket as this installation's.
func (f *fixture) own() {
	f.Helper()
	c, err := catalog.Open(f.Context(), f.s.Config.DatabaseURL.Reveal(), catalog.Rules{})
	f.must(err)
	id, err := c.EnsureInstallation(f.Context())
	f.must(err)
	f.must(c.Close())
	f.must(objstore.Adopt(f.Context(), f.store().Archives(), f.s.Config.Prefix, id))
}

// migrated makes a database with schema and keys.
func migrated(t *testing.T) string {
	t.Helper()
	return testenv.PostgresFrom(t, "doctor", func(url string) error {
		c, err := catalog.Open(t.Context(), url, catalog.Rules{})
		if err != nil {
			return err
		}
		_, err = c.DB().Migrate(t.Context())
		if err == nil {
			err = ensureKeys(t.Context(), c)
		}
		return errors.Join(err, c.Close())
	})
}

// serve starts the server of the public URL, on a catalog.
func (f *fixture) serve(database config.Secret) string {
	f.Helper()
	c, err := catalog.Open(f.Context(), database.Reveal(), catalog.Rules{})
	f.must(err)
	f.Cleanup(func() { f.must(c.Close()) })
	keys, err := auth.OpenKeyring(f.Context(), c, masterKey, time.Now)
	f.must(err)
	server := httptest.NewUnstartedServer(nil)
	where := "http://" + server.Listener.Addr().String()
	tokens := auth.NewTokens(auth.Config{Issuer: where}, keys, c, time.Now)
	server.Config.Handler = api.New(api.Config{}, api.Deps{Log: zap.NewNop(), Now: time.Now,
		Families: []api.Family{oauth.New(oauth.Deps{Clients: c, Tokens: tokens, LogKeys: c, Log: zap.NewNop()})},
		Pages: map[string]http.HandlerFunc{"/healthz": func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, `{"status":"ok"}`)
		}}})
	server.Start()
	f.Cleanup(server.Close)
	return where
}

// work starts a worker that does nothing.
func (f *fixture) work() {
	f.Helper()
	q, err := queue.Connect(f.redis.URL())
	f.must(err)
	none := func(context.Context) error { return nil }
	server := q.NewServer(queue.ServerConfig{Slots: 3}, queue.Handlers{
		Hour: func(ctx context.Context, _ queue.Task) error { return none(ctx) }, Sweep: none}, zap.NewNop())
	f.must(server.Start())
	f.Cleanup(func() {
		_ = server.Stop() // a test may have stopped Redis
		f.must(q.Close())
	})
	for { // until the worker has announced itself
		if slots, err := q.Slots(f.Context()); err != nil || slots > 0 {
			f.must(err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// store opens the two buckets with the right credentials.
func (f *fixture) store() *objstore.Store {
	f.Helper()
	c := f.s.Config
	m := testenv.MinIO(f)
	s, err := objstore.New(objstore.Config{Endpoint: m.Endpoint, Region: m.Region, AccessKey: m.AccessKey, SecretKey: m.SecretKey,
		Recordings: c.Recordings, Archives: c.Archives})
	f.must(err)
	f.Cleanup(s.Close)
	return s
}

// between puts a proxy in front of the store, which answers some requests itself.
func (f *fixture) between(mine func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) string {
	f.Helper()
	return testenv.HTTPProxy(f, testenv.MinIO(f).Endpoint, mine, change)
}

// refuse answers as S3 does to a user without the right.
func refuse(rw http.ResponseWriter) bool {
	rw.Header().Set("Content-Type", "application/xml")
	rw.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(rw, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>`)
	return true
}

// examine runs every check and returns the results by name. It fails when they hold a secret.
func (f *fixture) examine() map[string]doctor.Result {
	f.Helper()
	var reported []string
	results, err := doctor.Examine(f.Context(), f.s, func(r doctor.Result) { reported = append(reported, r.Name) })
	f.must(err)
	if names := doctor.Names(); strings.Join(names, ",") != strings.Join(reported, ",") {
		f.Errorf("reported are %v, want %v", reported, names)
	}
	text, err := json.Marshal(results)
	f.must(err)
	c := f.s.Config
	for _, secret := range []string{masterKey, c.S3SecretKey.Reveal(), c.S3AccessKey.Reveal(), password(c.DatabaseURL), password(c.RedisURL), "X-Amz-Signature"} {
		if secret != "" && strings.Contains(string(text), secret) {
			f.Errorf("the results hold the secret %q:\n%s", secret, text)
		}
	}
	all := map[string]doctor.Result{}
	for _, r := range results {
		all[r.Name] = r
	}
	return all
}

func password(s config.Secret) string {
	u, err := url.Parse(s.Reveal())
	if err != nil {
		return ""
	}
	p, _ := u.User.Password()
	return p
}

func ensureKeys(ctx context.Context, c *catalog.Catalog) error {
	_, err := auth.EnsureKeys(ctx, c, masterKey)
	if err == nil {
		_, err = auth.EnsureLogKeys(ctx, c, masterKey, evidence.Origin("test"), audit.Origin{Actor: "command"})
	}
	return err
}
