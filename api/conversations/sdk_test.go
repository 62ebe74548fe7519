package conversations_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

// sdk installs the client library into the user's cache, once a version, and gives the directory.
func sdk(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile("testdata/sdk/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "callvault-tools", "sdk-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "sdk-new-") //nolint:usetesting // it is renamed, so it must lie in the same file system
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(fresh); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("testdata/sdk", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(fresh, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = fresh
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("this test needs node, npm and its registry: %v\n%s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, there := os.Stat(filepath.Join(dir, "node_modules")); there != nil { // no other process installed it meanwhile
			t.Fatal(err)
		}
	}
	return dir
}

// TestPublicClient runs a public client library against a real listener and a real object store.
func TestPublicClient(t *testing.T) {
	modules := sdk(t)
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	minio := testenv.MinIO(t)
	bucket := minio.NewBucket(t, "recordings")
	store, err := objstore.New(objstore.Config{Endpoint: minio.Endpoint, AccessKey: minio.AccessKey, SecretKey: minio.SecretKey, Recordings: bucket, Archives: bucket})
	f.must(err)
	t.Cleanup(store.Close)
	sound := bytes.Repeat([]byte{0x1a, 0x45, 0xdf, 0xa3, 0, 255}, 50_000)
	_, err = store.Recordings().Put(t.Context(), "acme/calls/1.webm", sound, objstore.PutOptions{ContentType: "audio/webm"})
	f.must(err)
	server := httptest.NewServer(f.api(store.Recordings()))
	t.Cleanup(server.Close)

	script, err := filepath.Abs("testdata/sdk/walk.js")
	f.must(err)
	node := exec.CommandContext(t.Context(), "node", script)
	node.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(modules, "node_modules"), "API_KEY="+key, "BASE_URL="+server.URL)
	var failed bytes.Buffer
	node.Stderr = &failed
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, failed.Bytes())
	}
	out = bytes.Replace(out, []byte(base64.StdEncoding.EncodeToString(sound)), []byte("THE SOUND"), 1)
	apitest.Golden(t, "sdk.json", apitest.Pretty(t, out))
}
