package e2e_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestRolesWithoutSettings: a role without settings names every variable that it needs and exits
// with 2.
func TestRolesWithoutSettings(t *testing.T) {
	bin, dir := testenv.Program(t), t.TempDir()
	for _, role := range config.Roles() {
		for _, args := range [][]string{{string(role)}, {"run", string(role)}} {
			p := launch(t, bin, dir, nil, nil, args...)
			if code := p.code(); code != 2 {
				t.Errorf("%s exited with %d, want 2", strings.Join(args, " "), code)
			}
			for _, v := range config.Variables() {
				if needed := slices.Contains(v.Required, string(role)); needed != strings.Contains(p.log.String(), v.Name+":") {
					t.Errorf("%s: %s is needed (%t), and the message says otherwise:\n%s", strings.Join(args, " "), v.Name, needed, p.log)
				}
			}
		}
	}
	wrong := map[string]string{"CALLVAULT_LEASE": "soon", "CALLVAULT_S3_ENDPOINT": "ftp://x", "CALLVAULT_SCHEDULE": "61 * * * *", "CALLVAULT_LINK_TTL": "8d"}
	p := launch(t, bin, dir, wrong, nil, "standalone")
	if code := p.code(); code != 2 {
		t.Errorf("settings that cannot be used: exit code %d, want 2", code)
	}
	for name := range wrong {
		if !strings.Contains(p.log.String(), name) {
			t.Errorf("the message does not name %s:\n%s", name, p.log)
		}
	}
	for _, args := range [][]string{{"run", "janitor"}, {"fly"}, {"archive", "--tenant", "a"}} {
		if code := launch(t, bin, dir, nil, nil, args...).code(); code != 2 {
			t.Errorf("callvault %s exited with %d, want 2", strings.Join(args, " "), code)
		}
	}
}

// TestRolesWithoutSchema: a role on a catalog without schema says so.
func TestRolesWithoutSchema(t *testing.T) {
	f := newFixture(t)
	f.env["CALLVAULT_DATABASE_URL"] = testenv.Postgres(t)
	p := launch(t, f.bin, f.dir, f.env, nil, "worker")
	if code := p.code(); code != 1 || !strings.Contains(p.log.String(), "migrate up") {
		t.Errorf("exit code %d, and it says:\n%s", code, p.log)
	}
}

// TestTwoInstallationsOfOneBucket gives two catalogs one archives bucket: each uses a prefix of its
// own, and takes the other's only when it is told that the other catalog is lost.
func TestTwoInstallationsOfOneBucket(t *testing.T) {
	f := newFixture(t)
	other := maps.Clone(f.env)
	other["CALLVAULT_DATABASE_URL"], other["CALLVAULT_RECORDINGS_BUCKET"] = "sqlite://"+filepath.Join(f.dir, "other.db"), testenv.BucketName("recordings")
	run := func(want int, says string, args ...string) {
		t.Helper()
		p := launch(t, f.bin, f.dir, other, nil, args...)
		if code := p.code(); code != want || !strings.Contains(p.out.String()+p.log.String(), says) {
			t.Errorf("callvault %s exited with %d, want %d and %q: %s%s", strings.Join(args, " "), code, want, says, p.out, p.log)
		}
	}
	run(1, "--adopt-bucket", "migrate", "up")
	run(1, "--adopt-bucket", "worker")
	other["CALLVAULT_ARCHIVES_PREFIX"] = "callvault/second"
	run(1, "callvault/installation names another", "migrate", "up")
	other["CALLVAULT_ARCHIVES_PREFIX"] = "second"
	run(1, "run: callvault migrate up", "run", "api")
	run(0, "", "migrate", "up")
	delete(other, "CALLVAULT_ARCHIVES_PREFIX")
	run(0, "taken over from installation ", "migrate", "up", "--adopt-bucket") // the first catalog is lost
	run(0, "", "migrate", "up")
	p := launch(t, f.bin, f.dir, other, nil, "audit", "--from", "today", "--to", "today")
	if code := p.code(); code != 0 || strings.Count(p.out.String(), `"bucket.adopt"`) != 1 {
		t.Errorf("the audit log says %s %s", p.out, p.log)
	}
	if code := f.run(nil, "scheduler").code(); code != 1 {
		t.Errorf("the one whose bucket was taken over exits with %d", code)
	}
}

