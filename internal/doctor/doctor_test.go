package doctor_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/internal/webhooks"
)

// well is what every check comes to where nothing is wrong.
func well() map[string]doctor.Status {
	all := map[string]doctor.Status{"disk": doctor.Skipped, "outside issuer": doctor.Skipped}
	for _, name := range doctor.Names() {
		if all[name] == "" {
			all[name] = doctor.OK
		}
	}
	return all
}

// compare fails for every check that came to something else.
func (w *world) compare(got map[string]doctor.Result, want map[string]doctor.Status) {
	w.Helper()
	for name, status := range want {
		if r := got[name]; r.Status != status {
			w.Errorf("%s is %s, want %s: %s (%s)", name, r.Status, status, r.Saw, r.Advice)
		}
	}
}

func TestWell(t *testing.T) {
	w := newWorld(t)
	store := w.store()
	// Somebody's own, which nothing may touch.
	_, err := store.Recordings().Put(t.Context(), "acme/c-1/a.opus", []byte("voice"), objstore.PutOptions{})
	w.must(err)
	w.compare(w.examine(), well())
	for _, b := range []*objstore.Bucket{store.Recordings(), store.Archives()} {
		if _, err := b.Stat(t.Context(), "callvault/probes/probe"); domain.KindOf(err) != domain.KindNotFound {
			t.Errorf("the probe stays in %s: %v", b.Name(), err)
		}
	}
	if _, err := store.Recordings().Stat(t.Context(), "acme/c-1/a.opus"); err != nil {
		t.Error(err)
	}
	if keys := testenv.MinIO(t).Keys(t, w.s.Config.Archives); !slices.Equal(keys, []string{"callvault/installation"}) {
		t.Errorf("the archives bucket holds %v", keys)
	}
}

// broken is one thing that is wrong, and what is to be said of it.
type broken struct {
	name   string
	spoil  func(w *world)
	status map[string]doctor.Status // beside those that fall out with them
	check  string                   // the one that says it
	advice string                   // a part of what it says to do
}

// fallout gives the checks that cannot be looked at without others.
func fallout(names ...string) map[string]doctor.Status {
	all := map[string]doctor.Status{}
	for _, name := range names {
		all[name] = doctor.Skipped
	}
	return all
}

func catalogGone() map[string]doctor.Status {
	return fallout("catalog server", "catalog rights", "catalog connections", "catalog schema", "catalog clock", "signing keys", "webhook secrets", "hours", "installation", "bucket rules")
}

func redisGone() map[string]doctor.Status {
	return fallout("redis server", "redis memory", "redis rights", "workers")
}

func archivesGone() map[string]doctor.Status {
	return fallout("links to objects", "installation", "bucket rules")
}

func (w *world) redisSet(pairs ...string) {
	w.Helper()
	opts, err := redis.ParseURL(w.redis.URL())
	w.must(err)
	client := redis.NewClient(opts)
	defer func() { w.must(client.Close()) }()
	for i := 0; i < len(pairs); i += 2 {
		w.must(client.ConfigSet(w.Context(), pairs[i], pairs[i+1]).Err())
	}
}

// webhook adds one whose secret is sealed under a master key.
func (w *world) webhook(master string) {
	w.Helper()
	c, err := catalog.Open(w.Context(), w.s.Config.DatabaseURL.Reveal(), catalog.Rules{})
	w.must(err)
	if _, err := c.Tenant(w.Context(), "acme"); domain.KindOf(err) == domain.KindNotFound {
		_, err = c.CreateTenant(w.Context(), domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5})
		w.must(err)
	}
	vault, err := auth.NewVault(master)
	w.must(err)
	_, _, err = webhooks.NewEndpoints(c, vault, webhooks.Rules{}).Create(w.Context(), "acme", "https://hooks.example.org/", domain.EventTypes(), catalog.Origin{Actor: "test"})
	w.must(err)
	w.must(c.Close())
}

