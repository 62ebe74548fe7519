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
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const masterKey = "a-master-key-of-more-than-32-characters"

// world is an installation in which all is well, until a test breaks something.
type world struct {
	*testing.T
	redis *testenv.RedisServer
	s     doctor.Subject
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, redis: testenv.NewRedis(t)}
	minio := testenv.MinIO(t)
	c := &w.s.Config
	c.DatabaseURL, c.RedisURL = config.Secret(migrated(t)), config.Secret(w.redis.URL())
	c.S3Endpoint, c.S3Region = minio.Endpoint, minio.Region
	c.S3AccessKey, c.S3SecretKey = config.Secret(minio.AccessKey), config.Secret(minio.SecretKey)
	c.Recordings, c.Archives = minio.NewBucket(t, "recordings"), minio.NewBucket(t, "archives")
	c.Prefix, c.RetentionDays = "callvault", 3
	c.MasterKey, c.Schedule, c.DownloadMode = masterKey, "0 2 * * *", "redirect"
	c.TakeAudio = true
	w.s.Limit, w.s.Now, w.s.Try = 5*time.Second, time.Now, true
	c.PublicURL = w.serve(c.DatabaseURL)
	w.work()
	w.own()
	return w
}

// own marks the archives bucket as the catalog's installation's.
func (w *world) own() {
	w.Helper()
	c, err := catalog.Open(w.Context(), w.s.Config.DatabaseURL.Reveal(), catalog.Rules{})
	w.must(err)
	id, err := c.EnsureInstallation(w.Context())
	w.must(err)
	w.must(c.Close())
	w.must(w.store().Archives().Adopt(w.Context(), w.s.Config.Prefix, id))
}

// migrated is a database with schema and keys.
func migrated(t *testing.T) string {
	t.Helper()
	return testenv.PostgresFrom(t, "doctor", func(url string) error {
		c, err := catalog.Open(t.Context(), url, catalog.Rules{})
		if err != nil {
			return err
		}
		_, err = c.Migrate(t.Context())
		if err == nil {
			_, err = auth.EnsureKeys(t.Context(), c, masterKey)
		}
		return errors.Join(err, c.Close())
	})
}

// serve starts what the public URL leads to, over a catalog.
func (w *world) serve(database config.Secret) string {
	w.Helper()
	c, err := catalog.Open(w.Context(), database.Reveal(), catalog.Rules{})
	w.must(err)
	w.Cleanup(func() { w.must(c.Close()) })
	keys, err := auth.OpenKeyring(w.Context(), c, masterKey, time.Now)
	w.must(err)
	server := httptest.NewUnstartedServer(nil)
	where := "http://" + server.Listener.Addr().String()
	tokens := auth.NewTokens(auth.Config{Issuer: where}, keys, c, time.Now)
	server.Config.Handler = api.New(api.Config{}, api.Deps{Log: zap.NewNop(), Now: time.Now,
		Families: []api.Family{oauth.New(oauth.Deps{Clients: c, Tokens: tokens, Log: zap.NewNop()})},
		Pages: map[string]http.HandlerFunc{"/healthz": func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, `{"status":"ok"}`)
		}}})
	server.Start()
	w.Cleanup(server.Close)
	return where
}

// work starts a worker that takes nothing.
func (w *world) work() {
	w.Helper()
	q, err := queue.Connect(w.redis.URL())
	w.must(err)
	none := func(context.Context) error { return nil }
	server := q.NewServer(queue.ServerConfig{Slots: 3}, queue.Handlers{
		Hour: func(ctx context.Context, _ queue.Task) error { return none(ctx) }, Sweep: none}, zap.NewNop())
	w.must(server.Start())
	w.Cleanup(func() {
		_ = server.Stop() // a test may have stopped Redis
		w.must(q.Close())
	})
	for { // a worker announces itself when it has started
		if slots, err := q.Slots(w.Context()); err != nil || slots > 0 {
			w.must(err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// store opens the two buckets with the keys that are right.
func (w *world) store() *objstore.Store {
	w.Helper()
	c := w.s.Config
	m := testenv.MinIO(w)
	s, err := objstore.New(objstore.Config{Endpoint: m.Endpoint, Region: m.Region, AccessKey: m.AccessKey, SecretKey: m.SecretKey,
		Recordings: c.Recordings, Archives: c.Archives})
	w.must(err)
	w.Cleanup(s.Close)
	return s
}

// between puts a proxy before the store that handles some requests itself.
func (w *world) between(mine func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) string {
	w.Helper()
	return testenv.Between(w, testenv.MinIO(w).Endpoint, mine, change)
}

// refuse answers as S3 does to one whose policy lacks a right.
func refuse(rw http.ResponseWriter) bool {
	rw.Header().Set("Content-Type", "application/xml")
	rw.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(rw, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>`)
	return true
}

// examine runs every check and gives the results by name. No secret may be in them.
func (w *world) examine() map[string]doctor.Result {
	w.Helper()
	var reported []string
	results, err := doctor.Examine(w.Context(), w.s, func(r doctor.Result) { reported = append(reported, r.Name) })
	w.must(err)
	if names := doctor.Names(); strings.Join(names, ",") != strings.Join(reported, ",") {
		w.Errorf("reported are %v, want %v", reported, names)
	}
	text, err := json.Marshal(results)
	w.must(err)
	c := w.s.Config
	for _, secret := range []string{masterKey, c.S3SecretKey.Reveal(), c.S3AccessKey.Reveal(), password(c.DatabaseURL), password(c.RedisURL), "X-Amz-Signature"} {
		if secret != "" && strings.Contains(string(text), secret) {
			w.Errorf("the results hold the secret %q:\n%s", secret, text)
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
	return err
}
