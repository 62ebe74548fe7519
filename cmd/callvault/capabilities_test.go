package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/testenv"
)

// storeEnv are the settings of an installation whose store is behind a proxy.
func storeEnv(t *testing.T, mine func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) config.Env {
	t.Helper()
	s3 := testenv.MinIO(t)
	return config.Env{
		"CALLVAULT_DATABASE_URL": "sqlite://" + filepath.Join(t.TempDir(), "catalog.db"), "CALLVAULT_REDIS_URL": "redis://127.0.0.1:1",
		"CALLVAULT_S3_ENDPOINT": testenv.HTTPProxy(t, s3.Endpoint, mine, change), "CALLVAULT_S3_REGION": s3.Region,
		"CALLVAULT_S3_ACCESS_KEY": s3.AccessKey, "CALLVAULT_S3_SECRET_KEY": s3.SecretKey,
		"CALLVAULT_RECORDINGS_BUCKET": s3.NewBucket(t, "recordings"), "CALLVAULT_ARCHIVES_BUCKET": s3.NewBucket(t, "archives"),
		"CALLVAULT_PUBLIC_URL": "http://127.0.0.1", "CALLVAULT_LISTEN": "127.0.0.1:0",
	}
}

// expect runs a command and checks its exit code, and that it prints all of the words.
func expect(t *testing.T, env config.Env, want int, words string, args ...string) string {
	t.Helper()
	code, out, errs := callvault(t, env, args...)
	for word := range strings.SplitSeq(words, "|") {
		if code != want || !strings.Contains(out+errs, word) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s%s", args, code, want, word, out, errs)
		}
	}
	return out + errs
}

// A store that lacks what callvault relies on is refused by migrate up, and after that by roles.
func TestStoreThatLacks(t *testing.T) {
	env := storeEnv(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == "" {
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code></Error>`)
		return true
	}, nil)
	const lacks = "lacks |conditional PUT (|NotImplemented|conditional Complete (|docs/operations.md|callvault migrate up"
	expect(t, env, exitFailed, lacks, "migrate", "up")
	for _, role := range []string{"api", "worker", "scheduler"} {
		expect(t, env, exitFailed, lacks, role)
	}
}

// A store that expects another region is refused at once, and the message names the setting.
func TestStoreOfAnotherRegion(t *testing.T) {
	env := storeEnv(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Header.Get("Authorization"), "/moon-1/") {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `<Error><Code>AuthorizationHeaderMalformed</Code><Message>The region 'moon-1' is wrong; expecting '`+testenv.MinIO(t).Region+`'</Message></Error>`)
		return true
	}, nil)
	expect(t, env, exitOK, "can do what callvault relies on", "migrate", "up")
	was := env["CALLVAULT_S3_REGION"]
	env["CALLVAULT_S3_REGION"] = "moon-1"
	for _, args := range [][]string{{"worker"}, {"migrate", "up"}} {
		expect(t, env, exitFailed, "refuses the region moon-1 and expects "+was+"|set CALLVAULT_S3_REGION="+was, args...)
	}
}

// Where audio can't be uploaded, or is switched off, it is refused, and everything else works.
func TestStoreThatTakesNoAudio(t *testing.T) {
	var denies atomic.Bool
	var puts atomic.Int64
	var bucket string
	env := storeEnv(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut && r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, bucket) {
			return false
		}
		puts.Add(1)
		if denies.Load() {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<Error><Code>AccessDenied</Code></Error>`)
		}
		return denies.Load()
	}, nil)
	bucket = fmt.Sprintf("/%s/callvault", env["CALLVAULT_RECORDINGS_BUCKET"])
	imports := []string{"import", "--tenant", "acme", "--audio", t.TempDir(), save(t, t.TempDir(), "day.ndjson", []byte(line(1, "a.opus")))}

	off := maps.Clone(env)
	off["CALLVAULT_TAKE_AUDIO"] = "off"
	expect(t, off, exitOK, "audio is not taken in: CALLVAULT_TAKE_AUDIO is off", "migrate", "up")
	if puts.Load() > 0 {
		t.Errorf("it wrote %d times into the recordings bucket", puts.Load())
	}
	expect(t, off, exitOK, "acme", "tenant", "create", "acme")
	expect(t, off, exitFailed, "audio is not taken in here: CALLVAULT_TAKE_AUDIO is off", imports...)

	denies.Store(true)
	expect(t, env, exitOK, "audio is not taken in: |lacks writing (", "migrate", "up")
	expect(t, env, exitFailed, "audio is not taken in here: |lacks writing (|callvault migrate up", imports...)
	denies.Store(false)
	if text := expect(t, env, exitOK, "", "migrate", "up", "--json"); strings.Contains(text, "noAudio") || puts.Load() == 0 {
		t.Errorf("%s after %d writes", text, puts.Load())
	}
	expect(t, env, exitOK, "1 recording", imports...)
}