func (w *world) issuer(says func(own string) string) {
	w.Helper()
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
	w.Cleanup(server.Close)
	w.s.Config.OIDCIssuer = own
}

func partsBroken() []broken {
	return []broken{
		{"the catalog's password", func(w *world) {
			w.s.Config.DatabaseURL = config.Secret(strings.Replace(w.s.Config.DatabaseURL.Reveal(), password(w.s.Config.DatabaseURL), "wrong-password", 1))
		}, catalogGone(), "catalog", "correct the user and password in CALLVAULT_DATABASE_URL"},
		{"the catalog's name", func(w *world) {
			w.s.Config.DatabaseURL = config.Secret(strings.Replace(w.s.Config.DatabaseURL.Reveal(), "?", "_gone?", 1))
		}, catalogGone(), "catalog", "create the database"},
		{"a catalog without a schema", func(w *world) { w.s.Config.DatabaseURL = config.Secret(testenv.Postgres(w)) },
			fallout("catalog clock", "signing keys", "webhook secrets", "hours", "installation", "bucket rules"), "catalog schema", "callvault migrate up"},
		{"the master key", func(w *world) { w.s.Config.MasterKey = "another-key-of-more-than-32-characters" }, nil, "signing keys", "CALLVAULT_MASTER_KEY"},
		{"a webhook's secret", func(w *world) { w.webhook(masterKey); w.webhook("another-key-of-more-than-32-characters") }, nil, "webhook secrets", "webhook rotate"},
		{"Redis's password", func(w *world) {
			w.s.Config.RedisURL = config.Secret(strings.Replace(w.s.Config.RedisURL.Reveal(), password(w.s.Config.RedisURL), "wrong-password", 1))
		}, redisGone(), "redis", "correct the user and password in CALLVAULT_REDIS_URL"},
		{"TLS to a Redis without", func(w *world) {
			w.s.Config.RedisURL = config.Secret(strings.Replace(w.s.Config.RedisURL.Reveal(), "redis:", "rediss:", 1))
			w.s.Limit = time.Second
		}, redisGone(), "redis", "is it TLS that answers there?"},
		{"a stopped Redis", func(w *world) { w.redis.Stop() }, redisGone(), "redis", "start Redis"},
		{"a silent Redis", func(w *world) { w.redis.Pause(); w.s.Limit = time.Second; w.Cleanup(w.redis.Resume) }, redisGone(), "redis", "start Redis"},
		{"Redis evicts", func(w *world) { w.redisSet("maxmemory", "100mb", "maxmemory-policy", "allkeys-lru") }, nil, "redis memory", "noeviction"},
		{"Redis is full", func(w *world) { w.redisSet("maxmemory", "1kb") },
			map[string]doctor.Status{"redis memory": doctor.Warn}, "redis rights", "Redis is full"},
		{"the store's secret", func(w *world) { w.s.Config.S3SecretKey = "wrong-secret" },
			mapsOf(archivesGone(), map[string]doctor.Status{"recordings bucket": doctor.Fail}), "archives bucket", "CALLVAULT_S3_SECRET_KEY"},
		{"a missing bucket", func(w *world) { w.s.Config.Archives = testenv.BucketName("archives") },
			archivesGone(), "archives bucket", "callvault migrate up"},
		{"a stopped store", func(w *world) { w.s.Config.S3Endpoint = "http://127.0.0.1:1" },
			mapsOf(archivesGone(), fallout("objects clock", "recordings bucket", "archives bucket")), "objects", "start the object store"},
		{"a reader of recordings", func(w *world) {
			bucket := "/" + w.s.Config.Recordings + "/"
			w.s.Config.S3Endpoint = w.between(func(rw http.ResponseWriter, r *http.Request) bool {
				return r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, bucket) && refuse(rw)
			}, nil)
		}, nil, "recordings bucket", "s3:PutObject on arn:aws:s3:::"},
		{"archives that stay", func(w *world) {
			bucket := "/" + w.s.Config.Archives + "/"
			w.s.Config.S3Endpoint = w.between(func(rw http.ResponseWriter, r *http.Request) bool {
				return r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, bucket) && !r.URL.Query().Has("uploadId") && refuse(rw)
			}, nil)
		}, archivesGone(), "archives bucket", "s3:DeleteObject"},
		{"a store without conditional Complete", func(w *world) {
			bucket := "/" + w.s.Config.Archives + "/"
			w.s.Config.S3Endpoint = w.between(func(rw http.ResponseWriter, r *http.Request) bool {
				mine := strings.HasPrefix(r.URL.Path, bucket) && r.URL.Query().Has("uploadId") && r.Header.Get("If-None-Match") != ""
				if mine {
					rw.WriteHeader(http.StatusNotImplemented)
				}
				return mine
			}, nil)
		}, archivesGone(), "archives bucket", "docs/operations.md"},
		{"the store's clock", func(w *world) {
			w.s.Config.S3Endpoint = w.between(nil, func(r *http.Response) error {
				r.Header.Set("Date", time.Now().Add(20*time.Minute).UTC().Format(http.TimeFormat))
				return nil
			})
		}, nil, "objects clock", "NTP"},
		{"a proxy that changes the host", func(w *world) {
			w.s.Config.S3Public = strings.Replace(w.between(nil, nil), "127.0.0.1", "localhost", 1)
			public := w.s.Config.S3Public
			w.s.Config.S3Public = w.between(func(rw http.ResponseWriter, r *http.Request) bool {
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

func addressesBroken() []broken {
	return []broken{
		{"nobody at the public URL", func(w *world) { w.s.Config.PublicURL = "http://127.0.0.1:1" }, nil, "public URL", "start callvault api"},
		{"somebody else at the public URL", func(w *world) {
			server := httptest.NewServer(http.NotFoundHandler())
			w.Cleanup(server.Close)
			w.s.Config.PublicURL = server.URL
		}, nil, "public URL", "correct CALLVAULT_PUBLIC_URL"},
		{"the public URL by another name", func(w *world) {
			w.s.Config.PublicURL = strings.Replace(w.s.Config.PublicURL, "127.0.0.1", "localhost", 1)
		}, nil, "public URL", "alike for every process"},
		{"another installation", func(w *world) {
			other := config.Secret(testenv.Postgres(w))
			c, err := catalog.Open(w.Context(), other.Reveal(), catalog.Rules{})
			w.must(err)
			_, err = c.Migrate(w.Context())
			w.must(err)
			w.must(ensureKeys(w.Context(), c))
			w.must(c.Close())
			w.s.Config.PublicURL = w.serve(other)
		}, nil, "public URL", "CALLVAULT_DATABASE_URL"},
		{"no issuer", func(w *world) { w.s.Config.OIDCIssuer = "http://127.0.0.1:1" }, nil, "outside issuer", "CALLVAULT_OIDC_ISSUER"},
		{"an issuer by another name", func(w *world) { w.issuer(func(own string) string { return own + "/realm" }) }, nil, "outside issuer", "exactly as the issuer"},
		{"a bad setting", func(w *world) {
			w.s.Settings = &config.Error{Problems: []config.Problem{{Variable: "CALLVAULT_SCHEDULE", Text: "never fires"}, {Variable: "CALLVAULT_REDIS_URL", Text: "names no host"}}}
		}, mapsOf(redisGone(), fallout("schedule", "redis")), "settings", "docs/configuration.md"},
	}
}

func mapsOf(all ...map[string]doctor.Status) map[string]doctor.Status {
	out := map[string]doctor.Status{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// TestBroken breaks one thing at a time: its check says so and what to do, all others go on.
func TestBroken(t *testing.T) {
	for _, c := range slices.Concat(partsBroken(), addressesBroken()) {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.spoil(w)
			w.s.Try = strings.Contains(c.check, "objects") || strings.Contains(c.check, "bucket") // the others are quicker so
			got := w.examine()
			want := mapsOf(well(), c.status)
			if !w.s.Try {
				want = mapsOf(well(), untried(got), c.status)
			}
			want[c.check] = doctor.Fail
			if w.s.Config.OIDCIssuer == "" {
				want["outside issuer"] = doctor.Skipped
			}
			w.compare(got, want)
			if !strings.Contains(got[c.check].Advice, c.advice) {
				t.Errorf("%s advises %q, want %q in it; it saw %s", c.check, got[c.check].Advice, c.advice, got[c.check].Saw)
			}
		})
	}
}

// untried is what the store's checks come to without --try where nobody has run migrate up.
func untried(got map[string]doctor.Result) map[string]doctor.Status {
	buckets := doctor.Warn
	if got["catalog schema"].Status != doctor.OK {
		buckets = doctor.Skipped // the catalog would know
	}
	return map[string]doctor.Status{"recordings bucket": buckets, "archives bucket": buckets, "links to objects": doctor.Skipped}
}

// TestWarnings are about what works and will not always.
func TestWarnings(t *testing.T) {
	w := newWorld(t)
	w.s.Unknown = []string{"CALLVAULT_LNK_TTL"}
	w.s.Config.S3Public = "http://127.0.0.1:1"
	w.issuer(func(own string) string { return own })
	w.s.Config.RedisURL = config.Secret(testenv.Redis(t)) // no worker there, no append-only file
	got := w.examine()
	w.compare(got, mapsOf(well(), map[string]doctor.Status{"settings": doctor.Warn, "links to objects": doctor.Warn, "workers": doctor.Warn, "outside issuer": doctor.OK}))
	for check, want := range map[string]string{"settings": "CALLVAULT_LNK_TTL", "links to objects": "127.0.0.1:1"} {
		if !strings.Contains(got[check].Saw, want) {
			t.Errorf("%s saw %s", check, got[check].Saw)
		}
	}
	if !strings.Contains(got["redis server"].Advice, "appendonly") {
		t.Errorf("of a Redis in memory alone it says %+v", got["redis server"])
	}
}

// TestRulesThatEnd: what a bucket's rules end before its time is warned of, whoever made them.
func TestRulesThatEnd(t *testing.T) {
	w := newWorld(t)
	m := testenv.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(m.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, "")})
	w.must(err)
	w.must(client.EnableVersioning(t.Context(), w.s.Config.Archives))
	rule := func(id string, filter lifecycle.Filter, days int) lifecycle.Rule {
		return lifecycle.Rule{ID: id, Status: "Enabled", RuleFilter: filter, Expiration: lifecycle.Expiration{Days: lifecycle.ExpirationDays(days)}}
	}
	at := func(prefix string) lifecycle.Filter { return lifecycle.Filter{Prefix: prefix} }
	set := func(bucket string, list ...lifecycle.Rule) doctor.Result {
		w.must(client.SetBucketLifecycle(t.Context(), bucket, &lifecycle.Configuration{Rules: list}))
		return w.examine()["bucket rules"]
	}
	off, replaced := rule("off", at(""), 1), rule("replaced", at(""), 0)
	off.Status, replaced.NoncurrentVersionExpiration.NoncurrentDays = "Disabled", 1
	replaced.Expiration = lifecycle.Expiration{}
	archives := w.s.Config.Archives
	if r := set(archives, rule("theirs", at("tmp/"), 1), rule("late", at(""), 3650), off, replaced); r.Status != doctor.OK || !strings.Contains(r.Saw, "versions") {
		t.Errorf("of rules that end no archive it says %+v", r)
	}
	for id, filter := range map[string]lifecycle.Filter{
		"all": at(""), "above": at("callvault/"), "within": at("callvault/archives/acme/"), "sized": {ObjectSizeGreaterThan: 1},
		"tagged": {And: lifecycle.And{Prefix: "call", Tags: []lifecycle.Tag{{Key: "a", Value: "b"}}}},
	} {
		if r := set(archives, rule(id, filter, 30)); r.Status != doctor.Warn || !strings.Contains(r.Saw, id) || !strings.Contains(r.Advice, "callvault/archives/") {
			t.Errorf("of the rule %s it says %+v", id, r)
		}
	}
	if r := set(archives, rule("callvault-expire-archives", at("tmp/"), 3650)); r.Status != doctor.Warn || !strings.Contains(r.Advice, "migrate up") {
		t.Errorf("of a former rule it says %+v", r)
	}
	w.must(client.SetBucketLifecycle(t.Context(), archives, lifecycle.NewConfiguration()))
	if r := set(w.s.Config.Recordings, rule("old", at("acme/"), 3650)); r.Status != doctor.Warn || !strings.Contains(r.Saw, "old") {
		t.Errorf("of recordings that end it says %+v", r)
	}
}

// TestRecordingsThatStay: callvault needs no right to delete recordings, so neither does doctor.
func TestRecordingsThatStay(t *testing.T) {
	w := newWorld(t)
	bucket := "/" + w.s.Config.Recordings + "/"
	w.s.Config.S3Endpoint = w.between(func(rw http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, bucket) && !r.URL.Query().Has("uploadId") && refuse(rw)
	}, nil)
	for range 2 { // the second meets the first one's probe
		got := w.examine()
		w.compare(got, well())
		if saw := got["recordings bucket"].Saw; !strings.Contains(saw, "callvault/probes/probe stays") {
			t.Errorf("it says %s", saw)
		}
	}
}

// TestStoreThatLeadsAway is one of those whose bare address is a website's.
func TestStoreThatLeadsAway(t *testing.T) {
	w := newWorld(t)
	w.s.Config.S3Endpoint = w.between(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/" {
			http.Redirect(rw, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}
		return r.URL.Path == "/"
	}, nil)
	w.compare(w.examine(), well())
}

