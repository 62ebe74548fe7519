package doctor_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/pressly/goose/v3/lock"
	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/internal/webhooks"
)

// fault is one thing that is wrong, and what the doctor has to say about it.
type fault struct {
	name    string
	breakIt func(f *fixture)
	status  map[string]doctor.Status // of other checks
	check   string                   // that fails
	advice  string                   // a part of its advice
}

// skipped says that these checks are skipped.
func skipped(names ...string) map[string]doctor.Status {
	all := map[string]doctor.Status{}
	for _, name := range names {
		all[name] = doctor.Skipped
	}
	return all
}

func withoutCatalog() map[string]doctor.Status {
	return skipped("catalog server", "catalog rights", "catalog connections", "catalog schema", "catalog clock", "signing keys", "webhook secrets", "log", "hours", "installation", "bucket rules", "erasures")
}

func withoutRedis() map[string]doctor.Status {
	return skipped("redis server", "redis memory", "redis rights", "workers")
}

func withoutArchives() map[string]doctor.Status {
	return skipped("links to objects", "installation", "bucket rules", "erasures")
}

func (f *fixture) redisSet(pairs ...string) {
	f.Helper()
	opts, err := redis.ParseURL(f.redis.URL())
	f.must(err)
	client := redis.NewClient(opts)
	defer func() { f.must(client.Close()) }()
	for i := 0; i < len(pairs); i += 2 {
		f.must(client.ConfigSet(f.Context(), pairs[i], pairs[i+1]).Err())
	}
}

// redisUser makes a user with these rules and connects as that one.
func (f *fixture) redisUser(rules ...any) {
	f.Helper()
	opts, err := redis.ParseURL(f.redis.URL())
	f.must(err)
	client := redis.NewClient(opts)
	f.must(client.Do(f.Context(), append([]any{"ACL", "SETUSER", "worker", "on", ">worker-password"}, rules...)...).Err())
	f.must(client.Close())
	f.s.Config.RedisURL = config.Secret("redis://worker:worker-password@" + f.redis.Addr() + "/0")
}

// strand lets a session hold the lock of migrations, as a killed migrate up behind a pooler may.
func (f *fixture) strand() {
	f.Helper()
	_, err := testenv.Raw(f, f.s.Config.DatabaseURL.Reveal()).ExecContext(f.Context(), `SELECT pg_advisory_lock($1)`, lock.DefaultLockID)
	f.must(err)
}

// webhook adds one whose secret is encrypted under a master key.
func (f *fixture) webhook(master string) {
	f.Helper()
	c, err := catalog.Open(f.Context(), f.s.Config.DatabaseURL.Reveal(), catalog.Rules{})
	f.must(err)
	if _, err := c.Tenant(f.Context(), "acme"); domain.KindOf(err) == domain.KindNotFound {
		_, err = c.CreateTenant(f.Context(), domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
		f.must(err)
	}
	vault, err := auth.NewVault(master)
	f.must(err)
	_, _, err = webhooks.NewEndpoints(c, vault, webhooks.Rules{}).Create(f.Context(), "acme", "https://hooks.example.org/", domain.EventTypes(), audit.Origin{Actor: "test"})
	f.must(err)
	f.must(c.Close())
}

func (f *fixture) issuer(says func(own string) string) {
	f.Helper()
	server := httptest.NewUnstartedServer(nil)
	own := "http://" + server.Listener.Addr().String()
	server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_, _ = fmt.Fprint(rw, `{"keys":[{"kty":"oct","k":"AQ","kid":"1"}]}`)
			return
		}
		_, _ = fmt.Fprintf(rw, `{"issuer":%q,"jwks_uri":%q}`, says(own), own+"/keys")
	})
	server.Start()
	f.Cleanup(server.Close)
	f.s.Config.OIDCIssuer = own
}

