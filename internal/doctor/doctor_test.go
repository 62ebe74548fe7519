package doctor_test

import (
	"context"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

// allOK is the outcome of every check when nothing is wrong.
func allOK() map[string]doctor.Status {
	all := map[string]doctor.Status{"disk": doctor.Skipped, "outside issuer": doctor.Skipped, "archives lock": doctor.Skipped}
	for _, name := range doctor.Names() {
		if all[name] == "" {
			all[name] = doctor.OK
		}
	}
	return all
}

// compare reports every check that has another outcome.
func (f *fixture) compare(got map[string]doctor.Result, want map[string]doctor.Status) {
	f.Helper()
	for name, status := range want {
		if r := got[name]; r.Status != status {
			f.Errorf("%s is %s, want %s: %s (%s)", name, r.Status, status, r.Saw, r.Advice)
		}
	}
}

func TestAllOK(t *testing.T) {
	f := newFixture(t)
	store := f.store()
	// An object of the platform, which the doctor must not touch.
	_, err := store.Recordings().Put(t.Context(), "acme/c-1/a.opus", []byte("voice"), objstore.PutOptions{})
	f.must(err)
	f.compare(f.examine(), allOK())
	for _, b := range []*objstore.Bucket{store.Recordings(), store.Archives()} {
		if _, err := b.Stat(t.Context(), "callvault/probes/probe"); domain.KindOf(err) != domain.KindNotFound {
			t.Errorf("the probe stays in %s: %v", b.Name(), err)
		}
	}
	if _, err := store.Recordings().Stat(t.Context(), "acme/c-1/a.opus"); err != nil {
		t.Error(err)
	}
	if keys := testenv.MinIO(t).Keys(t, f.s.Config.Archives); !slices.Equal(keys, []string{"callvault/installation"}) {
		t.Errorf("the archives bucket holds %v", keys)
	}
}

func merge(all ...map[string]doctor.Status) map[string]doctor.Status {
	out := map[string]doctor.Status{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// TestBroken breaks one thing at a time. Its check must fail with the right advice, and no other.
func TestBroken(t *testing.T) {
	for _, c := range slices.Concat(partFaults(), addressFaults()) {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			c.breakIt(f)
			f.s.Try = strings.Contains(c.check, "objects") || strings.Contains(c.check, "bucket") // the others are quicker without
			got := f.examine()
			want := merge(allOK(), c.status)
			if !f.s.Try {
				want = merge(allOK(), untried(got), c.status)
			}
			want[c.check] = doctor.Fail
			if f.s.Config.OIDCIssuer == "" {
				want["outside issuer"] = doctor.Skipped
			}
			f.compare(got, want)
			if !strings.Contains(got[c.check].Advice, c.advice) {
				t.Errorf("%s advises %q, want %q in it; it saw %s", c.check, got[c.check].Advice, c.advice, got[c.check].Saw)
			}
		})
	}
}

// TestUnencryptedLinks checks a store that clients are sent to without TLS.
func TestUnencryptedLinks(t *testing.T) {
	f := newFixture(t)
	f.s.Config.S3Public = strings.Replace(f.s.Config.S3Endpoint, "127.0.0.1", "0.0.0.0", 1) // this host too, but no address of loopback
	if got := f.examine()["links to objects"]; got.Status != doctor.Warn || !strings.Contains(got.Saw, "unencrypted") {
		t.Errorf("%+v", got)
	}
}

// untried is the outcome of the store's checks without --try, when migrate up has not run.
func untried(got map[string]doctor.Result) map[string]doctor.Status {
	buckets := doctor.Warn
	if got["catalog schema"].Status != doctor.OK {
		buckets = doctor.Skipped // the result would be in the catalog
	}
	return map[string]doctor.Status{"recordings bucket": buckets, "archives bucket": buckets, "links to objects": doctor.Skipped}
}

// TestWarnings checks what works now and may fail later.
func TestWarnings(t *testing.T) {
	f := newFixture(t)
	f.s.Unknown = []string{"CALLVAULT_LNK_TTL"}
	f.s.Config.S3Public = "http://127.0.0.1:1"
	f.issuer(func(own string) string { return own })
	f.s.Config.RedisURL = config.Secret(testenv.Redis(t)) // it has no worker and no append-only file
	got := f.examine()
	f.compare(got, merge(allOK(), map[string]doctor.Status{"settings": doctor.Warn, "links to objects": doctor.Warn, "workers": doctor.Warn, "outside issuer": doctor.OK}))
	for check, want := range map[string]string{"settings": "CALLVAULT_LNK_TTL", "links to objects": "127.0.0.1:1"} {
		if !strings.Contains(got[check].Saw, want) {
			t.Errorf("%s saw %s", check, got[check].Saw)
		}
	}
	if !strings.Contains(got["redis server"].Advice, "appendonly") {
		t.Errorf("of a Redis in memory alone it says %+v", got["redis server"])
	}
}

// TestRulesThatEnd checks that a lifecycle rule which deletes objects too early is a warning.
func TestRulesThatEnd(t *testing.T) {
	f := newFixture(t)
	m := testenv.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(m.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, "")})
	f.must(err)
	f.must(client.EnableVersioning(t.Context(), f.s.Config.Archives))
	rule := func(id string, filter lifecycle.Filter, days int) lifecycle.Rule {
		return lifecycle.Rule{ID: id, Status: "Enabled", RuleFilter: filter, Expiration: lifecycle.Expiration{Days: lifecycle.ExpirationDays(days)}}
	}
	at := func(prefix string) lifecycle.Filter { return lifecycle.Filter{Prefix: prefix} }
	set := func(bucket string, list ...lifecycle.Rule) doctor.Result {
		f.must(client.SetBucketLifecycle(t.Context(), bucket, &lifecycle.Configuration{Rules: list}))
		return f.examine()["bucket rules"]
	}
	off, replaced := rule("off", at(""), 1), rule("replaced", at(""), 0)
	off.Status, replaced.NoncurrentVersionExpiration.NoncurrentDays = "Disabled", 1
	replaced.Expiration = lifecycle.Expiration{}
	archives := f.s.Config.Archives
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
	f.must(client.SetBucketLifecycle(t.Context(), archives, lifecycle.NewConfiguration()))
	if r := set(f.s.Config.Recordings, rule("old", at("acme/"), 3650)); r.Status != doctor.Warn || !strings.Contains(r.Saw, "old") {
		t.Errorf("of recordings that end it says %+v", r)
	}
}