func TestSQLite(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "catalog.db")
	w.s.Config.DatabaseURL = config.Secret("sqlite://" + path)
	got := w.examine()
	if r := got["catalog"]; r.Status != doctor.Fail || !strings.Contains(r.Advice, "migrate up") {
		t.Errorf("a missing file is %+v", r)
	}
	c, err := catalog.Open(t.Context(), "sqlite://"+path, catalog.Rules{})
	w.must(err)
	_, err = c.Migrate(t.Context())
	w.must(err)
	w.must(ensureKeys(t.Context(), c))
	w.must(c.Close())
	w.s.Config.PublicURL = ""
	if r := w.examine()["installation"]; r.Status != doctor.Fail || !strings.Contains(r.Saw, "another installation") {
		t.Errorf("on another installation's bucket it says %+v", r)
	}
	w.own()
	w.compare(w.examine(), mapsOf(well(), map[string]doctor.Status{"disk": doctor.OK, "catalog connections": doctor.Skipped, "public URL": doctor.Skipped}))
}

// TestNoData: where nothing can be looked at, nothing is well.
func TestNoData(t *testing.T) {
	w := newWorld(t)
	w.s.EmbeddedQueue = true
	for why, advice := range map[string]string{
		"cannot lock the data directory /d: open /d/callvault.lock: permission denied":   "as the user that callvault runs as",
		"another callvault has locked the data directory /d and is not ready; try again": "in a moment",
		"no callvault standalone has run here yet: there is no directory /d":             "with the settings of its roles",
	} {
		w.s.Absent = why
		got := w.examine()
		w.compare(got, mapsOf(well(), redisGone(), fallout("redis"), map[string]doctor.Status{"disk": doctor.Fail}))
		if r := got["disk"]; r.Saw != why || !strings.Contains(r.Advice, advice) {
			t.Errorf("%+v", r)
		}
	}
}

func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := doctor.Examine(ctx, w.s, nil)
	w.must(err)
	if len(results) != len(doctor.Names()) {
		t.Errorf("%d results", len(results))
	}
}