func partFaults() []fault {
	return []fault{
		{"the catalog's password", func(f *fixture) {
			f.s.Config.DatabaseURL = config.Secret(strings.Replace(f.s.Config.DatabaseURL.Reveal(), password(f.s.Config.DatabaseURL), "wrong-password", 1))
		}, withoutCatalog(), "catalog", "correct the user and password in CALLVAULT_DATABASE_URL"},
		{"the catalog's name", func(f *fixture) {
			f.s.Config.DatabaseURL = config.Secret(strings.Replace(f.s.Config.DatabaseURL.Reveal(), "?", "_gone?", 1))
		}, withoutCatalog(), "catalog", "create the database"},
		{"a catalog without a schema", func(f *fixture) { f.s.Config.DatabaseURL = config.Secret(testenv.Postgres(f)) },
			skipped("catalog clock", "signing keys", "webhook secrets", "log", "hours", "installation", "bucket rules", "erasures"), "catalog schema", "callvault migrate up"},
		{"a lock of migrations that somebody holds", func(f *fixture) {
			f.s.Config.DatabaseURL = config.Secret(testenv.Postgres(f))
			f.strand()
		}, skipped("catalog clock", "signing keys", "webhook secrets", "log", "hours", "installation", "bucket rules", "erasures"), "catalog schema", "pg_terminate_backend("},
		{"a pooler in transaction mode", func(f *fixture) {
			f.s.Config.DatabaseURL = config.Secret(testenv.PgBouncer(f, f.s.Config.DatabaseURL.Reveal(), "transaction"))
		}, withoutCatalog(), "catalog", "pool_mode = session"},
		{"a user of Redis without channels", func(f *fixture) { f.redisUser("~*", "resetchannels", "+@all") }, nil, "redis rights", "&asynq:*"},
		{"a user of Redis without a command", func(f *fixture) { f.redisUser("~*", "&*", "+@all", "-rpoplpush") }, nil, "redis rights", "+@all"},
		{"a user of Redis without PING", func(f *fixture) { f.redisUser("~*", "&*", "+@all", "-ping") }, withoutRedis(), "redis", "+@all"},
		{"a user of Redis without some keys", func(f *fixture) { f.redisUser("~asynq:*", "&*", "+@all") }, nil, "redis rights", "~callvault:*"},
		{"a user of Redis without the keys of asynq", func(f *fixture) { f.redisUser("~callvault:*", "&*", "+@all") },
			map[string]doctor.Status{"redis rights": doctor.Fail}, "workers", "~asynq:*"},
		{"the master key", func(f *fixture) { f.s.Config.MasterKey = "another-key-of-more-than-32-characters" }, skipped("log"), "signing keys", "CALLVAULT_MASTER_KEY"},
		{"a webhook's secret", func(f *fixture) { f.webhook(masterKey); f.webhook("another-key-of-more-than-32-characters") }, nil, "webhook secrets", "webhook rotate"},
		{"Redis's password", func(f *fixture) {
			f.s.Config.RedisURL = config.Secret(strings.Replace(f.s.Config.RedisURL.Reveal(), password(f.s.Config.RedisURL), "wrong-password", 1))
		}, withoutRedis(), "redis", "correct the user and password in CALLVAULT_REDIS_URL"},
		{"TLS to a Redis without", func(f *fixture) {
			f.s.Config.RedisURL = config.Secret(strings.Replace(f.s.Config.RedisURL.Reveal(), "redis:", "rediss:", 1))
			f.s.Limit = time.Second
		}, withoutRedis(), "redis", "is it TLS that answers there?"},
		{"a stopped Redis", func(f *fixture) { f.redis.Stop() }, withoutRedis(), "redis", "start Redis"},
		{"a silent Redis", func(f *fixture) { f.redis.Pause(); f.s.Limit = time.Second; f.Cleanup(f.redis.Resume) }, withoutRedis(), "redis", "start Redis"},
		{"Redis evicts", func(f *fixture) { f.redisSet("maxmemory", "100mb", "maxmemory-policy", "allkeys-lru") }, nil, "redis memory", "noeviction"},
		{"Redis is full", func(f *fixture) { f.redisSet("maxmemory", "1kb") },
			map[string]doctor.Status{"redis memory": doctor.Warn}, "redis rights", "raise maxmemory"},
		{"the store's secret", func(f *fixture) { f.s.Config.S3SecretKey = "wrong-secret" },
			merge(withoutArchives(), map[string]doctor.Status{"recordings bucket": doctor.Fail}), "archives bucket", "CALLVAULT_S3_SECRET_KEY"},
		{"a missing bucket", func(f *fixture) { f.s.Config.Archives = testenv.BucketName("archives") },
			withoutArchives(), "archives bucket", "callvault migrate up"},
		{"a stopped store", func(f *fixture) { f.s.Config.S3Endpoint = "http://127.0.0.1:1" },
			merge(withoutArchives(), skipped("objects clock", "recordings bucket", "archives bucket")), "objects", "start the object store"},
		{"a reader of recordings", func(f *fixture) {
			bucket := "/" + f.s.Config.Recordings + "/"
			f.s.Config.S3Endpoint = f.between(func(rw http.ResponseWriter, r *http.Request) bool {
				return r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, bucket) && refuse(rw)
			}, nil)
		}, nil, "recordings bucket", "s3:PutObject on arn:aws:s3:::"},
		{"archives that stay", func(f *fixture) {
			bucket := "/" + f.s.Config.Archives + "/"
			f.s.Config.S3Endpoint = f.between(func(rw http.ResponseWriter, r *http.Request) bool {
				return r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, bucket) && !r.URL.Query().Has("uploadId") && refuse(rw)
			}, nil)
		}, withoutArchives(), "archives bucket", "s3:DeleteObject"},
		{"a store without conditional Complete", func(f *fixture) {
			bucket := "/" + f.s.Config.Archives + "/"
			f.s.Config.S3Endpoint = f.between(func(rw http.ResponseWriter, r *http.Request) bool {
				mine := strings.HasPrefix(r.URL.Path, bucket) && r.URL.Query().Has("uploadId") && r.Header.Get("If-None-Match") != ""
				if mine {
					rw.WriteHeader(http.StatusNotImplemented)
				}
				return mine
			}, nil)
		}, withoutArchives(), "archives bucket", "docs/operations.md"},
		{"the store's clock", func(f *fixture) {
			f.s.Config.S3Endpoint = f.between(nil, func(r *http.Response) error {
				r.Header.Set("Date", time.Now().Add(20*time.Minute).UTC().Format(http.TimeFormat))
				return nil
			})
		}, nil, "objects clock", "NTP"},
		{"a proxy that changes the host", func(f *fixture) {
			f.s.Config.S3Public = strings.Replace(f.between(nil, nil), "127.0.0.1", "localhost", 1)
			public := f.s.Config.S3Public
			f.s.Config.S3Public = f.between(func(rw http.ResponseWriter, r *http.Request) bool {
				to, err := http.NewRequestWithContext(r.Context(), r.Method, public+r.URL.RequestURI(), http.NoBody)
				if err != nil {
					return false
				}
				resp, err := http.DefaultClient.Do(to)
				if err != nil {
					return false
				}
				defer resp.Body.Close()
				rw.WriteHeader(resp.StatusCode)
				return true
			}, nil)
		}, nil, "links to objects", "Host"},
	}
}

