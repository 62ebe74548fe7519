package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
	if objstoretest.Writes(objstoretest.S3(nil)) {
		return
	}
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
	disk     *embedded.Disk
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
	disk, err := embedded.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &child{cmd: cmd, stdin: stdin, disk: disk, endpoint: strings.TrimSpace(line)}
}

func (c *child) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(c.stdin.Close(), c.cmd.Wait()); err != nil {
		t.Error("stop the server: ", err)
	}
}

// kill ends the server as a crash would.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := c.cmd.Wait(); err == nil {
		t.Error("the server ended well although it was killed")
	}
}

// config names fresh buckets.
func (c *child) config() objstore.Config {
	return objstore.Config{
		Endpoint: c.endpoint, Region: embedded.Region, AccessKey: accessKey, SecretKey: secretKey,
		Recordings: testenv.BucketName("recordings"), Archives: testenv.BucketName("archives"),
		Sync: c.disk.Sync, CheckKey: c.disk.CheckKey,
	}
}

func TestEmbedded(t *testing.T) {
	server := startChild(t, t.TempDir())
	t.Cleanup(func() { server.stop(t) })
	objstoretest.RunS3(t, func(testing.TB) objstore.Config { return server.config() })
}

// Where the file system has no extended attributes the metadata is in files;
// a directory for them chooses that anywhere.
func TestEmbeddedWithoutExtendedAttributes(t *testing.T) {
	dir := t.TempDir()
	attributes := filepath.Join(dir, "attributes")
	if err := os.Mkdir(attributes, 0o700); err != nil {
		t.Fatal(err)
	}
	server := startChild(t, dir)
	t.Cleanup(func() { server.stop(t) })
	objstoretest.RunS3(t, func(testing.TB) objstore.Config { return server.config() })
	if entries, err := os.ReadDir(attributes); err != nil || len(entries) == 0 {
		t.Errorf("no metadata was kept in files: %v", err)
	}
}

func TestObjectsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	server := startChild(t, dir)
	cfg := server.config()
	store := objstoretest.Open(t, cfg)
	etag, err := store.Archives().Put(t.Context(), "a/b", []byte("data"), objstore.PutOptions{ContentType: "audio/ogg"})
	if err != nil {
		t.Fatal(err)
	}
	server.stop(t)
	server = startChild(t, dir)
	defer server.stop(t)
	cfg.Endpoint = server.endpoint
	info, err := objstoretest.Open(t, cfg).Archives().Stat(t.Context(), "a/b")
	if err != nil || info.ETag != etag || info.Size != 4 || info.ContentType != "audio/ogg" || info.CRC32 == nil {
		t.Errorf("%+v, %v", info, err)
	}
}

// An upload that a crash leaves behind can be aborted by its key and id.
func TestUploadsSurviveACrash(t *testing.T) {
	dir := t.TempDir()
	server := startChild(t, dir)
	cfg := server.config()
	store := objstoretest.Open(t, cfg)
	id, err := store.Archives().NewUpload(t.Context(), "a/b", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	part := func(b *objstore.Bucket) error {
		_, err := b.PutPart(t.Context(), "a/b", id, 1, []byte("x"), crc32.ChecksumIEEE([]byte("x")))
		return err
	}
	if err := part(store.Archives()); err != nil {
		t.Fatal(err)
	}
	server.kill(t)
	server = startChild(t, dir)
	defer server.stop(t)
	cfg.Endpoint = server.endpoint
	archives := objstoretest.Open(t, cfg).Archives()
	if err := part(archives); err != nil {
		t.Error("the upload did not survive: ", err)
	}
	if err := archives.Abort(t.Context(), "a/b", id); err != nil {
		t.Error("abort: ", err)
	}
	if err := part(archives); domain.KindOf(err) != domain.KindLost {
		t.Errorf("after abort: %v", err)
	}
}

func TestSyncNamesWhatIsNotThere(t *testing.T) {
	for _, withFiles := range []bool{false, true} {
		dir := t.TempDir()
		names := []string{"objects/bucket/a"}
		if withFiles {
			names = append(names, "attributes/bucket/a/b/meta")
		}
		for _, name := range names {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		disk, err := embedded.OpenDisk(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := disk.Sync("bucket", "a/b"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing object: %v", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "objects/bucket/a/b"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := disk.Sync("bucket", "a/b"); err != nil {
			t.Error(err)
		}
		if err := disk.Sync("bucket", "a/../b"); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("a key that leaves its bucket: %v", err)
		}
	}
	if _, err := embedded.OpenDisk(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory without a store: %v", err)
	}
}

func TestStartRefuses(t *testing.T) {
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), AccessKey: "a"})
	if domain.KindOf(err) != domain.KindInvalid {
		t.Errorf("without a secret: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = embedded.Start(t.Context(), embedded.Config{Dir: file, AccessKey: "a", SecretKey: "b"})
	if domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("on a file: %v", err)
	}
}

func TestCheckKey(t *testing.T) {
	var disk embedded.Disk
	for _, key := range []string{"a", "a/b", "..a/b..", strings.Repeat("x", 255), "ü/日本"} {
		if err := disk.CheckKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{
		"", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", strings.Repeat("x", 256),
		"a/" + strings.Repeat("ü", 128), "a\x00b", ".sgwtmp/multipart",
	} {
		if err := disk.CheckKey(key); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: %v", key, err)
		}
	}
}