// TestRecordingsThatStay checks that the doctor needs no right to delete recordings.
func TestRecordingsThatStay(t *testing.T) {
	f := newFixture(t)
	bucket := "/" + f.s.Config.Recordings + "/"
	f.s.Config.S3Endpoint = f.between(func(rw http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, bucket) && !r.URL.Query().Has("uploadId") && refuse(rw)
	}, nil)
	for range 2 { // the second finds the probe of the first
		got := f.examine()
		f.compare(got, allOK())
		if saw := got["recordings bucket"].Saw; !strings.Contains(saw, "callvault/probes/probe stays") {
			t.Errorf("it says %s", saw)
		}
	}
}

// TestStoreThatLeadsAway has a store that redirects its bare address to a website.
func TestStoreThatLeadsAway(t *testing.T) {
	f := newFixture(t)
	f.s.Config.S3Endpoint = f.between(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/" {
			http.Redirect(rw, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}
		return r.URL.Path == "/"
	}, nil)
	f.compare(f.examine(), allOK())
}

func TestSQLite(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(t.TempDir(), "catalog.db")
	f.s.Config.DatabaseURL = config.Secret("sqlite://" + path)
	got := f.examine()
	if r := got["catalog"]; r.Status != doctor.Fail || !strings.Contains(r.Advice, "migrate up") {
		t.Errorf("a missing file is %+v", r)
	}
	c, err := catalog.Open(t.Context(), "sqlite://"+path, catalog.Rules{})
	f.must(err)
	_, err = c.DB().Migrate(t.Context())
	f.must(err)
	f.must(ensureKeys(t.Context(), c))
	f.must(c.Close())
	f.s.Config.PublicURL = ""
	if r := f.examine()["installation"]; r.Status != doctor.Fail || !strings.Contains(r.Saw, "another installation") {
		t.Errorf("on another installation's bucket it says %+v", r)
	}
	f.own()
	f.compare(f.examine(), merge(allOK(), map[string]doctor.Status{"disk": doctor.OK, "catalog connections": doctor.Skipped, "public URL": doctor.Skipped}))
}

// TestNoData checks that a data directory that can't be opened is a failure.
func TestNoData(t *testing.T) {
	f := newFixture(t)
	f.s.EmbeddedQueue = true
	for why, advice := range map[string]string{
		"cannot lock the data directory /d: open /d/callvault.lock: permission denied":   "as the user that callvault runs as",
		"another callvault has locked the data directory /d and is not ready; try again": "in a moment",
		"no callvault standalone has run here yet: there is no directory /d":             "with the settings of its roles",
	} {
		f.s.Absent = why
		got := f.examine()
		f.compare(got, merge(allOK(), withoutRedis(), skipped("redis"), map[string]doctor.Status{"disk": doctor.Fail}))
		if r := got["disk"]; r.Saw != why || !strings.Contains(r.Advice, advice) {
			t.Errorf("%+v", r)
		}
	}
}

func TestInterrupted(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := doctor.Examine(ctx, f.s, nil)
	f.must(err)
	if len(results) != len(doctor.Names()) {
		t.Errorf("%d results", len(results))
	}
}
