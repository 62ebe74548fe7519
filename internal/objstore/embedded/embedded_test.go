package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/embedded"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

const (
	dirVariable = "CALLVAULT_EMBEDDED_DIR"
	accessKey   = "access"
	secretKey   = "secret-of-the-tests"
)

// The server changes the working directory of its process, so the tests run it
// as a child made of their own binary.
func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testenv.Main(m)
}

// serve prints its endpoint and ends when its standard input does.
func serve(dir string) error {
	server, err := embedded.Start(context.Background(), embedded.Config{Dir: dir, AccessKey: accessKey, SecretKey: secretKey})
	if err != nil {
		return err
	}
	fmt.Println(server.Endpoint())
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, server.Stop())
}

// child is a server in a process of its own.
type child struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	endpoint string
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the server did not start: ", err)
	}
	return &child{cmd: cmd, stdin: stdin, endpoint: strings.TrimSpace(line)}
}

func (c *child) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(c.stdin.Close(), c.cmd.Wait()); err != nil {
		t.Error("stop the server: ", err)
	}
}

// config names fresh buckets. The hooks work in this process as well: they
// only need the directory.
func (c *child) config() objstore.Config {
	return objstore.Config{
		Endpoint: c.endpoint, Region: embedded.Region, AccessKey: accessKey, SecretKey: secretKey,
		Recordings: testenv.BucketName("recordings"), Archives: testenv.BucketName("archives"),
	}
}

func TestEmbedded(t *testing.T) {
	server := startChild(t, t.TempDir())
	t.Cleanup(func() { server.stop(t) })
	objstoretest.Run(t, func(*testing.T) objstore.Config { return server.config() })
}

func TestObjectsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	server := startChild(t, dir)
	cfg := server.config()
	store := open(t, cfg)
	if err := store.EnsureBuckets(t.Context(), objstore.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	etag, err := store.Archives().Put(t.Context(), "a/b", []byte("data"), objstore.PutOptions{ContentType: "audio/ogg"})
	if err != nil {
		t.Fatal(err)
	}
	server.stop(t)
	server = startChild(t, dir)
	defer server.stop(t)
	cfg.Endpoint = server.endpoint
	info, err := open(t, cfg).Archives().Stat(t.Context(), "a/b")
	if err != nil || info.ETag != etag || info.Size != 4 || info.ContentType != "audio/ogg" || info.CRC32 == nil {
		t.Errorf("%+v, %v", info, err)
	}
}

func open(t *testing.T, cfg objstore.Config) *objstore.Store {
	t.Helper()
	store, err := objstore.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func TestCheckKey(t *testing.T) {
	var server embedded.Server
	for _, key := range []string{"a", "a/b", "..a/b..", strings.Repeat("x", 255), "ü/日本"} {
		if err := server.CheckKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{
		"", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", strings.Repeat("x", 256),
		"a/" + strings.Repeat("ü", 128), "a\x00b", ".sgwtmp/multipart",
	} {
		if err := server.CheckKey(key); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: %v", key, err)
		}
	}
}
