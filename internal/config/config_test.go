package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// load reads a configuration as the command of a role does.
func load(t *testing.T, env Env, use Use, args ...string) (Config, error) {
	t.Helper()
	var c Config
	s := NewSource(env)
	parser, err := kong.New(&c, append(s.Options(), kong.Name("callvault"))...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	err = s.Finish(&c, use)
	return c, err
}

func problemsOf(t *testing.T, err error) map[string]string {
	t.Helper()
	found := map[string]string{}
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("error %T is no *Error: %v", err, err)
	}
	if e != nil {
		for _, p := range e.Problems {
			found[p.Variable] = p.Text
		}
	}
	return found
}

func TestDefaultsOfStandalone(t *testing.T) {
	c, err := load(t, nil, Standalone())
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Parts: Parts{Data: "./data", S3Region: "us-east-1", Recordings: "recordings", Archives: "archives", Prefix: "callvault", ArchiveLock: "off", TakeAudio: true, LogLevel: "info"},
		Serving: Serving{
			Listen: "127.0.0.1:8080", LinkTTL: 6 * time.Hour, DownloadMode: "proxy", OIDCTenantClaim: "tenant_id",
		},
		Work: Work{
			Schedule: "0 2 * * *", RetentionDays: 3, HealInterval: time.Minute, LateDelay: 5 * time.Minute, TotalsGrace: 6 * time.Hour, PatrolDays: 30, Concurrency: 4,
			Memory: 64 << 20, Lease: time.Minute, BuildStall: 2 * time.Minute, DrainTimeout: 25 * time.Second, StopDelay: 5 * time.Second,
		},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("defaults differ (-want +got):\n%s", d)
	}
}

func TestFlagOutranksVariableOutranksDefault(t *testing.T) {
	env := Env{"CALLVAULT_LINK_TTL": "2h", "CALLVAULT_RETENTION_DAYS": "9", "CALLVAULT_LEASE": "", "CALLVAULT_ADMIN_TOKEN": " "}
	c, err := load(t, env, Standalone(), "--link-ttl=1h")
	if err != nil {
		t.Fatal(err)
	}
	if c.LinkTTL != time.Hour || c.RetentionDays != 9 || c.Lease != time.Minute || c.AdminToken != "" {
		t.Errorf("got link ttl %s, retention %d, lease %s, token set %t; want 1h, 9, 1m, unset",
			c.LinkTTL, c.RetentionDays, c.Lease, c.AdminToken != "")
	}
}