func addressFaults() []fault {
	return []fault{
		{"nobody at the public URL", func(f *fixture) { f.s.Config.PublicURL = "http://127.0.0.1:1" }, nil, "public URL", "start callvault api"},
		{"somebody else at the public URL", func(f *fixture) {
			server := httptest.NewServer(http.NotFoundHandler())
			f.Cleanup(server.Close)
			f.s.Config.PublicURL = server.URL
		}, nil, "public URL", "correct CALLVAULT_PUBLIC_URL"},
		{"the public URL by another name", func(f *fixture) {
			f.s.Config.PublicURL = strings.Replace(f.s.Config.PublicURL, "127.0.0.1", "localhost", 1)
		}, nil, "public URL", "alike for every process"},
		{"another installation", func(f *fixture) {
			other := config.Secret(testenv.Postgres(f))
			c, err := catalog.Open(f.Context(), other.Reveal(), catalog.Rules{})
			f.must(err)
			_, err = c.DB().Migrate(f.Context())
			f.must(err)
			f.must(ensureKeys(f.Context(), c))
			f.must(c.Close())
			f.s.Config.PublicURL = f.serve(other)
		}, nil, "public URL", "CALLVAULT_DATABASE_URL"},
		{"no issuer", func(f *fixture) { f.s.Config.OIDCIssuer = "http://127.0.0.1:1" }, nil, "outside issuer", "CALLVAULT_OIDC_ISSUER"},
		{"an issuer by another name", func(f *fixture) { f.issuer(func(own string) string { return own + "/realm" }) }, nil, "outside issuer", "exactly as the issuer"},
		{"a bad setting", func(f *fixture) {
			f.s.Settings = &config.Error{Problems: []config.Problem{{Variable: "CALLVAULT_SCHEDULE", Text: "never fires"}, {Variable: "CALLVAULT_REDIS_URL", Text: "names no host"}}}
		}, merge(withoutRedis(), skipped("schedule", "redis")), "settings", "docs/configuration.md"},
	}
}
