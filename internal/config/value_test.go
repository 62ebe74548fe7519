package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "6h": 6 * time.Hour, "7d": 7 * day, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "0s": 0, "-1d": -day,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "6", "d", "1d1d", "1d-1h", "1d+1h", "-1d1h", "1d25h", "NaNd", "1e300d", "h6", "7 d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken as %s", text, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"1d12h", "7d", "-0.5d", "99999999d", "1e9d", "infd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err == nil && d < 0 && !strings.HasPrefix(strings.TrimSpace(text), "-") {
			t.Errorf("%q became negative: %s", text, d)
		}
	})
}

func TestParseSchedule(t *testing.T) {
	s, err := ParseSchedule("30 1 * * *")
	if err != nil {
		t.Fatal(err)
	}
	east := time.FixedZone("east", 5*3600)
	if got := s.Next(time.Date(2025, 12, 12, 3, 0, 0, 0, east)); !got.Equal(time.Date(2025, 12, 12, 1, 30, 0, 0, time.UTC)) {
		t.Errorf("fires at %s, want 01:30 UTC", got)
	}
	for _, line := range []string{"@daily", "0 0 29 2 *", "*/15 * * * *"} {
		if _, err := ParseSchedule(line); err != nil {
			t.Errorf("%q is refused: %v", line, err)
		}
	}
	for _, line := range []string{"", "TZ=0", "CRON_TZ=UTC 0 2 * * *", "TZ=Europe/Rome 0 2 * * *", "0 0 30 2 *", "0 0 31 4 *", "@every 1h", "0 2 * *", "0 2 * * * *", "61 * * * *", "@never"} {
		if _, err := ParseSchedule(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, seed := range []string{"0 2 * * *", "TZ=0", " TZ=x", "@every 1s", "*/0 * * * *"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if s, err := ParseSchedule(line); err == nil && s.Next(time.Unix(1.7e9, 0)).IsZero() {
			t.Errorf("%q is taken and never fires", line)
		}
	})
}

func TestAddressesOfParts(t *testing.T) {
	check := func(read reader, good, bad []string) {
		t.Helper()
		for _, text := range good {
			if _, err := read(text, &kong.Tag{}); err != nil {
				t.Errorf("%q is refused: %v", text, err)
			}
		}
		for _, text := range bad {
			if v, err := read(text, &kong.Tag{}); err == nil {
				t.Errorf("%q is taken as %v", text, v)
			}
		}
	}
	check(readDatabase,
		[]string{"sqlite:///var/lib/c.db", "postgres://h/db", "postgresql://u:p@h:5432/db?sslmode=disable", "postgres:///db?host=/run/postgresql"},
		[]string{"sqlite://rel/c.db", "sqlite:///", "sqlite:///a?b", "postgres://h", "postgres:///db", "h:5432/db", "mysql://h/db"})
	check(readRedis,
		[]string{"redis://h", "redis://:p@h:6379/3", "rediss://u:p@h:6379", "redis-sentinel://a:1,b:2/1?master=m"},
		[]string{"h:6379", "redis://", "redis://h/x", "redis://h/-1", "redis-sentinel://a:1", "redis-sentinel://?master=m", "unix:///run/redis.sock"})
	check(readEndpoint,
		[]string{"http://minio:9000", "https://s3.example.com/", "http://[::1]:9000"},
		[]string{"minio:9000", "http://", "http://h/b", "http://h?x", "http://u:p@h", "s3://h"})
	check(readPrefix, []string{"callvault", "voice/a.b_c-1", "A"},
		[]string{"", "/", "/a", "a/", "a//b", ".", "a/..", "a/.b", "a b", "ä", "archives", "a/installation", "log/a", strings.Repeat("a", 129)})
	check(readPublicURL, []string{"https://h/prefix/"}, []string{"https://h?", "https://h#f", "https://u@h", "h"})
}

func TestVariablesAreFlagsWithTheSameName(t *testing.T) {
	var c Config
	parser, err := kong.New(&c, append(NewSource(nil).Options(), kong.Name("callvault"))...)
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]string{}
	for _, f := range parser.Model.Flags {
		if v := f.Tag.Get("var"); v != "" {
			flags[v] = "--" + f.Name
		}
	}
	list := Variables()
	for _, v := range list {
		if flags[v.Name] != v.Flag {
			t.Errorf("%s is described as %s, but the flag is %s", v.Name, v.Flag, flags[v.Name])
		}
		if !strings.HasSuffix(v.Description, ".") || v.Group == "" || len(v.Roles) == 0 {
			t.Errorf("%s lacks a description, a group or its roles: %+v", v.Name, v)
		}
		if len(v.Required) > 0 && v.Example == "" {
			t.Errorf("%s is required but shows no example", v.Name)
		}
	}
	if len(list) != len(flags) {
		t.Errorf("%d variables and %d flags; want the same", len(list), len(flags))
	}
}

func TestUnknownVariables(t *testing.T) {
	got := Unknown(Env{
		"CALLVAULT_LNK_TTL": "1h", "CALLVAULT_LINK_TTL": "1h", "CALLVAULT_ADMIN_TOKEN_FILE": "f", "CALLVAULT_LINK_TTL_FILE": "f",
		"CALLVAULT_URL": "u", "CALLVAULT_CLIENT_ID": "i", "CALLVAULT_CLIENT_SECRET": "s", "CALLVAULT_CLIENT_SECRET_FILE": "f", "HOME": "/",
	})
	if want := []string{"CALLVAULT_LINK_TTL_FILE", "CALLVAULT_LNK_TTL"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseRoles(t *testing.T) {
	got, err := ParseRoles("api, worker,api")
	if err != nil || !slices.Equal(got, []Role{API, Worker}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "api,", "standalone"} {
		if _, err := ParseRoles(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