// A line whose key has a long part is refused if the store does not support such keys.
func TestStoreOfLongKeyParts(t *testing.T) {
	var takes atomic.Bool
	env := storeEnv(t, func(w http.ResponseWriter, r *http.Request) bool {
		if takes.Load() && r.Method == http.MethodHead && len(r.URL.Path) > 1000 {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	}, nil)
	expect(t, env, exitOK, "left out, since the object store does not know it: key parts of more than 255 bytes", "migrate", "up")
	expect(t, env, exitOK, "acme", "tenant", "create", "acme")
	imports := []string{"import", "--tenant", "acme", save(t, t.TempDir(), "day.ndjson", []byte(line(1, strings.Repeat("a", 255))+line(2, strings.Repeat("b", 256))))}
	expect(t, env, exitFailed, "line 2: an object key has a part of more than 255 bytes, which the object store does not take", imports...)
	takes.Store(true)
	if text := expect(t, env, exitOK, "", "migrate", "up"); strings.Contains(text, "255") {
		t.Error(text)
	}
	expect(t, env, exitOK, "2 recordings", imports...)
}

// A store that does not support checksums gets none, by migrate up and by later commands.
func TestStoreWithoutChecksums(t *testing.T) {
	env := storeEnv(t, func(w http.ResponseWriter, r *http.Request) bool {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Amz-Checksum-") {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `<Error><Code>InvalidArgument</Code></Error>`)
				return true
			}
		}
		return false
	}, nil)
	expect(t, env, exitOK, "left out, since the object store does not know it: checksums", "migrate", "up")
	expect(t, env, exitOK, "acme", "tenant", "create", "acme")
	dir := t.TempDir()
	save(t, dir, "a.opus", []byte("sound"))
	expect(t, env, exitOK, "1 audio file", "import", "--tenant", "acme", "--audio", dir, save(t, t.TempDir(), "day.ndjson", []byte(line(1, "a.opus"))))
}

// Archives are locked only in a bucket that can lock them and was tried for it. migrate up makes a
// missing bucket so.
func TestStoreThatLocks(t *testing.T) {
	env := storeEnv(t, nil, nil)
	expect(t, env, exitOK, "", "migrate", "up")
	env["CALLVAULT_ARCHIVES_LOCK"] = "governance"
	const lacks = "has no object lock, which CALLVAULT_ARCHIVES_LOCK=governance needs|mc mb --with-lock|CALLVAULT_ARCHIVES_LOCK=off"
	expect(t, env, exitFailed, lacks, "migrate", "up")
	env["CALLVAULT_ARCHIVES_BUCKET"] = testenv.BucketName("locked")
	expect(t, env, exitOK, "can do what callvault relies on", "migrate", "up")
	env["CALLVAULT_ARCHIVES_LOCK"] = "compliance"
	for _, role := range []string{"api", "worker", "scheduler"} {
		expect(t, env, exitFailed, "was not tried for CALLVAULT_ARCHIVES_LOCK=compliance; run: callvault migrate up", role)
	}
	embedded := config.Env{"CALLVAULT_DATA": filepath.Join(t.TempDir(), "data"), "CALLVAULT_ARCHIVES_LOCK": "governance"}
	expect(t, embedded, exitUsage, "CALLVAULT_ARCHIVES_LOCK|a directory can't lock objects", "standalone")
}