func TestListenOfRoles(t *testing.T) {
	for roles, want := range map[string]string{
		"api": "127.0.0.1:8080", "worker": "127.0.0.1:8081", "scheduler": "127.0.0.1:8082",
		"api,worker": "127.0.0.1:8080", "worker,scheduler": "127.0.0.1:8081",
	} {
		list, err := ParseRoles(roles)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := load(t, nil, Production(list...)) // required settings are missing, which is not tested here
		if c.Listen != want {
			t.Errorf("roles %s listen on %s, want %s", roles, c.Listen, want)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := load(t, Env{
		"CALLVAULT_LINK_TTL":        "8d",
		"CALLVAULT_SCHEDULE":        "0 0 30 2 *",
		"CALLVAULT_PUBLIC_URL":      "ftp://x",
		"CALLVAULT_S3_ENDPOINT":     "http://minio:9000/bucket",
		"CALLVAULT_DOWNLOAD_MODE":   "stream",
		"CALLVAULT_RETENTION_DAYS":  "0",
		"CALLVAULT_MEMORY":          "1MiB",
		"CALLVAULT_LISTEN":          "8080",
		"CALLVAULT_DATABASE_URL":    "mysql://u:hunter2@h/db",
		"CALLVAULT_REDIS_URL":       "redis-sentinel://:hunter2@a:1,b:2",
		"CALLVAULT_MASTER_KEY":      "hunter2",
		"CALLVAULT_INTERNAL_TOKEN":  "hunter2",
		"CALLVAULT_ADMIN_TOKEN":     "hunter2-of-31-characters-hunter",
		"CALLVAULT_CORS_ORIGINS":    "https://a.example/path",
		"CALLVAULT_TRUSTED_PROXIES": "10.0.0.1, balancer",
		"CALLVAULT_ARCHIVES_BUCKET": "Archives",
	}, Standalone())
	const short = `shorter than 32 characters, so that it could be guessed; use the output of: openssl rand -base64 32`
	want := map[string]string{
		"CALLVAULT_LINK_TTL":        `"8d" is longer than 7d (168h); use 1s to 168h`,
		"CALLVAULT_SCHEDULE":        `"0 0 30 2 *" never fires; use minute, hour, day, month and weekday in UTC, such as "0 2 * * *"`,
		"CALLVAULT_PUBLIC_URL":      `"ftp://x" is not an http or https URL; use one such as https://callvault.example.com`,
		"CALLVAULT_S3_ENDPOINT":     `"http://minio:9000/bucket" holds a path; the buckets have variables of their own; use one such as http://minio:9000`,
		"CALLVAULT_DOWNLOAD_MODE":   `"stream" is not known; use redirect, proxy`,
		"CALLVAULT_RETENTION_DAYS":  `0 is out of range; use 1 to 3650`,
		"CALLVAULT_MEMORY":          `"1MiB" is out of range; use 24MiB to 64GiB`,
		"CALLVAULT_LISTEN":          `"8080" is not an address to listen on; use host:port, such as 127.0.0.1:8080`,
		"CALLVAULT_DATABASE_URL":    `not the URL of a database; use one such as postgres://callvault@postgres:5432/callvault or sqlite:///path`,
		"CALLVAULT_REDIS_URL":       `names no master; use redis-sentinel://host:26379,host:26379?master=name`,
		"CALLVAULT_MASTER_KEY":      short,
		"CALLVAULT_INTERNAL_TOKEN":  short,
		"CALLVAULT_ADMIN_TOKEN":     short,
		"CALLVAULT_TRUSTED_PROXIES": `"balancer" is neither an address nor a network; use some of either, comma between, such as 10.0.0.0/8,2001:db8::7`,
		"CALLVAULT_CORS_ORIGINS":    `"https://a.example/path" is not an origin; use scheme://host, comma between, such as https://app.example.com`,
		"CALLVAULT_ARCHIVES_BUCKET": `"Archives" is not a bucket name; use 3 to 63 of a-z, 0-9 and -, such as archives`,
	}
	if d := cmp.Diff(want, problemsOf(t, err)); d != "" {
		t.Errorf("problems differ (-want +got):\n%s", d)
	}
	if strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Error("a message repeats a secret")
	}
}

func TestTrustedProxies(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8, 192.0.2.7,,2001:db8::7 ,fd00::/8": "[10.0.0.0/8 192.0.2.7/32 2001:db8::7/128 fd00::/8]",
		"0.0.0.0/0": "", "::/0": "", "::ffff:10.0.0.0/104": "", "::ffff:10.0.0.1": "", "10.0.0.0/33": "", "10.0.0.1:80": "",
	} {
		c, err := load(t, Env{"CALLVAULT_TRUSTED_PROXIES": text}, Standalone())
		switch {
		case want != "" && (err != nil || fmt.Sprint(c.TrustedProxies) != want):
			t.Errorf("%q gives %v, %v", text, c.TrustedProxies, err)
		case want == "" && problemsOf(t, err)["CALLVAULT_TRUSTED_PROXIES"] == "":
			t.Errorf("%q is taken as %v", text, c.TrustedProxies)
		}
	}
}

func TestRolesNameWhatIsMissing(t *testing.T) {
	parts := []string{
		"CALLVAULT_DATABASE_URL", "CALLVAULT_REDIS_URL", "CALLVAULT_S3_ENDPOINT", "CALLVAULT_S3_ACCESS_KEY", "CALLVAULT_S3_SECRET_KEY",
	}
	for _, role := range Roles() {
		_, err := load(t, nil, Production(role))
		want := parts
		if role == API {
			want = append([]string{"CALLVAULT_PUBLIC_URL"}, parts...)
		}
		found := problemsOf(t, err)
		for _, name := range want {
			if !strings.Contains(found[name], "missing") || !strings.Contains(found[name], string(role)) {
				t.Errorf("role %s: %s says %q", role, name, found[name])
			}
		}
		if len(found) != len(want) {
			t.Errorf("role %s has %d problems, want %d: %v", role, len(found), len(want), err)
		}
	}
	_, err := load(t, Env{
		"CALLVAULT_DATABASE_URL": "postgres://u:p@db/callvault", "CALLVAULT_REDIS_URL": "redis-sentinel://a:1,b:2?master=m",
		"CALLVAULT_S3_ENDPOINT": "http://minio:9000", "CALLVAULT_S3_ACCESS_KEY": "a", "CALLVAULT_S3_SECRET_KEY": "b",
	}, Production(Worker, Scheduler))
	if err != nil {
		t.Errorf("complete settings are refused: %v", err)
	}
}

func TestSettingsThatBelongTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		env  Env
		want []string
	}{
		"store without keys":      {Env{"CALLVAULT_S3_ENDPOINT": "http://h"}, []string{"CALLVAULT_S3_ACCESS_KEY", "CALLVAULT_S3_SECRET_KEY"}},
		"keys without store":      {Env{"CALLVAULT_S3_ACCESS_KEY": "a"}, []string{"CALLVAULT_S3_ENDPOINT"}},
		"lock without store":      {Env{"CALLVAULT_ARCHIVES_LOCK": "governance"}, []string{"CALLVAULT_ARCHIVES_LOCK"}},
		"public without store":    {Env{"CALLVAULT_S3_PUBLIC_ENDPOINT": "http://h"}, []string{"CALLVAULT_S3_PUBLIC_ENDPOINT"}},
		"one bucket for both":     {Env{"CALLVAULT_ARCHIVES_BUCKET": "recordings"}, []string{"CALLVAULT_ARCHIVES_BUCKET"}},
		"issuer alone":            {Env{"CALLVAULT_OIDC_ISSUER": "https://i"}, []string{"CALLVAULT_OIDC_AUDIENCE"}},
		"audience alone":          {Env{"CALLVAULT_OIDC_AUDIENCE": "a"}, []string{"CALLVAULT_OIDC_ISSUER"}},
		"one address for both":    {Env{"CALLVAULT_LISTEN": "127.0.0.1:80", "CALLVAULT_ADMIN_LISTEN": "127.0.0.1:80"}, []string{"CALLVAULT_ADMIN_LISTEN"}},
		"every address, no name":  {Env{"CALLVAULT_LISTEN": "0.0.0.0:80"}, []string{"CALLVAULT_PUBLIC_URL"}},
		"every address by IPv6":   {Env{"CALLVAULT_LISTEN": "[::]:80"}, []string{"CALLVAULT_PUBLIC_URL"}},
		"every address, no host":  {Env{"CALLVAULT_LISTEN": ":80"}, []string{"CALLVAULT_PUBLIC_URL"}},
		"every address, named":    {Env{"CALLVAULT_LISTEN": ":80", "CALLVAULT_PUBLIC_URL": "http://h"}, nil},
		"a path":                  {Env{"CALLVAULT_PUBLIC_URL": "http://h/voice/vault_1.0/"}, nil},
		"a path with an escape":   {Env{"CALLVAULT_PUBLIC_URL": "http://h/a%20b"}, []string{"CALLVAULT_PUBLIC_URL"}},
		"a path with two slashes": {Env{"CALLVAULT_PUBLIC_URL": "http://h/a//b"}, []string{"CALLVAULT_PUBLIC_URL"}},
		"a path with dots":        {Env{"CALLVAULT_PUBLIC_URL": "http://h/a/../b"}, []string{"CALLVAULT_PUBLIC_URL"}},
		"two addresses by chance": {Env{"CALLVAULT_LISTEN": "127.0.0.1:0", "CALLVAULT_ADMIN_LISTEN": "127.0.0.1:0"}, nil},
	} {
		_, err := load(t, tc.env, Standalone())
		found := problemsOf(t, err)
		for _, v := range tc.want {
			if found[v] == "" {
				t.Errorf("%s: nothing about %s", name, v)
			}
		}
		if len(found) != len(tc.want) {
			t.Errorf("%s: got %v, want problems of %v", name, found, tc.want)
		}
	}
}