// TestRolesWithoutTheirStore starts roles while the object store is stopped. When it is back they
// work, or end as they would have at their start: because the archives bucket is another
// installation's now, or has no owner. Until then they write nothing to it.
func TestRolesWithoutTheirStore(t *testing.T) {
	f := newFixture(t)
	days := f.smallNight()
	bucket, key := f.env["CALLVAULT_ARCHIVES_BUCKET"], "callvault/installation"
	object, err := f.s3.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	f.must(err)
	own, err := io.ReadAll(object)
	f.must(err)
	proxy := testenv.NewProxy(t, f.env["CALLVAULT_S3_ENDPOINT"])
	for _, c := range []struct{ marker, says string }{
		{`{"installation":"another"}`, "names another installation"},
		{"", "run: callvault migrate up"},
		{string(own), ""},
	} {
		proxy.Cut()
		var roles []*process
		for _, role := range []string{"scheduler", "worker", "api"} {
			roles = append(roles, f.startWith(map[string]string{"CALLVAULT_S3_ENDPOINT": proxy.URL()}, "run", role))
		}
		if c.marker == "" {
			f.must(f.s3.RemoveObject(t.Context(), bucket, key, minio.RemoveObjectOptions{}))
		} else {
			_, err := f.s3.PutObject(t.Context(), bucket, key, strings.NewReader(c.marker), int64(len(c.marker)), minio.PutObjectOptions{})
			f.must(err)
		}
		proxy.Restore()
		if c.says == "" {
			f.waitBuilt(days...)
			eventually(t, "the API is ready", func(ctx context.Context) string {
				if !readyAt(ctx, f.api) {
					return "it is not"
				}
				return ""
			})
			for _, p := range roles {
				p.term()
			}
			continue
		}
		for _, p := range roles {
			if code := p.code(); code != 1 || !strings.Contains(p.log.String(), c.says) {
				t.Errorf("%s exits with %d and says %s", p.name, code, p.log)
			}
		}
		if list := f.objects(); len(list) > 0 {
			t.Errorf("written into a bucket whose marker is %q: %v", c.marker, list)
		}
	}
}

// TestWrongInput sends invalid lines and arguments.
func TestWrongInput(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", "beta")
	yesterday := f.yesterday()
	good := spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 4}, "good", 3, 100)
	f.registered(good)
	next := spread(domain.HourKey{Tenant: "acme", Day: yesterday, Hour: 5}, "next", 4, 100)
	for what, bad := range map[string]string{
		"no JSON":              `{"kind":"recording"`,
		"unknown kind":         `{"kind":"gossip"}`,
		"no object key":        `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"x","timestamp":"2025-12-12T00:00:00Z"}`,
		"a time without zone":  strings.Replace(string(lines(next[:1])), `Z"`, `"`, 1),
		"a negative size":      strings.Replace(string(lines(next[:1])), `"sizeBytes":`, `"sizeBytes":-`, 1),
		"a key that climbs up": strings.Replace(string(lines(next[:1])), next[0].Key, "acme/../beta/x.opus", 1),
		"another timestamp":    string(lines([]recording{moved(good[0])})),
		"another size":         string(lines([]recording{longer(good[0])})),
	} {
		bad = strings.TrimSuffix(bad, "\n")
		body := fmt.Sprintf("%s%s\n%s", lines(next[:2]), bad, lines(next[2:]))
		p := f.run([]byte(body), "import", "--tenant", "acme", "-")
		if code := p.code(); code != 1 || !strings.Contains(p.log.String(), "line 3") {
			t.Errorf("%s: exit code %d, and it says:\n%s", what, code, p.log)
		}
		if n := f.number(`SELECT count(*) FROM recordings`); n != 3 {
			t.Errorf("%s: %d recordings are stored, want the 3 from before", what, n)
		}
	}
	p := f.run(lines(good), "import", "--tenant", "beta", "-")
	if code := p.code(); code != 1 || !strings.Contains(p.log.String(), "line 1") || strings.Contains(p.log.String(), "acme") {
		t.Errorf("another tenant's key: exit code %d, and it says:\n%s", code, p.log)
	}
	for what, args := range map[string][]string{
		"1 nobody":       {"import", "--tenant", "nobody", "-"},
		"1 not over":     {"archive", "--tenant", "acme", "--day", string(yesterday.Add(3))},
		"1 past":         {"archive", "--tenant", "acme", "--day", "2020-01-01"},
		"1 unknown":      {"archive", "--tenant", "nobody", "--day", string(yesterday)},
		"1 exists":       {"tenant", "create", "acme"},
		"1 no file":      {"import", "--tenant", "acme", "/nowhere/at/all.ndjson"},
		"2 no day":       {"archive", "--tenant", "acme", "--day", "2025-02-30"},
		"2 no hour":      {"archive", "--tenant", "acme", "--day", string(yesterday), "--hour", "24"},
		"2 no directory": {"import", "--tenant", "acme", "--audio", "/nowhere", "-"},
		"1 bad id":       {"tenant", "create", "a/b"},
		"1 retention":    {"tenant", "set", "acme", "--retention-days", "0"},
	} {
		p := f.run(lines(next[:1]), args...)
		if code := p.code(); code != int(what[0]-'0') || p.log.String() == "" {
			t.Errorf("%s: callvault %s exited with %d: %s", what, strings.Join(args, " "), code, p.log)
		}
		if strings.Contains(p.log.String(), "goroutine") || strings.Contains(p.log.String(), "SQLSTATE") {
			t.Errorf("%s: the message is not for people: %s", what, p.log)
		}
	}
	if n := f.number(`SELECT count(*) FROM recordings`); n != 3 {
		t.Errorf("%d recordings are stored, want the 3 from before", n)
	}
}

func moved(r recording) recording {
	r.At = r.At.Add(time.Second)
	return r
}

func longer(r recording) recording {
	r.Size++
	return r
}
