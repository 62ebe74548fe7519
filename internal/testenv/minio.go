package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

type sharedMinIO struct {
	once   sync.Once
	err    error
	server *MinIOServer
}

// S3 is where an object store answers and who may ask it.
type S3 struct {
	Endpoint  string // URL, for example http://127.0.0.1:9000
	Region    string
	AccessKey string
	SecretKey string
}

// MinIOServer is a MinIO that one test owns.
type MinIOServer struct {
	Private
	S3
}

// MinIO returns the shared MinIO. Tests keep apart by [S3.NewBucket] or
// [BucketName].
func MinIO(t testing.TB) S3 {
	t.Helper()
	m := &shared.minio
	m.once.Do(func() {
		m.server, m.err = startMinIO()
		if m.err == nil {
			shared.own(m.server.server)
		}
	})
	if m.err != nil {
		t.Fatal("testenv: ", m.err)
	}
	if err := m.server.server.alive(); err != nil {
		t.Fatal("testenv: ", err)
	}
	return m.server.S3
}

// NewMinIO starts a MinIO for this test alone.
func NewMinIO(t testing.TB) *MinIOServer {
	t.Helper()
	m, err := startMinIO()
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	m.t = t
	m.server.private(t)
	return m
}

// BucketName returns a bucket name that begins with prefix and that no other
// test has. It makes no bucket.
func BucketName(prefix string) string { return prefix + "-" + strings.ToLower(secret()[:12]) }

// NewBucket makes an empty bucket with a name of its own.
func (s S3) NewBucket(t testing.TB, prefix string) string {
	t.Helper()
	client, err := s.client()
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	name := BucketName(prefix)
	if err := client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{Region: s.Region}); err != nil {
		t.Fatalf("testenv: make the bucket %s: %v", name, err)
	}
	return name
}

// Keys lists what a bucket holds.
func (s S3) Keys(t testing.TB, bucket string) []string {
	t.Helper()
	client, err := s.client()
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	var keys []string
	for object := range client.ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			t.Fatalf("testenv: list the bucket %s: %v", bucket, object.Err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}

func (s S3) client() (*minio.Client, error) {
	return minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds:      credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""),
		Region:     s.Region,
		MaxRetries: 1,
	})
}

func startMinIO() (*MinIOServer, error) {
	binary, err := find("minio")
	if err != nil {
		return nil, err
	}
	dir, err := shared.directory("minio")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, fmt.Errorf("make MinIO's directory: %w", err)
	}
	m := &MinIOServer{S3: S3{Region: "us-east-1", AccessKey: secret(), SecretKey: secret()}}
	m.server = &server{
		name: "minio", dir: dir, crash: syscall.SIGKILL,
		command: func(port int) *exec.Cmd {
			m.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
			cmd := exec.Command(binary, "server", "--quiet", "--certs-dir", filepath.Join(dir, "certs"),
				"--address", strings.TrimPrefix(m.Endpoint, "http://"), data)
			cmd.Env = []string{
				"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "MINIO_BROWSER=off", "MINIO_UPDATE=off",
				"MINIO_ROOT_USER=" + m.AccessKey, "MINIO_ROOT_PASSWORD=" + m.SecretKey,
			}
			return cmd
		},
		ready: m.answers,
	}
	return m, m.server.start()
}

// answers makes a request with the credentials, which only the server started here accepts.
func (m *MinIOServer) answers(ctx context.Context) error {
	if err := answers(ctx, m.Endpoint+"/minio/health/ready"); err != nil {
		return err
	}
	client, err := m.client()
	if err != nil {
		return err
	}
	_, err = client.ListBuckets(ctx)
	return err
}