// A script whose own variable is unset passes an empty directory: this must not mean the working
// directory.
func TestAnEmptyDataDirectoryIsRefused(t *testing.T) {
	_, err := load(t, nil, Standalone(), "--data=")
	if problemsOf(t, err)["CALLVAULT_DATA"] == "" {
		t.Errorf("got %v, want a problem of CALLVAULT_DATA", err)
	}
}

func TestDownloadModeFollowsTheStore(t *testing.T) {
	store := Env{"CALLVAULT_S3_ENDPOINT": "https://s3.example.com/", "CALLVAULT_S3_ACCESS_KEY": "a", "CALLVAULT_S3_SECRET_KEY": "b"}
	c, err := load(t, store, Standalone())
	if err != nil || c.DownloadMode != "redirect" || c.S3Endpoint != "https://s3.example.com" {
		t.Errorf("got %q at %q, %v; want redirect", c.DownloadMode, c.S3Endpoint, err)
	}
	store["CALLVAULT_DOWNLOAD_MODE"] = "PROXY"
	if c, err = load(t, store, Standalone()); err != nil || c.DownloadMode != "proxy" {
		t.Errorf("got %q, %v; want the mode that was asked for", c.DownloadMode, err)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c, err := load(t, Env{"CALLVAULT_ADMIN_TOKEN_FILE": write("token", "from-file-"+strings.Repeat("x", 22)+"\n")}, Standalone())
	if err != nil || c.AdminToken.Reveal() != "from-file-"+strings.Repeat("x", 22) {
		t.Errorf("token of %d bytes, %v; want the file's line", len(c.AdminToken), err)
	}
	_, err = load(t, Env{
		"CALLVAULT_ADMIN_TOKEN": "a", "CALLVAULT_ADMIN_TOKEN_FILE": write("other", "b"),
		"CALLVAULT_DATABASE_URL_FILE": filepath.Join(dir, "absent"), "CALLVAULT_REDIS_URL_FILE": write("empty", " \n"),
		"CALLVAULT_S3_ENDPOINT": "http://h", "CALLVAULT_S3_ACCESS_KEY": "a", "CALLVAULT_S3_SECRET_KEY": "b",
	}, Production(Worker))
	want := map[string]string{
		"CALLVAULT_ADMIN_TOKEN":       "set together with CALLVAULT_ADMIN_TOKEN_FILE; set only one of the two",
		"CALLVAULT_DATABASE_URL_FILE": filepath.Join(dir, "absent") + " cannot be read (no such file or directory); name a file that this user may read",
		"CALLVAULT_REDIS_URL_FILE":    filepath.Join(dir, "empty") + " is empty; write the secret into it or unset the variable",
	}
	if d := cmp.Diff(want, problemsOf(t, err)); d != "" {
		t.Errorf("problems differ (-want +got):\n%s", d)
	}
}

func TestCompleteReadsTheRestForACommand(t *testing.T) {
	s := NewSource(Env{"CALLVAULT_RETENTION_DAYS": "12", "CALLVAULT_LEASE": "2s", "CALLVAULT_LATE_DELAY": "soon"})
	c, err := s.Complete(Parts{Data: "/d", Recordings: "r1r", Archives: "a1a"})
	if err != nil {
		t.Fatal(err)
	}
	if c.RetentionDays != 12 || c.Lease != 2*time.Second || c.Data != "/d" {
		t.Errorf("got %d, %s, %q; want 12, 2s, /d", c.RetentionDays, c.Lease, c.Data)
	}
	if found := problemsOf(t, s.Finish(&c, Command())); found["CALLVAULT_LATE_DELAY"] == "" || len(found) != 1 {
		t.Errorf("got %v, want the one problem of CALLVAULT_LATE_DELAY", found)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	c := Config{Parts: Parts{MasterKey: "hunter2", DatabaseURL: "postgres://u:hunter2@db:5432/x"}}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	prints := []string{string(text), fmt.Errorf("x %v", c).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		prints = append(prints, fmt.Sprintf(verb, c), fmt.Sprintf(verb, c.MasterKey))
	}
	for _, p := range prints {
		if strings.Contains(p, "hunter2") || strings.Contains(p, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("a secret is printed: %s", p)
		}
	}
	if got := c.DatabaseURL.Place(); got != "postgres://db:5432" {
		t.Errorf("place is %q", got)
	}
}
